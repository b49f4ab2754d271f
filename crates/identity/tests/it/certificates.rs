//! Certificates of clients: whom they name, and which say nothing.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Principal, Refusal, Why};
use base::globs::Globs;
use base::plan::identity::{
    CarriedPlan, CertificateForm, CertificateName, CertificatesPlan, Peers, ProxyPlan, ResourcePlan,
};
use globset::Glob;
use http::HeaderName;
use identity::{CertificateFault, Identifier};
use store::{Place, Settings, Store};
use testkit::authority::{Authority, Certificate, Signed};
use transport::tls::Presented;

use crate::stand::{Request, Stand};

const AGENT: &str = "spiffe://example.com/agents/planner";

fn plan(name: &str, authority: &Authority, principal: CertificateName) -> CertificatesPlan {
    CertificatesPlan {
        name: name.to_owned(),
        authorities: authority.pem().into_bytes().into(),
        principal,
        allow: None,
        scopes: vec!["read".to_owned()],
    }
}

fn allowing(glob: &str, plan: CertificatesPlan) -> CertificatesPlan {
    CertificatesPlan { allow: Some(Globs::new(vec![Glob::new(glob).unwrap()]).unwrap()), ..plan }
}

fn endpoint(stand: &Stand, certificates: Vec<CertificatesPlan>) -> Arc<Identifier> {
    stand.identifier(Stand::issuer(), ResourcePlan { certificates, ..Stand::resource() })
}

/// A request without a token over a connection with these certificates.
fn shown(chain: Vec<Vec<u8>>) -> Request {
    Request { presented: Presented::new(chain), ..Request::with(Vec::new()) }
}

fn by(signed: &Signed) -> Request {
    shown(vec![signed.der.clone()])
}

fn refused(fault: CertificateFault) -> Refusal {
    fault.into()
}

#[tokio::test]
async fn a_certificate_says_who_calls_until_it_ends() {
    let (stand, authority) = (Stand::new().await, Authority::new("clients"));
    let identifier = endpoint(&stand, vec![plan("agents", &authority, CertificateName::SanUri)]);
    let request = by(&authority.sign(&Certificate::of_uri(AGENT).dns("planner.example.com")));
    for time in ["first", "again"] {
        let identity = request.at_once(&identifier).unwrap().unwrap();
        assert_eq!(identity.principal, Principal::of("certificates:agents", AGENT, None), "{time}");
        // The first of August.
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_542_400);
        assert_eq!(identity.until, Some(end));
        let claims = identity.claims.as_ref().unwrap();
        assert_eq!((claims.subject.as_str(), &*claims.scopes), (AGENT, &["read".to_owned()][..]));
        assert!(identifier.stands_by(&identity, stand.clock.now()));
        assert!(!endpoint(&stand, Vec::new()).stands_by(&identity, stand.clock.now()));
    }
    stand.advance(4 * 24 * 3600 - 1);
    assert!(request.at(&identifier).await.is_ok());
    stand.advance(1);
    assert_eq!(request.at(&identifier).await, Err(refused(CertificateFault::Expired)));
}

#[tokio::test]
async fn each_kind_of_name_is_read() {
    let (stand, authority) = (Stand::new().await, Authority::new("clients"));
    let certificate = Certificate::of_uri(AGENT)
        .dns("Planner.Example.com")
        .email("planner@example.com")
        .subject(rcgen::DnType::OrganizationName, "Example, Inc")
        .subject(rcgen::DnType::CommonName, "planner");
    let request = by(&authority.sign(&certificate));
    for (name, subject) in [
        (CertificateName::SanUri, AGENT),
        (CertificateName::SanDns, "planner.example.com"),
        (CertificateName::SanEmail, "planner@example.com"),
        (CertificateName::Subject, "CN=planner,O=Example\\, Inc"),
    ] {
        let identity = request.at(&endpoint(&stand, vec![plan("x", &authority, name)])).await.unwrap();
        assert_eq!(identity.claims.unwrap().subject, subject);
    }
}

