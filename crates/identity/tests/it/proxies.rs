//! What a proxy in front says of who calls.

use std::sync::Arc;

use auth::{Identity, Principal, Refusal, Why};
use base::plan::identity::{IssuerPlan, ResourcePlan};
use http::{HeaderMap, HeaderName, HeaderValue};
use identity::{Identifier, TokenFault};

use crate::signer::Signer;
use crate::stand::{ISSUER, Request, Stand};

const ASSERTION: &str = "x-assertion";

fn issuer() -> IssuerPlan {
    let token_header = Some(HeaderName::from_static(ASSERTION));
    IssuerPlan { token_header, audiences: vec!["app-1".to_owned()], sign_in: false, ..Stand::issuer() }
}

/// A token as a proxy sends it: for its own application.
fn token(stand: &Stand, changes: &[(&str, &str)]) -> String {
    let mut all = vec![("aud", "[\"app-1\"]")];
    all.extend(changes);
    stand.with_header(r#"{"alg":"ES256","typ":"JWT","kid":"k1"}"#, &all)
}

fn with(headers: &[(&'static str, &str)]) -> Request {
    Request::with(headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
}

fn refused<T>(fault: TokenFault) -> Result<T, Refusal> {
    Err(Refusal::Unauthenticated(Why::Token(fault.text())))
}

fn subject(outcome: Result<Identity, Refusal>) -> String {
    outcome.unwrap().claims.unwrap().subject.clone()
}

#[tokio::test]
async fn a_proxy_sends_a_token_in_a_header_of_its_own() {
    let stand = Stand::new().await;
    let identifier = stand.identifier(issuer(), Stand::resource());
    let good = token(&stand, &[]);
    // Whatever the client has sent to the proxy is the proxy's.
    for request in [
        with(&[(ASSERTION, &good)]),
        with(&[(ASSERTION, &good), ("authorization", "Bearer of-the-proxy")]),
        with(&[(ASSERTION, &good), ("authorization", "Basic YTpi"), ("cookie", "a=b")]),
    ] {
        let identity = request.at(&identifier).await.unwrap();
        assert_eq!(identity.principal, Principal::of(ISSUER, "alice", None));
        assert!(identity.until.is_some());
    }
    let mut headers = HeaderMap::new();
    for value in ["a", "b"] {
        headers.append(ASSERTION, HeaderValue::from_static(value));
    }
    headers.insert("accept", HeaderValue::from_static("*/*"));
    identifier.take_away(&mut headers);
    assert_eq!(headers.len(), 1, "it goes no further");
    assert!(!identifier.metadata().contains("authorization_servers"));
}

#[tokio::test]
async fn hostile_assertions_are_refused() {
    let stand = Stand::new().await;
    let identifier = stand.identifier(issuer(), Stand::resource());
    let good = token(&stand, &[]);
    let other = Signer::es256();
    let forged = crate::signer::signed(
        r#"{"alg":"ES256","kid":"k1"}"#,
        &stand.claims(&[("aud", "\"app-1\"")]),
        |text| other.sign(text),
    );
    let long = format!("{good}{}", "a".repeat(9_000));
    let cases = [
        (
            "for another application",
            with(&[(ASSERTION, &token(&stand, &[("aud", "\"app-2\"")]))]),
            TokenFault::Audience,
        ),
        ("for the URL", with(&[(ASSERTION, &stand.token(&[]))]), TokenFault::Audience),
        ("over", with(&[(ASSERTION, &token(&stand, &[("exp", "1")]))]), TokenFault::Expired),
        ("forged", with(&[(ASSERTION, &forged)]), TokenFault::Signature),
        (
            "of another issuer",
            with(&[(ASSERTION, &token(&stand, &[("iss", "\"https://x.example\"")]))]),
            TokenFault::UnknownIssuer,
        ),
        ("empty", with(&[(ASSERTION, "")]), TokenFault::NotThreeParts),
        ("a name", with(&[(ASSERTION, "alice")]), TokenFault::NotThreeParts),
        ("with a scheme", with(&[(ASSERTION, &format!("Bearer {good}"))]), TokenFault::NotBase64),
        // Whoever got hold of one cannot show it as a client's own.
        ("as a bearer's", with(&[("authorization", &format!("Bearer {good}"))]), TokenFault::UnknownIssuer),
    ];
    for (what, request, fault) in cases {
        for _time in ["first", "again"] {
            assert_eq!(request.at(&identifier).await, refused(fault), "{what}");
        }
    }
    assert!(with(&[(ASSERTION, &good)]).at(&identifier).await.is_ok());
    let known = with(&[("authorization", &format!("Bearer {good}"))]).at(&identifier).await;
    assert_eq!(known, refused(TokenFault::UnknownIssuer), "also when it is known");
    let in_the_url = Request { target: "/mcp?access_token=x".to_owned(), ..with(&[(ASSERTION, &good)]) };
    for (what, request) in [
        ("two", with(&[(ASSERTION, &good), (ASSERTION, &good)])),
        ("not ASCII", with(&[(ASSERTION, "\u{e4}")])),
        ("one in the URL", in_the_url),
    ] {
        assert!(matches!(request.at(&identifier).await, Err(Refusal::Malformed(_))), "{what}");
    }
    assert!(matches!(
        with(&[(ASSERTION, &long)]).at(&identifier).await,
        Err(Refusal::Unauthenticated(Why::Token(_)))
    ));
    assert_eq!(with(&[]).at(&identifier).await, Err(Refusal::Unauthenticated(Why::NoToken)));
}

/// Two who say who calls are one too many; each alone is good.
#[tokio::test]
async fn a_route_may_take_both_and_not_at_once() {
    let stand = Stand::new().await;
    let other = "http://127.0.0.1:9000/realms/b";
    let proxy = IssuerPlan { issuer: other.to_owned(), name: "b".to_owned(), ..issuer() };
    let keys = base::plan::identity::KeySource::Url(
        transport::http::client::Destination::new("http://127.0.0.1:9000/keys".parse().unwrap()).unwrap(),
    );
    let proxy = IssuerPlan { keys, ..proxy };
    let resource = ResourcePlan { issuers: vec!["a".to_owned(), "b".to_owned()], ..Stand::resource() };
    let both: Arc<Identifier> = stand.identities.carry_out(&[Stand::issuer(), proxy], &[resource]).remove(0);
    let assertion = token(&stand, &[("iss", &format!("\"{other}\"")), ("sub", "\"bob\"")]);
    let bearer = format!("Bearer {}", stand.token(&[]));
    assert_eq!(subject(with(&[(ASSERTION, &assertion)]).at(&both).await), "bob");
    assert_eq!(subject(with(&[("authorization", &bearer)]).at(&both).await), "alice");
    let two = with(&[(ASSERTION, &assertion), ("authorization", &bearer)]).at(&both).await;
    assert!(matches!(two, Err(Refusal::Malformed(_))));
    // Each where it belongs.
    let swapped = with(&[(ASSERTION, &stand.token(&[]))]).at(&both).await;
    assert_eq!(swapped, refused(TokenFault::UnknownIssuer));

    // Where nobody names it, the header is nothing.
    let plain = stand.usual();
    let request = with(&[(ASSERTION, &assertion), ("authorization", &bearer)]);
    assert_eq!(subject(request.at(&plain).await), "alice");
    let alone = with(&[(ASSERTION, &assertion)]).at(&plain).await;
    assert_eq!(alone, Err(Refusal::Unauthenticated(Why::NoToken)));
}
