//! Who vouches for callers, and what routes ask of them.

use base::plan::identity::{
    Algorithm, CertificateForm, CertificateName, DpopRule, KeySource, Peers, TokenTypes,
};
use insta::assert_snapshot;
use mcp::method::Kind;

use crate::{Files, check, usable};

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
token_header = \"Cf-Access-Jwt-Assertion\"
leeway = \"1m\"
not_before = \"2026-11-30T12:00:00Z\"
types = \"access-tokens\"
claims = {{ subject = \"oid\", groups = \"realm_access.roles\", client = \"https://x.example/client\", policy = [\"department\", \"org.unit\"] }}
require = {{ tid = [\"t1\", \"t2\"] }}
principal_by_client = true
[issuer.workloads]
url = \"spiffe://example.org\"
jwks_url = \"https://spire.example.org/bundle\"
[issuer.opaque]
url = \"https://opaque.example.com\"
introspection = {{ url = \"https://login.example.com/introspect\", client_id = \"gw\", client_secret = \"${{env:TOKEN}}\" }}
[route.main]
public_url = \"https://mcp.example.com/mcp\"
sse_path = \"/old/sse\"
issuers = [\"entra\", \"company\"]
also_audiences = [\"api://mcp\"]
initial_scopes = [\"read\"]
dpop = \"off\"
[route.main.scopes.read]
tools = [\"*\"]
[route.main.scopes.write]
tools = [\"*_create\"]
resources = [\"file:///*\"]
[route.programs]
path = \"/programs\"
public_url = \"https://mcp.example.com/programs\"
issuers = [\"workloads\", \"opaque\"]
without_scope = \"show\"
"
    ));
    let [company, entra, workloads, opaque] = plan.issuers.as_slice() else { panic!("four issuers") };
    assert_eq!((workloads.trust_domain(), workloads.sign_in), (Some("example.org"), false));
    assert_eq!((workloads.algorithms.as_slice(), company.trust_domain()), (&Algorithm::OF_SVIDS[..], None));
    assert_eq!(company.issuer, "https://id.example.com/realms/main");
    assert_eq!((&company.keys, company.types), (&KeySource::Discover, TokenTypes::Usual));
    assert_eq!(entra.issuer, "https://login.example.com/v2.0/", "to the letter");
    assert!(matches!(entra.keys, KeySource::Url(_)) && entra.types == TokenTypes::AccessTokens);
    assert_eq!(entra.algorithms, [Algorithm::Rs256, Algorithm::EdDsa]);
    assert_eq!(entra.claims.groups, ["realm_access", "roles"]);
    assert_eq!(entra.claims.client.as_ref().unwrap(), &["https://x.example/client"]);
    let more: Vec<_> = entra.claims.more.iter().map(|(name, path)| (&**name, path.join(">"))).collect();
    assert_eq!(more, [("department", "department".to_owned()), ("org.unit", "org>unit".to_owned())]);
    assert_eq!(entra.required[0].values, ["t1", "t2"]);
    assert!(entra.principal_by_client && entra.leeway.as_secs() == 60);
    assert_eq!(opaque.introspection.as_ref().unwrap().secret, "t0ken");
    assert_eq!(entra.token_header.as_ref().unwrap(), "cf-access-jwt-assertion");
    assert!(!entra.sign_in && company.sign_in && company.token_header.is_none());
    let since = entra.not_before.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!((since.as_secs(), company.not_before), (1_796_040_000, None));
    let resource = plan.routes[0].resource.as_ref().unwrap();
    assert_eq!(resource.issuers, ["entra", "company"]);
    // What a token may not use is hidden, unless that is not wanted.
    let shows = plan.routes[1].resource.as_ref().unwrap();
    assert_eq!((resource.hides, shows.hides), (true, false));
    assert_eq!((resource.route.as_str(), resource.path.as_str()), ("main", "/mcp"));
    let sse = ("/old/sse".to_owned(), "https://mcp.example.com/old/sse".to_owned());
    assert_eq!(resource.sse, Some(sse));
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

const TLS: &str =
    "[listener.main]\ntls = { certificate = \"cert.pem\", key = \"key.pem\", client_certificates = true }\n";

/// Files with a certificate and its key beside a configuration.
fn with_certificates(text: &str) -> Files {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = Files::new(&[
        ("c.toml", text),
        ("cert.pem", &own.cert.pem()),
        ("key.pem", &own.signing_key.serialize_pem()),
    ]);
    files.mode("key.pem", 0o600);
    files
}

#[test]
fn certificates_say_who_calls() {
    let text = format!(
        "{SERVER}{TLS}[certificates.agents]
ca = \"cert.pem\"
principal = \"san-uri\"
allow = [\"spiffe://example.com/agents/*\"]
scopes = [\"read\"]
[certificates.others]
ca = \"cert.pem\"
principal = \"subject\"
[route.main]
public_url = \"https://mcp.example.com/mcp\"
certificates = [\"agents\"]
"
    );
    let plan = with_certificates(&text).load("c.toml").plan.unwrap();
    assert!(plan.listeners[0].tls.as_ref().unwrap().asks_clients);
    assert!(plan.routes[0].resource.as_ref().unwrap().certificate_bound);
    let [agents] = plan.routes[0].resource.as_ref().unwrap().certificates.as_slice() else { panic!("one") };
    assert_eq!((agents.name.as_str(), agents.principal), ("agents", CertificateName::SanUri));
    assert!(agents.allow.as_ref().unwrap().is_match("spiffe://example.com/agents/a"));
    assert_eq!(agents.scopes, ["read"]);
    assert!(agents.authorities.starts_with(b"-----BEGIN CERTIFICATE-----"));
}

#[test]
fn a_proxy_in_front_says_who_calls() {
    let text = format!(
        "{SERVER}
[certificates.agents]
ca = \"cert.pem\"
principal = \"san-dns\"
[proxy.front]
addresses = [\"10.0.0.0/8\", \"unix\"]
user_header = \"X-User\"
groups_header = \"X-Groups\"
[proxy.edge]
addresses = [\"fd00::1\"]
certificate_header = \"X-Forwarded-Client-Cert\"
certificate_form = \"xfcc\"
certificates = [\"agents\"]
[route.main]
public_url = \"https://mcp.example.com/mcp\"
proxies = [\"edge\", \"front\"]
"
    );
    let plan = with_certificates(&text).load("c.toml").plan.unwrap();
    let resource = plan.routes[0].resource.as_ref().unwrap();
    let [edge, front] = resource.proxies.as_slice() else { panic!("two") };
    assert!(resource.certificate_bound && resource.certificates.is_empty());
    let carried = edge.certificate.as_ref().unwrap();
    assert_eq!((carried.header.as_str(), carried.form), ("x-forwarded-client-cert", CertificateForm::Xfcc));
    assert_eq!((carried.of[0].name.as_str(), &edge.user), ("agents", &None));
    assert_eq!(front.peers, [Peers::parse("10.0.0.0/8").unwrap(), Peers::Unix]);
    assert_eq!(
        (front.user.as_ref().unwrap().as_str(), front.groups.as_ref().unwrap().as_str()),
        ("x-user", "x-groups")
    );
}

#[test]
fn claims_for_policies_are_names_each_once() {
    let of = |names: &str| {
        check(&format!(
            "{SERVER}[issuer.id]\nurl = \"https://id.example\"\nclaims = {{ policy = [{names}] }}\n"
        ))
    };
    let many: Vec<_> = (0..33).map(|number| format!("\"c{number}\"")).collect();
    for (names, said) in [
        (r#""""#, "the name of no claim"),
        (r#""a..b""#, "the name of no claim"),
        (r#""a", "b", "a""#, "stands here twice"),
        (many.join(", ").as_str(), "too many claims"),
    ] {
        let found = of(names);
        assert!(found.contains(said) && found.contains("each once"), "{found}");
    }
    assert!(!of(&many[1..].join(", ")).contains("claim"));
}

#[test]
fn mistakes_with_proxies_say_what_to_do() {
    let route = "[route.main]\npublic_url = \"https://m.example/mcp\"\nproxies = [\"front\"]\n";
    let proxy = |keys: &str| format!("[proxy.front]\n{keys}\n{route}");
    let cases = [
        route.to_owned(),
        proxy("user_header = \"X-User\""),
        proxy("addresses = [\"10.0.0.1\"]"),
        proxy("addresses = [\"10.0.0.1/8\", \"localhost\", \"0.0.0.0/0\"]\nuser_header = \"X-User\""),
        proxy("addresses = [\"10.0.0.1\"]\nuser_header = \"Cookie\"\ngroups_header = \"host\""),
        proxy("addresses = [\"10.0.0.1\"]\nuser_header = \"X-User\"\ngroups_header = \"x-user\""),
        proxy("addresses = [\"10.0.0.1\"]\ncertificate_header = \"Client-Cert\"\ngroups_header = \"X-G\""),
        proxy("addresses = [\"10.0.0.1\"]\nuser_header = \"X-User\"\ncertificates = [\"agents\"]"),
        format!(
            "{}[upstream.b]\nurl = \"https://b.example\"\nforward_headers = [\"X-Groups\"]\n",
            proxy("addresses = [\"10.0.0.1\"]\nuser_header = \"X-User\"\ngroups_header = \"X-Groups\"")
        ),
    ];
    let said: Vec<_> =
        cases.iter().map(|text| format!("{text}{}\n", check(&format!("{SERVER}{text}")))).collect();
    assert_snapshot!(said.join("--------\n"));
}

#[test]
fn mistakes_with_certificates_say_what_to_do() {
    let route = "[route.main]\npublic_url = \"https://m.example/mcp\"\ncertificates = [\"agents\"]\n";
    let agents = "[certificates.agents]\nca = \"cert.pem\"\nprincipal = \"san-uri\"\n";
    let cases = [
        route.to_owned(),
        format!("{agents}{route}"),
        format!("{TLS}[certificates.other]\nca = \"cert.pem\"\nprincipal = \"san-uri\"\n{route}"),
        format!("{TLS}[certificates.agents]\nca = \"key.pem\"\nprincipal = \"san-dns\"\n{route}"),
        format!("{TLS}[certificates.agents]\nprincipal = \"cn\"\n{route}"),
        format!("{TLS}[certificates.agents]\nca = \"cert.pem\"\n{route}"),
        format!("{TLS}{agents}allow = []\nscopes = [\"a b\"]\n{route}"),
        format!("{TLS}{agents}[route.main]\ncertificates = [\"agents\"]\n"),
    ];
    let said: Vec<_> = cases
        .iter()
        .map(|text| format!("{text}{}\n", with_certificates(&format!("{SERVER}{text}")).check("c.toml")))
        .collect();
    assert_snapshot!(said.join("--------\n"));
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
        "[issuer.id]\nurl = \"https://id.example\"\ntoken_header = \"Authorization\"\n".to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\ntoken_header = \"X Y\"\n".to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\ntoken_header = \"X-Assertion\"\n\
         [upstream.b]\nurl = \"https://b.example\"\nforward_headers = [\"x-assertion\"]\n"
            .to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\ntoken_header = \"X-Assertion\"\n\
         introspection = { url = \"https://id.example/i\", client_id = \"a\", client_secret = \"${env:TOKEN}\" }\n"
            .to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\nsigner = \"alb\"\n".to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\nsigner = \"arn:x\"\ntoken_header = \"X-Data\"\njwks_url = \"https://keys.example\"\n".to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\nsigner = \"arn:x\"\ntoken_header = \"X-Data\"\njwks_url = \"https://keys.example/\"\nalgorithms = [\"RS256\"]\naudiences = [\"a\"]\n".to_owned(),
        "[issuer.id]\nurl = \"spiffe://example.org\"\njwks_url = \"https://b.example\"\ntypes = \"access-tokens\"\n".to_owned(),
        "[issuer.id]\nurl = \"spiffe://example.org\"\n".to_owned(),
        "[issuer.id]\nurl = \"spiffe://Example.org/a\"\njwks_file = \"x\"\n".to_owned(),
        route("issuers = [\"id\"]"),
        route("public_url = \"https://m.example/mcp\""),
        route("public_url = \"https://m.example/mcp\"\nissuers = [\"idd\"]"),
        route("public_url = \"https://m.example/other\"\nissuers = [\"id\"]"),
        route("public_url = \"http://m.example/mcp\"\nissuers = [\"id\"]"),
        route("public_url = \"https://m.example/mcp?a=b\"\nissuers = [\"id\"]"),
        route("public_url = \"https://m.example/mcp\"\napi_keys = true"),
        route("public_url = \"https://m.example/mcp\"\nissuers = [\"id\"]\ndpop = \"require\""),
        "store = \"sqlite:x.db\"\n[route.main]\npublic_url = \"https://m.example/mcp\"\napi_keys = true\nissuer_at_origin = true\n".to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\nnot_before = 2026-11-30\n".to_owned(),
        "[issuer.id]\nurl = \"https://id.example\"\nnot_before = \"yesterday\"\n".to_owned(),
        route("public_url = \"https://m.example/mcp\"\nissuers = [\"id\"]\nscopes = { write = {} }"),
        route("public_url = \"https://m.example/mcp\"\nissuers = [\"id\"]\nscopes = { r = { resources = [\"HTTPS://Docs.example/a/*\"] } }"),
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

/// A file that somebody is writing must not take the place of good keys at a reload, and what nobody is asked for is told.
#[test]
fn a_key_set_without_keys_is_an_error() {
    let text = format!(
        "{SERVER}[issuer.id]\nurl = \"https://id.example\"\njwks_file = \"keys.json\"\n[route.main]\n"
    );
    let good =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    for (keys, is_good) in [
        (good, true),
        (good.split_at(40).0, false),
        ("", false),
        ("junk", false),
        ("-----BEGIN PUBLIC KEY-----", false),
        (r#"{"keys":[]}"#, false),
        (r#"{"keys":[{}]}"#, false),
        ("[]", false),
    ] {
        let files = Files::new(&[("c.toml", &text), ("keys.json", keys)]);
        let said = files.check("c.toml");
        assert_eq!(!said.contains("this file holds no key set"), is_good, "{keys}: {said}");
        assert!(said.contains("no route names [issuer.id]"), "{said}");
    }
}

/// A rule that shuts out everybody is hardly meant.
#[test]
fn a_scope_that_nobody_can_have_is_told() {
    let route = |keys: &str| {
        format!(
            "[route.main]\npublic_url = \"https://m.example/mcp\"\n{keys}\n\
             scopes = {{ read = {{ tools = [\"*\"] }}, write = {{ tools = [\"w*\"] }} }}\n"
        )
    };
    let proxy = "[proxy.front]\naddresses = [\"unix\"]\nuser_header = \"X-User\"\n";
    let agents = "[certificates.agents]\nca = \"cert.pem\"\nprincipal = \"san-uri\"\nscopes = [\"read\"]\n";
    let edge = "[proxy.edge]\naddresses = [\"unix\"]\ncertificate_header = \"Client-Cert\"\ncertificates = [\"agents\"]\n";
    let said = |text: &str| with_certificates(&format!("{SERVER}{text}")).check("c.toml");
    let lacks = |said: &str, scope: &str| {
        said.contains(&format!("warning: nobody who calls here can have the scope \"{scope}\""))
    };
    let by_proxy = said(&format!("{proxy}{}", route("proxies = [\"front\"]")));
    assert!(lacks(&by_proxy, "read") && lacks(&by_proxy, "write"), "{by_proxy}");
    assert!(by_proxy.contains("users of a proxy have no scopes"), "{by_proxy}");
    for text in [
        format!("{TLS}{agents}{}", route("certificates = [\"agents\"]")),
        format!("{agents}{edge}{}", route("proxies = [\"edge\"]")),
    ] {
        let by_certificate = said(&text);
        assert!(!lacks(&by_certificate, "read") && lacks(&by_certificate, "write"), "{by_certificate}");
        assert!(by_certificate.contains("[certificates.agents] scopes = [\"write\"]"), "{by_certificate}");
    }
    // Whoever has a token or a key may have any.
    let issuer = "[issuer.id]\nurl = \"https://id.example\"\n";
    let both = said(&format!("{proxy}{issuer}{}", route("proxies = [\"front\"]\nissuers = [\"id\"]")));
    assert!(!both.contains("nobody who calls"), "{both}");
}

/// Clients would find neither.
#[test]
fn two_issuers_at_one_origin_are_an_error() {
    let text = |first: &str, second: &str| {
        let route = |name: &str, keys: &str| {
            format!(
                "[route.{name}]\npath = \"/{name}\"\npublic_url = \"https://m.example/{name}\"\nissuer_at_origin = true\n{keys}\n"
            )
        };
        format!(
            "{SERVER}[issuer.one]\nurl = \"https://one.example\"\n[issuer.two]\nurl = \"https://two.example\"\n\
             [listener.x]\naddress = \"127.0.0.1:1\"\n[listener.y]\naddress = \"127.0.0.1:2\"\n{}{}",
            route("a", first),
            route("b", second)
        )
    };
    let said = check(&text("issuers = [\"one\"]", "issuers = [\"two\"]\nlisteners = [\"y\"]"));
    let message = "error: one issuer can stand at the origin of a listener: \"two\" of route \"b\" and \"one\" of route \"a\" are two";
    assert!(said.contains(message), "{said}");
    let apart = text("issuers = [\"one\"]\nlisteners = [\"x\"]", "issuers = [\"two\"]\nlisteners = [\"y\"]");
    assert!(!check(&apart).contains("origin"), "{}", check(&apart));
    let same = check(&text("issuers = [\"one\"]", "issuers = [\"one\"]"));
    assert!(!same.contains("origin"), "{same}");
}

/// Whoever comes to the other listener is let in by a token, if the route takes any.
#[test]
fn it_is_enough_that_one_listener_of_a_route_asks_for_certificates() {
    let text = |at: &str| {
        format!(
            "{SERVER}{TLS}[listener.plain]\naddress = \"127.0.0.1:1\"\n\
             [certificates.agents]\nca = \"cert.pem\"\nprincipal = \"san-uri\"\n\
             [route.main]\npublic_url = \"https://m.example/mcp\"\ncertificates = [\"agents\"]\n{at}\n"
        )
    };
    let plan = with_certificates(&text("")).load("c.toml").plan.unwrap();
    let resource = plan.routes[0].resource.as_ref().unwrap();
    assert!(resource.certificate_bound && resource.certificates.len() == 1);
    let said = with_certificates(&text("listeners = [\"plain\"]")).check("c.toml");
    assert!(said.contains("error: no listener of this route asks its clients for certificates"), "{said}");
}