/// What is wrong with it is said, and nothing else makes it good.
#[tokio::test]
async fn hostile_certificates_are_refused() {
    let (stand, authority, other) =
        (Stand::new().await, Authority::new("clients"), Authority::new("clients"));
    let agents = || allowing("spiffe://example.com/agents/*", plan("a", &authority, CertificateName::SanUri));
    let identifier = endpoint(&stand, vec![agents()]);
    let agent = || Certificate::of_uri(AGENT);
    let good = authority.sign(&agent());
    let between = authority.intermediate("between");
    let leaf_of_leaf = between.sign(&agent());
    let mut tampered = good.der.clone();
    *tampered.last_mut().unwrap() ^= 1;
    let trailing = [good.der.as_slice(), &[0]].concat();
    let many = std::iter::once(authority.sign(&agent()).der).chain((0..20).map(|_| other.der())).collect();
    assert!(by(&good).at(&identifier).await.is_ok());
    let cases = [
        ("another authority of the same name", vec![other.sign(&agent()).der], CertificateFault::Stranger),
        ("no way to the authority", vec![leaf_of_leaf.der.clone()], CertificateFault::Stranger),
        (
            "expired",
            vec![authority.sign(&agent().dated((2026, 6, 1), (2026, 7, 28))).der],
            CertificateFault::Expired,
        ),
        (
            "not yet",
            vec![authority.sign(&agent().dated((2026, 7, 29), (2026, 8, 1))).der],
            CertificateFault::NotYet,
        ),
        ("a server's", vec![authority.sign(&agent().of_a_server()).der], CertificateFault::Purpose),
        ("no name", vec![authority.sign(&Certificate::default().dns("a")).der], CertificateFault::NoName),
        (
            "two names",
            vec![authority.sign(&agent().uri("spiffe://example.com/agents/b")).der],
            CertificateFault::SeveralNames,
        ),
        ("the same twice", vec![authority.sign(&agent().uri(AGENT)).der], CertificateFault::SeveralNames),
        (
            "not allowed",
            vec![authority.sign(&Certificate::of_uri("spiffe://example.com/agent/b")).der],
            CertificateFault::NotAllowed,
        ),
        (
            "in the middle",
            vec![authority.sign(&Certificate::of_uri("x:spiffe://example.com/agents/b")).der],
            CertificateFault::NotAllowed,
        ),
        (
            "a space",
            vec![authority.sign(&Certificate::of_uri("spiffe://example.com/agents/b c")).der],
            CertificateFault::Broken,
        ),
        ("an authority itself", vec![authority.der()], CertificateFault::Broken),
        ("signed otherwise", vec![tampered], CertificateFault::Stranger),
        ("something behind", vec![trailing], CertificateFault::Broken),
        ("no certificate", vec![b"-----BEGIN".to_vec()], CertificateFault::Broken),
        ("empty", vec![Vec::new()], CertificateFault::Broken),
        ("a long chain", many, CertificateFault::Broken),
    ];
    for (what, chain, fault) in cases {
        for _time in ["first", "again"] {
            assert_eq!(shown(chain.clone()).at(&identifier).await, Err(refused(fault)), "{what}");
        }
    }
    let whole = shown(vec![leaf_of_leaf.der, between.der()]);
    assert!(whole.at(&identifier).await.is_ok(), "with what lies between");
    assert_eq!(shown(Vec::new()).at(&identifier).await, Err(Refusal::Unauthenticated(Why::NoToken)));
}

