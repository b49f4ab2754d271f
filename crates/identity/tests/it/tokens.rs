//! Good tokens: what is made of them, and what is remembered.

use std::time::Duration;

use auth::{Principal, Refusal, Why};
use base::plan::identity::{
    Algorithm, ClaimNames, ClaimRule, DpopRule, IssuerPlan, KeySource, ResourcePlan, TokenTypes,
};
use identity::TokenFault;

use crate::logs::Written;
use crate::signer::{Signer, signed};
use crate::stand::{ISSUER, RESOURCE, Request, Stand};

fn refused<T>(fault: TokenFault) -> Result<T, Refusal> {
    Err(Refusal::Unauthenticated(Why::Token(fault.text())))
}

#[tokio::test(start_paused = true)]
async fn a_good_token_says_who_it_is() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    let token = stand.token(&[
        ("groups", r#"["dev","ops"]"#),
        ("acr", "\"mfa\""),
        ("amr", r#"["pwd","otp"]"#),
        ("aud", &format!(r#"["x","{RESOURCE}"]"#)),
    ]);
    let identity = Request::bearer(&token).at(&identifier).await.unwrap();
    assert_eq!(identity.principal, Principal::of(ISSUER, "alice", None));
    assert_eq!(identity.until, Some(stand.clock.now() + Duration::from_secs(630)));
    let claims = identity.claims.unwrap();
    assert_eq!((claims.issuer.as_str(), claims.subject.as_str()), (ISSUER, "alice"));
    assert_eq!(claims.client.as_deref(), Some("editor"));
    assert_eq!(claims.scopes, ["read", "write"]);
    assert_eq!(claims.groups, ["dev", "ops"]);
    assert_eq!((claims.acr.as_deref(), claims.jti.as_deref()), (Some("mfa"), Some("t1")));
    assert_eq!(claims.amr, ["pwd", "otp"]);
}

#[tokio::test(start_paused = true)]
async fn what_issuers_do_differently_is_understood() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    let (rsa, ec) = (&stand.rsa, &stand.ec);
    let claims = stand.claims(&[]);
    let header = |header: &str| stand.with_header(header, &[]);
    let pss = |text: &[u8]| rsa.sign_rsa(&aws_lc_rs::signature::RSA_PSS_SHA256, text);
    for token in [
        header(r#"{"alg":"ES256","typ":"application/AT+JWT","kid":"k1"}"#),
        header(r#"{"alg":"ES256","typ":"JWT","kid":"k1","nonce":"x","x5t#S256":"y"}"#),
        header(r#"{"alg":"ES256","kid":"k1"}"#),
        // Only one key fits.
        header(r#"{"alg":"ES256"}"#),
        // SAP's carry this; nobody looks there.
        header(r#"{"alg":"ES256","kid":"k1","jku":"http://127.0.0.1:9000/evil"}"#),
        signed(r#"{"alg":"RS256","kid":"k2"}"#, &claims, |text| rsa.sign(text)),
        signed(r#"{"alg":"PS256","kid":"k2"}"#, &claims, pss),
        signed(r#"{"alg":"ES256","kid":"k1"}"#, &format!(" {claims}\n"), |text| ec.sign(text)),
        stand.token(&[("exp", &format!("{}.25", stand.now() + 60))]),
        stand.token(&[("exp", &(stand.now() - 29).to_string())]),
        stand.token(&[("nbf", &(stand.now() + 30).to_string()), ("iat", &(stand.now() + 30).to_string())]),
        stand.token(&[("iat", ""), ("jti", ""), ("client_id", "")]),
    ] {
        let identity = Request::bearer(&token).at(&identifier).await.unwrap();
        assert_eq!(identity.principal, Principal::of(ISSUER, "alice", None));
    }
    let scopes = |token: String| {
        let identifier = &identifier;
        async move { Request::bearer(&token).at(identifier).await.unwrap().claims.unwrap().scopes.clone() }
    };
    assert_eq!(scopes(stand.token(&[("scope", ""), ("scp", r#"["a","b c"]"#)])).await, ["a", "b", "c"]);
    assert!(scopes(stand.token(&[("scope", "")])).await.is_empty());
    // A token of a client alone is about the client, and that is nobody of the same name.
    let alone = Request::bearer(&stand.token(&[("sub", "")])).at(&identifier).await.unwrap();
    assert_eq!(alone.principal, Principal::of(ISSUER, "", Some("editor")));
    let nobody = Request::bearer(&stand.token(&[("sub", ""), ("client_id", "")])).at(&identifier).await;
    assert_eq!(nobody, refused(TokenFault::NoSubject));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_may_be_asked_for_more() {
    let stand = Stand::new().await;
    let at = async |issuer: IssuerPlan, resource: ResourcePlan, token: &str| {
        Request::bearer(token).at(&stand.identifier(issuer, resource)).await.map(|who| who.principal)
    };
    let alice = Principal::of(ISSUER, "alice", None);
    let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (issuer, resource) = (Stand::issuer, Stand::resource);

    let strict = IssuerPlan { types: TokenTypes::AccessTokens, ..issuer() };
    assert_eq!(at(strict.clone(), resource(), &stand.token(&[])).await, Ok(alice.clone()));
    let plain = stand.with_header(r#"{"alg":"ES256","typ":"JWT","kid":"k1"}"#, &[]);
    assert_eq!(at(strict, resource(), &plain).await, refused(TokenFault::Type));

    let named = IssuerPlan { audiences: vec!["api://gw".to_owned()], ..issuer() };
    let for_gw = stand.token(&[("aud", "\"api://gw\"")]);
    assert_eq!(at(named.clone(), resource(), &for_gw).await, Ok(alice.clone()));
    assert_eq!(at(named, resource(), &stand.token(&[])).await, refused(TokenFault::Audience));
    let also = ResourcePlan { also_audiences: vec!["api://gw".to_owned()], ..resource() };
    assert_eq!(at(issuer(), also.clone(), &for_gw).await, Ok(alice.clone()));
    assert_eq!(at(issuer(), also, &stand.token(&[])).await, Ok(alice.clone()));

    let rules = vec![
        ClaimRule { claim: path(&["kubernetes.io", "namespace"]), values: path(&["prod", "stage"]) },
        ClaimRule { claim: path(&["level"]), values: path(&["3"]) },
    ];
    let ruled = IssuerPlan { required: rules, ..issuer() };
    let with = |space: &str, level: &str| {
        stand.token(&[("kubernetes.io", &format!(r#"{{"namespace":{space}}}"#)), ("level", level)])
    };
    assert_eq!(at(ruled.clone(), resource(), &with("\"prod\"", "3")).await, Ok(alice.clone()));
    assert_eq!(at(ruled.clone(), resource(), &with(r#"["x","stage"]"#, "\"3\"")).await, Ok(alice.clone()));
    for bad in [
        with("\"test\"", "3"),
        with("\"prod\"", "30"),
        with("\"prod\"", "null"),
        with("null", "3"),
        stand.token(&[]),
    ] {
        assert_eq!(at(ruled.clone(), resource(), &bad).await, refused(TokenFault::Rule));
    }

    let claims = ClaimNames {
        subject: path(&["user", "mail"]),
        groups: path(&["realm", "roles"]),
        ..ClaimNames::default()
    };
    let other = IssuerPlan { claims, principal_by_client: true, ..issuer() };
    let token = stand.token(&[("user", r#"{"mail":"a@b"}"#), ("realm", r#"{"roles":"admin"}"#)]);
    assert_eq!(at(other.clone(), resource(), &token).await, Ok(Principal::of(ISSUER, "a@b", Some("editor"))));
    let without = stand.token(&[("user", r#"{"mail":"a@b"}"#), ("client_id", "")]);
    assert_eq!(at(other, resource(), &without).await, refused(TokenFault::NoSubject));

    let later = IssuerPlan { not_before: Some(stand.clock.now()), ..issuer() };
    assert_eq!(at(later.clone(), resource(), &stand.token(&[])).await, Ok(alice.clone()));
    let earlier = stand.token(&[("iat", &(stand.now() - 1).to_string())]);
    assert_eq!(at(later.clone(), resource(), &earlier).await, refused(TokenFault::IssuedTooEarly));
    assert_eq!(
        at(later, resource(), &stand.token(&[("iat", "")])).await,
        refused(TokenFault::IssuedTooEarly)
    );

    let less = IssuerPlan { algorithms: vec![Algorithm::Rs256], ..issuer() };
    assert_eq!(at(less, resource(), &stand.token(&[])).await, refused(TokenFault::Algorithm));

    let bound = ResourcePlan { dpop: DpopRule::Require, ..resource() };
    assert_eq!(at(issuer(), bound, &stand.token(&[])).await, refused(TokenFault::NotBound));
    let off = ResourcePlan { dpop: DpopRule::Off, ..resource() };
    let tied = stand.token(&[("cnf", &format!(r#"{{"jkt":"{}"}}"#, stand.ec.thumbprint()))]);
    assert_eq!(at(issuer(), off, &tied).await, refused(TokenFault::BoundOff));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_known_is_good_until_it_expires() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    let request = Request::bearer(&stand.token(&[]));
    assert!(request.at_once(&identifier).is_none(), "the keys are asked for first");
    let first = request.at(&identifier).await.unwrap();
    assert_eq!(request.at_once(&identifier), Some(Ok(first.clone())));
    assert_eq!(identifier.held().0, 1);
    stand.advance(629);
    assert_eq!(request.at_once(&identifier), Some(Ok(first)));
    stand.advance(1);
    assert_eq!(request.at(&identifier).await, refused(TokenFault::Expired));
    assert_eq!(identifier.held(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_tokens_are_known_in_forty_megabytes() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    for number in 0..10_000 {
        let token = stand.token(&[("jti", &format!("\"{number}\""))]);
        Request::bearer(&token).at(&identifier).await.unwrap();
    }
    let (tokens, bytes) = identifier.held();
    assert!(tokens == 10_000 && bytes <= 40 * 1024 * 1024, "{tokens} {bytes}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_did_not_change() {
    let stand = Stand::new().await;
    let request = Request::bearer(&stand.token(&[]));
    request.at(&stand.usual()).await.unwrap();
    let fetched = stand.idp.times("/keys");
    assert!(request.at_once(&stand.usual()).unwrap().is_ok(), "the same plan");
    // Another endpoint of the same issuer: its keys are known.
    let other = ResourcePlan { scopes_supported: vec!["x".to_owned()], ..Stand::resource() };
    assert!(request.at_once(&stand.identifier(Stand::issuer(), other)).unwrap().is_ok());
    assert_eq!(stand.idp.times("/keys"), fetched);
    // Another issuer of the same name: nothing is known of it, and no token of the other's.
    let moved =
        IssuerPlan { not_before: Some(stand.clock.now() + Duration::from_secs(1)), ..Stand::issuer() };
    let identifier = stand.identifier(moved, Stand::resource());
    assert_eq!(identifier.held().0, 0);
    assert_eq!(request.at(&identifier).await, refused(TokenFault::IssuedTooEarly));
    assert_eq!(stand.idp.times("/keys"), fetched + 1);
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_has_its_own_tokens_and_each_issuer_its_own_people() {
    let stand = Stand::new().await;
    let other = Signer::eddsa();
    let given = format!(r#"{{"keys":[{}]}}"#, other.jwk(r#","kid":"k1","use":"jwt-svid""#));
    let keys = KeySource::Given(given.into_bytes().into());
    let second = IssuerPlan { keys, ..IssuerPlan::new("b", "spiffe://b.example") };
    let both = || vec!["a".to_owned(), "b".to_owned()];
    let main = ResourcePlan { issuers: both(), ..Stand::resource() };
    let admin = ResourcePlan {
        route: "admin".to_owned(),
        resource: format!("{RESOURCE}/admin"),
        path: "/mcp/admin".to_owned(),
        ..Stand::resource()
    };
    let identifiers = stand.identities.carry_out(&[Stand::issuer(), second], &[main, admin]);
    let [main, admin] = identifiers.as_slice() else { panic!("two") };
    let of_b = |header: &str| {
        let claims = stand.claims(&[("iss", "\"spiffe://b.example\"")]);
        Request::bearer(&signed(header, &claims, |text| other.sign(text)))
    };
    let (alice, svid) =
        (Request::bearer(&stand.token(&[])), of_b(r#"{"alg":"EdDSA","kid":"k1","typ":"JOSE"}"#));
    let (ours, theirs) = (alice.at(main).await.unwrap(), svid.at(main).await.unwrap());
    assert_ne!(ours.principal, theirs.principal, "two people of one name");
    assert_eq!(theirs.principal, Principal::of("spiffe://b.example", "alice", None));
    // Neither is good at the other endpoint: not for it, and not by whom it trusts.
    assert_eq!(alice.at(admin).await, refused(TokenFault::Audience));
    assert_eq!(svid.at(admin).await, refused(TokenFault::UnknownIssuer));
    // And no issuer's key signs for another.
    let claims = stand.claims(&[]);
    let forged = signed(r#"{"alg":"EdDSA","kid":"k1"}"#, &claims, |text| other.sign(text));
    assert_eq!(Request::bearer(&forged).at(main).await, refused(TokenFault::NoKey));
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_told_all_that_is_wrong_with_a_token() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    let faults = async |token: &str| {
        let found = identifier.inspect(token).await;
        let signature = token.rsplit('.').next().unwrap();
        assert!(signature.len() < 8 || !format!("{found:?}").contains(signature));
        found.into_iter().filter_map(|finding| Some((finding.what, finding.fault?))).collect::<Vec<_>>()
    };
    let found = identifier.inspect(&stand.token(&[])).await;
    assert!(found.iter().all(|finding| finding.fault.is_none()), "{found:?}");
    let says = |what| found.iter().find(|finding| finding.what == what).unwrap().says.clone().unwrap();
    assert_eq!((says("aud"), says("scopes")), (format!("\"{RESOURCE}\""), "read write".to_owned()));
    assert_eq!(says("kid"), "\"k1\"");

    let wrong = [("aud", "\"https://other.example\""), ("exp", "1"), ("cnf", "{}")];
    let expected =
        [("aud", TokenFault::Audience), ("times", TokenFault::Expired), ("cnf", TokenFault::UnknownBinding)];
    assert_eq!(faults(&stand.token(&wrong)).await, expected.map(|(what, fault)| (what, fault.text())));
    let header = r#"{"alg":"ES384","typ":"logout+jwt","kid":"k9"}"#;
    let expected = [("alg", TokenFault::Algorithm), ("typ", TokenFault::Type), ("kid", TokenFault::NoKey)];
    assert_eq!(
        faults(&stand.with_header(header, &[])).await,
        expected.map(|(what, fault)| (what, fault.text()))
    );
    assert_eq!(faults("opaque").await, [("form", TokenFault::NotThreeParts.text())]);
    assert_eq!(faults(&stand.token(&[("iss", "\"x\"")])).await, [("iss", TokenFault::UnknownIssuer.text())]);
    let nobody = stand.token(&[("sub", ""), ("client_id", "")]);
    assert_eq!(faults(&nobody).await, [("as a whole", TokenFault::NoSubject.text())]);
    assert_eq!(identifier.held().0, 0, "nothing is remembered");
}

/// A token can say anything; policies see what they can compare.
#[tokio::test(start_paused = true)]
async fn what_policies_are_to_see_is_read_and_what_is_odd_is_left_out() {
    let written = Written::default();
    let guard = written.begin();
    let stand = Stand::new().await;
    let names = ["department", "org.unit", "level", "vip", "teams", "gone", "odd", "huge", "nested", "half"];
    let way = |name: &str| (name.into(), name.split('.').map(str::to_owned).collect());
    let claims = ClaimNames { more: names.map(way).to_vec(), ..ClaimNames::default() };
    let identifier = stand.identifier(IssuerPlan { claims, ..Stand::issuer() }, Stand::resource());
    let huge = format!("\"{}\"", "x".repeat(2000));
    let token = stand.token(&[
        ("department", "\"sales\""),
        ("org", r#"{"unit":"north"}"#),
        ("level", "3"),
        ("vip", "true"),
        ("teams", r#"["a","b"]"#),
        ("odd", "1.5"),
        ("huge", &huge),
        ("nested", r#"{"text":"sales"}"#),
        ("half", r#"["a",{"text":"b"}]"#),
    ]);
    for _ in 0..2 {
        let who = Request::bearer(&token).at(&identifier).await.unwrap();
        let more = who.claims.as_ref().unwrap().more.clone();
        let said: Vec<_> = more.iter().map(|(name, said)| format!("{name}={}", said.to_json())).collect();
        assert_eq!(
            said,
            [r#"department="sales""#, r#"org.unit="north""#, "level=3", "vip=true", r#"teams=["a","b"]"#]
        );
    }
    drop(guard);
    let text = written.text();
    for name in ["odd", "huge", "nested", "half"] {
        assert_eq!(text.matches(&format!("claim=\"{name}\"")).count(), 1, "{name}: {text}");
    }
    assert!(!text.contains("1.5") && !text.contains("xxxx"), "what it says is nobody's business");
}
