//! Who vouches for callers, and what routes ask of them.

use base::plan::identity::{Algorithm, DpopRule, KeySource, TokenTypes};
use insta::assert_snapshot;
use mcp::method::Kind;

use crate::{check, usable};

const SERVER: &str = "upstream.a.command = 'x'\n";

#[test]
fn a_route_is_a_protected_resource() {
    let plan = usable(&format!(
        "{SERVER}
[issuer.company]
url = \"https://id.example.com/realms/main\"
[issuer.entra]
url = \"https://login.example.com/v2.0/\"
jwks_url = \"https://login.example.com/keys\"
algorithms = [\"RS256\", \"Ed25519\"]
audiences = [\"11-22\"]
leeway = \"1m\"
types = \"access-tokens\"
claims = {{ subject = \"oid\", groups = \"realm_access.roles\", client = \"https://x.example/client\" }}
require = {{ tid = [\"t1\", \"t2\"] }}
principal_by_client = true
introspection = {{ url = \"https://login.example.com/introspect\", client_id = \"gw\", client_secret = \"${{env:TOKEN}}\" }}
[route.main]
public_url = \"https://mcp.example.com/mcp\"
issuers = [\"entra\", \"company\"]
also_audiences = [\"api://mcp\"]
initial_scopes = [\"read\"]
dpop = \"off\"
[route.main.scopes.read]
tools = [\"*\"]
[route.main.scopes.write]
tools = [\"*_create\"]
resources = [\"file:///*\"]
"
    ));
    let [company, entra] = plan.issuers.as_slice() else { panic!("two issuers") };
    assert_eq!(company.issuer, "https://id.example.com/realms/main");
    assert_eq!((&company.keys, company.types), (&KeySource::Discover, TokenTypes::Usual));
    assert_eq!(entra.issuer, "https://login.example.com/v2.0/", "to the letter");
    assert!(matches!(entra.keys, KeySource::Url(_)) && entra.types == TokenTypes::AccessTokens);
    assert_eq!(entra.algorithms, [Algorithm::Rs256, Algorithm::EdDsa]);
    assert_eq!(entra.claims.groups, ["realm_access", "roles"]);
    assert_eq!(entra.claims.client.as_ref().unwrap(), &["https://x.example/client"]);
    assert_eq!(entra.required[0].values, ["t1", "t2"]);
    assert!(entra.principal_by_client && entra.leeway.as_secs() == 60);
    assert_eq!(entra.introspection.as_ref().unwrap().secret, "t0ken");
    let resource = plan.routes[0].resource.as_ref().unwrap();
    assert_eq!(resource.issuers, ["entra", "company"]);
    assert_eq!((resource.route.as_str(), resource.path.as_str()), ("main", "/mcp"));
    assert_eq!(resource.dpop, DpopRule::Off);
    assert_eq!(resource.scopes_of(Kind::Tool, &["x_create"]), ["read", "write"]);
    assert_eq!(resource.scopes_of(Kind::Resource, &["file:///a/b"]), ["write"]);
    assert!(resource.scopes_of(Kind::Prompt, &["x"]).is_empty());
}

#[test]
fn a_route_that_asks_for_nothing_is_open() {
    assert_eq!(usable(SERVER).routes[0].resource, None);
}

#[test]
fn keys_alone_are_enough() {
    let plan = usable(&format!(
        "store = \"sqlite:x.db\"\n{SERVER}route.main = {{ public_url = \"https://m.example/mcp\", api_keys = true }}\n"
    ));
    assert!(plan.routes[0].resource.as_ref().unwrap().api_keys);
}

#[test]
fn mistakes_say_what_to_do() {
    let route = |keys: &str| format!("[issuer.id]\nurl = \"https://id.example\"\n[route.main]\n{keys}\n");
    let files = [
        "[issuer.id]\n".to_owned(),
        "[issuer.id]\nurl = \"http://id.example\"\n".to_owned(),
        "[issuer.id]\nurl = \"http://id.example\"\nallow_http = true\n".to_owned(),
        "[issuer.id]\nurl = \"https://id.example?x=y\"\n".to_owned(),
        "[issuer.id]\nurl = \"id.example\"\n".to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\nalgorithms = [\"HS256\", \"none\"]\n".to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\njwks_url = \"https://a.example\"\njwks_file = \"b\"\n"
            .to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\n[issuer.other]\nurl = \"https://id.example\"\n"
            .to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\nintrospection = { url = \"https://id.example/i\" }\n"
            .to_owned(),
        route("issuers = [\"id\"]"),
        route("public_url = \"https://m.example/mcp\""),
        route("public_url = \"https://m.example/mcp\"\nissuers = [\"idd\"]"),
        route("public_url = \"https://m.example/other\"\nissuers = [\"id\"]"),
        route("public_url = \"http://m.example/mcp\"\nissuers = [\"id\"]"),
        route("public_url = \"https://m.example/mcp?a=b\"\nissuers = [\"id\"]"),
        route("public_url = \"https://m.example/mcp\"\napi_keys = true"),
        route("public_url = \"https://m.example/mcp\"\nissuers = [\"id\"]\ndpop = \"require\""),
        route("public_url = \"https://m.example/mcp\"\nissuers = [\"id\"]\nscopes = { write = {} }"),
        route(
            "public_url = \"https://m.example/mcp\"\nissuers = [\"id\"]\ninitial_scopes = [\"a b\", \"offline_access\"]",
        ),
    ];
    let said: Vec<_> =
        files.iter().map(|file| format!("{file}{}\n", check(&format!("{SERVER}{file}")))).collect();
    assert_snapshot!(said.join("--------\n"));
}

#[test]
fn a_listener_whose_callers_are_known_may_be_reached_from_elsewhere() {
    let listener = "[listener.main]\naddress = \"10.0.0.1:8808\"\n";
    let issuer = "[issuer.id]\nurl = \"https://id.example\"\n";
    let known = "[route.main]\npublic_url = \"https://m.example/mcp\"\nissuers = [\"id\"]\n";
    assert!(check(&format!("{SERVER}{listener}")).contains("without authentication"));
    assert!(!check(&format!("{SERVER}{listener}{issuer}{known}")).contains("without authentication"));
    let open = "[route.open]\npath = \"/open\"\n";
    assert!(check(&format!("{SERVER}{listener}{issuer}{known}{open}")).contains("without authentication"));
}