#[tokio::test]
async fn two_authorities_make_two_principals() {
    let (stand, one, two) = (Stand::new().await, Authority::new("clients"), Authority::new("clients"));
    let uri = CertificateName::SanUri;
    let identifier = endpoint(&stand, vec![plan("one", &one, uri), plan("two", &two, uri)]);
    let first = by(&one.sign(&Certificate::of_uri(AGENT))).at(&identifier).await.unwrap();
    let second = by(&two.sign(&Certificate::of_uri(AGENT))).at(&identifier).await.unwrap();
    assert_ne!(first.principal, second.principal);
    // A route that names the one has nothing to do with the other.
    let alone = endpoint(&stand, vec![plan("one", &one, uri)]);
    assert_eq!(
        by(&two.sign(&Certificate::of_uri(AGENT))).at(&alone).await,
        Err(refused(CertificateFault::Stranger))
    );
    assert!(!alone.stands_by(&second, stand.clock.now()));
}

/// One authority may stand under two names, for some of its certificates each.
#[tokio::test]
async fn what_one_name_does_not_take_another_may() {
    let (stand, authority) = (Stand::new().await, Authority::new("clients"));
    let agents = allowing("*/agents/*", plan("agents", &authority, CertificateName::SanUri));
    let jobs = allowing("*/jobs/*", plan("jobs", &authority, CertificateName::SanUri));
    let identifier = endpoint(&stand, vec![agents, jobs]);
    let job = by(&authority.sign(&Certificate::of_uri("spiffe://x/jobs/a"))).at(&identifier).await.unwrap();
    assert_eq!(job.claims.unwrap().issuer, "certificates:jobs");
    let neither = by(&authority.sign(&Certificate::of_uri("spiffe://x/users/a")));
    assert_eq!(neither.at(&identifier).await, Err(refused(CertificateFault::NotAllowed)));
}

/// Who sends a token is known by that, whatever the connection has.
#[tokio::test]
async fn a_token_comes_before_a_certificate() {
    let (stand, authority) = (Stand::new().await, Authority::new("clients"));
    let identifier = endpoint(&stand, vec![plan("agents", &authority, CertificateName::SanUri)]);
    let presented = by(&authority.sign(&Certificate::of_uri(AGENT))).presented;
    let good = Request { presented: presented.clone(), ..Request::bearer(&stand.token(&[])) };
    assert_eq!(good.at(&identifier).await.unwrap().claims.unwrap().subject, "alice");
    for authorization in [format!("Bearer {}x", stand.token(&[])), "Basic YTpi".to_owned()] {
        let headers = vec![("authorization", authorization)];
        let request = Request { presented: presented.clone(), ..Request::with(headers) };
        assert!(matches!(request.at(&identifier).await, Err(Refusal::Unauthenticated(_))));
    }
}

/// What is said of a bad certificate asks for no other token, and a client without one hears where to log in.
#[tokio::test]
async fn a_bad_certificate_is_told_from_a_bad_token() {
    let (stand, authority) = (Stand::new().await, Authority::new("clients"));
    let identifier = endpoint(&stand, vec![plan("agents", &authority, CertificateName::SanUri)]);
    let refusal =
        by(&Authority::new("x").sign(&Certificate::of_uri(AGENT))).at(&identifier).await.unwrap_err();
    let challenge = identifier.challenge(&refusal, false).unwrap();
    let challenge = challenge.to_str().unwrap();
    assert!(
        challenge.starts_with("Bearer resource_metadata=") && !challenge.contains("error="),
        "{challenge}"
    );
    assert!(
        challenge.contains("error_description=\"the certificate is not signed by an authority"),
        "{challenge}"
    );
}

/// A certificate that is remembered is looked at again before long: what else is on the way to its authority may end, or be taken out.
#[tokio::test]
async fn the_way_to_the_authority_is_looked_at_again() {
    let (stand, authority) = (Stand::new().await, Authority::new("clients"));
    let between = authority.intermediate_until("between", (2026, 7, 30));
    let identifier = endpoint(&stand, vec![plan("agents", &authority, CertificateName::SanUri)]);
    let own = between.sign(&Certificate::of_uri(AGENT));
    let request = shown(vec![own.der.clone(), between.der()]);
    request.at(&identifier).await.unwrap();
    // The clock of this place says the 28th of July, and the certificate's own time ends in August.
    stand.advance(2 * 24 * 3600 + 1);
    assert_eq!(request.at(&identifier).await, Err(refused(CertificateFault::Expired)));
}

