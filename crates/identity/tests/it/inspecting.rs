//! What an operator is told that a token is good for, with what must be so besides.

use base::globs::Globs;
use base::plan::identity::{DpopRule, IssuerPlan, ResourcePlan, ScopeRule};
use globset::Glob;
use http::HeaderName;
use identity::{ApiKey, Finding, TokenFault};
use mcp::method::Kind;

use crate::keys::{facts, resource, stand};
use crate::stand::{Request, Stand};

const CERTIFICATE: (&str, &str) = ("cnf", r#"{"x5t#S256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#);
const KEY: (&str, &str) = ("cnf", r#"{"jkt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#);

fn rule(kind: Kind, glob: &str, scope: &str) -> ScopeRule {
    let names = Globs::new(vec![Glob::new(glob).unwrap()]).unwrap();
    ScopeRule { kind, names, scopes: vec![scope.to_owned()] }
}

async fn verdict(
    stand: &Stand,
    (issuer, resource): (IssuerPlan, ResourcePlan),
    claims: &[(&str, &str)],
) -> String {
    Finding::verdict(&stand.identifier(issuer, resource).inspect(&stand.token(claims)).await)
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_is_good_with_what_it_is_bound_to() {
    let stand = Stand::new().await;
    let says = async |change: fn(&mut ResourcePlan), claims: &[(&str, &str)]| {
        let mut resource = Stand::resource();
        change(&mut resource);
        verdict(&stand, (Stand::issuer(), resource), claims).await
    };
    assert_eq!(says(|_| {}, &[]).await, "takes it");
    assert_eq!(
        says(|resource| resource.certificate_bound = true, &[CERTIFICATE]).await,
        "takes it, only over a connection with the certificate that it is bound to"
    );
    assert_eq!(says(|_| {}, &[CERTIFICATE]).await, "refuses it", "nobody can show one");
    assert_eq!(says(|_| {}, &[KEY]).await, "takes it, only with a proof of the key that it is bound to");
    assert_eq!(says(|resource| resource.dpop = DpopRule::Off, &[KEY]).await, "refuses it");
    for rule in [DpopRule::Require, DpopRule::RequireNonce] {
        let resource = ResourcePlan { dpop: rule, ..Stand::resource() };
        let found = stand.identifier(Stand::issuer(), resource).inspect(&stand.token(&[])).await;
        assert_eq!(found.iter().find_map(|finding| finding.fault), Some(TokenFault::NotBound.text()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_proxys_is_good_in_its_header() {
    let stand = Stand::new().await;
    let header = HeaderName::from_static("x-of-the-proxy");
    let issuer = IssuerPlan { token_header: Some(header), ..Stand::issuer() };
    // It is no good where its client could put it.
    let identifier = stand.identifier(issuer.clone(), Stand::resource());
    assert!(Request::bearer(&stand.token(&[])).at(&identifier).await.is_err());
    assert_eq!(
        verdict(&stand, (issuer, Stand::resource()), &[]).await,
        "takes it, only in the header x-of-the-proxy, as the proxy in front sends it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_use_nothing_is_said_to_be_one() {
    let stand = Stand::new().await;
    let says = async |scopes: Vec<ScopeRule>, scope: &str| {
        let resource = ResourcePlan { scopes, ..Stand::resource() };
        verdict(&stand, (Stand::issuer(), resource), &[("scope", scope)]).await
    };
    let all = || [Kind::Tool, Kind::Prompt, Kind::Resource].map(|kind| rule(kind, "*", "use")).to_vec();
    assert_eq!(says(all(), "\"use\"").await, "takes it");
    assert_eq!(says(all(), "").await, "takes it, but with no scope it may use nothing");
    assert_eq!(says(all(), "\"other\"").await, "takes it, but with these scopes it may use nothing");
    let tools = || vec![rule(Kind::Tool, "*", "use"), rule(Kind::Prompt, "x*", "ask")];
    assert_eq!(says(tools(), "").await, "takes it, but with no scope it may use no tools");
    // What is not said of everything is said beside the scopes.
    assert_eq!(says(tools(), "\"use\"").await, "takes it");
    let resource = ResourcePlan { scopes: tools(), ..Stand::resource() };
    let identifier = stand.identifier(Stand::issuer(), resource);
    let found = identifier.inspect(&stand.token(&[("scope", "\"use\"")])).await;
    let lacks = found.iter().find(|finding| finding.what == "lacks").unwrap();
    assert_eq!(lacks.says.as_deref(), Some("ask: what needs one of these is refused"));
}

#[tokio::test]
async fn a_key_is_looked_at_as_it_is_for_a_call() {
    let (_dir, store, stand) = stand().await;
    let scoped = ResourcePlan { scopes: vec![rule(Kind::Tool, "*", "write")], ..resource() };
    let here = stand.identifier(Stand::issuer(), scoped);
    let plain = stand.identifier(Stand::issuer(), Stand::resource());
    let faults = async |key: &str| {
        let found = here.inspect_key(key).await.unwrap();
        assert!(!format!("{found:?}").contains(key));
        found.into_iter().filter_map(|finding| Some((finding.what, finding.fault?))).collect::<Vec<_>>()
    };
    let (key, other) = (ApiKey::random().unwrap(), ApiKey::random().unwrap());
    let unknown = "there is no such key: it has expired, was taken back, or was never made";
    assert_eq!(faults(key.text()).await, [("known", unknown)]);
    assert_eq!(faults("ptln_x").await, [("form", "a character of this key is wrong or missing")]);
    store.add_api_key(&key.digest(), &facts(&key, "ci", &[]), None).await.unwrap();
    store.add_api_key(&other.digest(), &facts(&other, "ci", &["elsewhere"]), None).await.unwrap();
    let found = here.inspect_key(key.text()).await.unwrap();
    assert_eq!(Finding::verdict(&found), "takes it, but with these scopes it may use no tools");
    assert_eq!(faults(other.text()).await, [("routes", "this key is for other routes")]);
    let found = plain.inspect_key(key.text()).await.unwrap();
    assert_eq!(Finding::verdict(&found), "refuses it", "the route takes no keys");
    assert!(store.revoke_api_key(&key.id()).await.unwrap());
    assert_eq!(faults(key.text()).await, [("known", "this key was taken back")]);
    store.close().await;
    assert!(here.inspect_key(other.text()).await.is_err());
}
