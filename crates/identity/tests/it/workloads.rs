//! Tokens of programs: JWT-SVIDs of SPIFFE, and those that a Kubernetes cluster makes for its service accounts.

use std::sync::Arc;
use std::time::Duration;

use auth::{Identity, Principal, Refusal, Why};
use base::plan::identity::{Algorithm, ClaimRule, IssuerPlan, KeySource, ResourcePlan, TokenTypes};
use identity::{Identifier, TokenFault};
use transport::http::client::Destination;

use crate::signer::{Signer, signed};
use crate::stand::{Request, Stand};

const WORKLOAD: &str = "spiffe://example.org/ns/agents/sa/planner";

fn domain(keys: KeySource) -> IssuerPlan {
    let algorithms = Algorithm::OF_SVIDS.to_vec();
    let plan = IssuerPlan::new("workloads", "spiffe://example.org");
    IssuerPlan { keys, algorithms, allow_http: true, sign_in: false, types: TokenTypes::Svids, ..plan }
}

fn bundle(stand: &Stand) -> String {
    let keys = [
        stand.ec.jwk(r#","kid":"k1","use":"jwt-svid""#),
        Signer::es256().jwk(r#","kid":"x","use":"x509-svid""#),
        stand.rsa.jwk(r#","kid":"plain""#),
    ];
    format!(r#"{{"keys":[{}],"spiffe_sequence":1,"spiffe_refresh_hint":60}}"#, keys.join(","))
}

fn endpoint(stand: &Stand) -> Arc<Identifier> {
    let plans = [Stand::issuer(), domain(KeySource::Given(bundle(stand).into_bytes().into()))];
    let resource =
        ResourcePlan { issuers: vec!["a".to_owned(), "workloads".to_owned()], ..Stand::resource() };
    stand.identities.carry_out(&plans, &[resource]).remove(0)
}

/// A JWT-SVID: no `iss`, no `typ`.
fn svid(stand: &Stand, changes: &[(&str, &str)]) -> String {
    let subject = format!("\"{WORKLOAD}\"");
    let mut all = vec![("iss", ""), ("client_id", ""), ("jti", ""), ("sub", subject.as_str())];
    all.extend(changes);
    stand.with_header(r#"{"alg":"ES256","kid":"k1"}"#, &all)
}

fn refused(fault: TokenFault) -> Result<Identity, Refusal> {
    Err(Refusal::Unauthenticated(Why::Token(fault.text())))
}

#[tokio::test]
async fn a_workload_is_known_by_its_spiffe_id() {
    let stand = Stand::new().await;
    let identifier = endpoint(&stand);
    let principal = Principal::of("spiffe://example.org", WORKLOAD, None);
    // Whatever it has as `iss`: SPIRE puts something there if it is told to.
    for changes in
        [&[][..], &[("iss", "\"https://spire.example.org\"")], &[("iss", "\"spiffe://example.org\"")]]
    {
        let identity = Request::bearer(&svid(&stand, changes)).at(&identifier).await.unwrap();
        assert_eq!(identity.principal, principal);
        assert!(identifier.stands_by(&identity, stand.clock.now()));
    }
    let found = identifier.inspect(&svid(&stand, &[])).await;
    assert!(found.iter().all(|finding| finding.fault.is_none()), "{found:?}");
    // People go on as before.
    let alice = Request::bearer(&stand.token(&[])).at(&identifier).await.unwrap();
    assert_eq!(alice.claims.unwrap().subject, "alice");
}

#[tokio::test]
async fn hostile_svids_are_refused() {
    let stand = Stand::new().await;
    let identifier = endpoint(&stand);
    let subject = |id: &str| svid(&stand, &[("sub", &format!("\"{id}\""))]);
    let claims = stand.claims(&[("iss", ""), ("sub", &format!("\"{WORKLOAD}\""))]);
    let by = |header: &str, signer: &Signer| signed(header, &claims, |text| signer.sign(text));
    let cases = [
        (
            "another trust domain",
            subject("spiffe://example.com/ns/agents/sa/planner"),
            TokenFault::UnknownIssuer,
        ),
        ("one that begins so", subject("spiffe://example.org.evil/a"), TokenFault::UnknownIssuer),
        ("the domain itself", subject("spiffe://example.org"), TokenFault::NoSpiffeId),
        ("a way up", subject("spiffe://example.org/a/../b"), TokenFault::NoSpiffeId),
        ("capitals", subject("spiffe://EXAMPLE.org/a"), TokenFault::NoSpiffeId),
        ("a port", subject("spiffe://example.org:443/a"), TokenFault::NoSpiffeId),
        ("no SPIFFE ID", subject("alice"), TokenFault::UnknownIssuer),
        ("nobody", svid(&stand, &[("sub", "")]), TokenFault::UnknownIssuer),
        ("for nobody", svid(&stand, &[("aud", "")]), TokenFault::Audience),
        ("for another", svid(&stand, &[("aud", "[\"https://other.example/mcp\"]")]), TokenFault::Audience),
        ("without end", svid(&stand, &[("exp", "")]), TokenFault::NoExpiry),
        ("over", svid(&stand, &[("exp", "1")]), TokenFault::Expired),
        ("forged", by(r#"{"alg":"ES256","kid":"k1"}"#, &Signer::es256()), TokenFault::Signature),
        ("by a key for X.509", by(r#"{"alg":"ES256","kid":"x"}"#, &stand.ec), TokenFault::NoKey),
        ("by a key for nothing", by(r#"{"alg":"RS256","kid":"plain"}"#, &stand.rsa), TokenFault::NoKey),
        ("EdDSA", by(r#"{"alg":"EdDSA","kid":"k1"}"#, &Signer::eddsa()), TokenFault::Algorithm),
        ("another type", by(r#"{"alg":"ES256","kid":"k1","typ":"dpop+jwt"}"#, &stand.ec), TokenFault::Type),
    ];
    for (what, token, fault) in cases {
        assert_eq!(Request::bearer(&token).at(&identifier).await, refused(fault), "{what}");
    }
    // What another issuer says of a workload is said of a subject of its own.
    let other = Request::bearer(&stand.token(&[("sub", &format!("\"{WORKLOAD}\""))]));
    let identity = other.at(&identifier).await.unwrap();
    assert_ne!(identity.principal, Principal::of("spiffe://example.org", WORKLOAD, None));
}

/// A bundle endpoint says how often it wants to be asked.
#[tokio::test(start_paused = true)]
async fn a_bundle_is_fetched_as_often_as_it_says() {
    let stand = Stand::new().await;
    stand.idp.says("/bundle", 200, &bundle(&stand));
    let place = Destination::new("http://127.0.0.1:9000/bundle".parse().unwrap()).unwrap();
    let resource = ResourcePlan { issuers: vec!["workloads".to_owned()], ..Stand::resource() };
    let identifier = stand.identifier(domain(KeySource::Url(place)), resource);
    let request = Request::bearer(&svid(&stand, &[]));
    request.at(&identifier).await.unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    request.at(&identifier).await.unwrap();
    assert_eq!(stand.idp.times("/bundle"), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    request.at(&identifier).await.unwrap();
    testkit::idle().await;
    assert_eq!(stand.idp.times("/bundle"), 2);
}

/// A projected token of a service account, as a cluster makes it.
#[tokio::test]
async fn a_service_account_is_known_by_its_cluster() {
    let stand = Stand::new().await;
    let account = |name: &str| format!("\"system:serviceaccount:agents:{name}\"");
    let keys = format!(r#"{{"keys":[{}]}}"#, stand.rsa.jwk(r#","kid":"cluster","use":"sig","alg":"RS256""#));
    let sub = ClaimRule {
        claim: vec!["sub".to_owned()],
        values: vec!["system:serviceaccount:agents:planner".to_owned()],
    };
    let within = ClaimRule {
        claim: ["kubernetes.io", "namespace"].map(str::to_owned).to_vec(),
        values: vec!["agents".to_owned()],
    };
    let cluster = IssuerPlan {
        keys: KeySource::Given(keys.into_bytes().into()),
        required: vec![sub, within],
        ..IssuerPlan::new("a", "https://kubernetes.default.svc.cluster.local")
    };
    let identifier = stand.identifier(cluster, Stand::resource());
    let token = |name: &str, namespace: &str| {
        let bound = format!(
            r#"{{"namespace":"{namespace}","pod":{{"name":"p","uid":"u"}},"serviceaccount":{{"name":"{name}","uid":"u"}}}}"#
        );
        let claims = stand.claims(&[
            ("iss", "\"https://kubernetes.default.svc.cluster.local\""),
            ("aud", "[\"https://gw.example/team/mcp\"]"),
            ("sub", &account(name)),
            ("client_id", ""),
            ("kubernetes.io", &bound),
        ]);
        Request::bearer(&signed(r#"{"alg":"RS256","kid":"cluster"}"#, &claims, |text| stand.rsa.sign(text)))
    };
    let identity = token("planner", "agents").at(&identifier).await.unwrap();
    assert_eq!(identity.claims.unwrap().subject, "system:serviceaccount:agents:planner");
    assert_eq!(token("other", "agents").at(&identifier).await, refused(TokenFault::Rule));
    assert_eq!(token("planner", "other").at(&identifier).await, refused(TokenFault::Rule));
}