/// Clients show this to people, who cannot know what helps.
#[tokio::test]
async fn who_shows_nothing_is_told_what_would_help() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new("clients"));
    let place = Place::Sqlite(dir.path().join("store.db"));
    let store = Arc::new(Store::open(&place, Settings::default()).await.unwrap());
    let stand = Stand::on(Some(store)).await;
    let certificates = || vec![plan("agents", &authority, CertificateName::SanUri)];
    let proxies = || {
        let user = Some(HeaderName::from_static("x-user"));
        vec![ProxyPlan {
            name: "front".to_owned(),
            peers: vec![Peers::Unix],
            user,
            groups: None,
            certificate: None,
        }]
    };
    let mut seen = Vec::new();
    for (api_keys, by_certificate, by_proxy) in [
        (true, false, false),
        (false, true, false),
        (false, false, true),
        (true, true, false),
        (true, false, true),
        (false, true, true),
        (true, true, true),
    ] {
        let plan = ResourcePlan {
            issuers: Vec::new(),
            api_keys,
            certificates: if by_certificate { certificates() } else { Vec::new() },
            proxies: if by_proxy { proxies() } else { Vec::new() },
            ..Stand::resource()
        };
        let identifier = stand.identifier(Stand::issuer(), plan);
        for request in [shown(Vec::new()), Request::with(vec![("authorization", "Basic YTpi".to_owned())])] {
            let refusal = request.at(&identifier).await.unwrap_err();
            let text = refusal.to_string();
            for (helps, word) in [(api_keys, "API key"), (by_certificate, "certificate"), (by_proxy, "proxy")]
            {
                assert_eq!(text.contains(word), helps, "{text}");
            }
            assert!(!text.contains("access token") && !text.contains(['=', '"', '\\']), "{text}");
            let challenge = identifier.challenge(&refusal, false).unwrap();
            let challenge = challenge.to_str().unwrap();
            let described = format!("error_description=\"{text}\"");
            assert!(challenge.ends_with(&described) && !challenge.contains("error="), "{challenge}");
            seen.push(text);
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 7);
    // Where there are tokens, they come first, and a challenge without a description starts the log-in.
    let both = ResourcePlan { api_keys: true, certificates: certificates(), ..Stand::resource() };
    let identifier = stand.identifier(Stand::issuer(), both);
    assert_eq!(shown(Vec::new()).at(&identifier).await, Err(Refusal::Unauthenticated(Why::NoToken)));
}

/// An operator who lets an authority run out has not taken it out.
#[tokio::test]
async fn an_authority_that_has_ended_vouches_on_and_is_told() {
    let stand = Stand::new().await;
    let (old, good) = (Authority::until("old", (2026, 7, 28)), Authority::until("good", (2026, 7, 29)));
    let mut agents = plan("agents", &old, CertificateName::SanUri);
    agents.authorities = format!("{}{}", good.pem(), old.pem()).into_bytes().into();
    let identifier = endpoint(&stand, vec![agents.clone()]);
    assert!(by(&old.sign(&Certificate::of_uri(AGENT))).at(&identifier).await.is_ok());
    assert_eq!(identifier.ended_authorities(), [("agents".to_owned(), "CN=old".to_owned())]);
    let of = vec![agents];
    let header = HeaderName::from_static("client-cert");
    let certificate = Some(CarriedPlan { header, form: CertificateForm::Rfc9440, of });
    let (name, peers) = ("edge".to_owned(), vec![Peers::Unix]);
    let edge = ProxyPlan { name, peers, user: None, groups: None, certificate };
    let resource = ResourcePlan { proxies: vec![edge], ..Stand::resource() };
    let behind = stand.identifier(Stand::issuer(), resource);
    assert_eq!(behind.ended_authorities(), identifier.ended_authorities());
    stand.advance(24 * 3600);
    assert_eq!(identifier.ended_authorities().len(), 2);
}
