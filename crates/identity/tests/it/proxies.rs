//! What a proxy in front says of who calls.

use std::sync::Arc;

use auth::{Identity, Principal, Refusal, Why};
use base::plan::identity::{
    CarriedPlan, CertificateForm, CertificateName, CertificatesPlan, IssuerPlan, Peers, ProxyPlan,
    ResourcePlan,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use identity::{CertificateFault, Identifier, ProxyFault, TokenFault};
use testkit::authority::{Authority, Certificate};
use transport::tls::Presented;

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
    let alone = with(&[]).at(&identifier).await;
    assert!(matches!(alone, Err(Refusal::Unauthenticated(Why::Nothing(_)))), "{alone:?}");
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

const FRONT: &str = "10.0.0.5";
const AGENT: &str = "spiffe://example.com/agents/planner";

fn name(name: &'static str) -> Option<HeaderName> {
    Some(HeaderName::from_static(name))
}

/// A proxy that says who calls, and one that sends certificates.
fn proxies(clients: &Authority, form: CertificateForm) -> Vec<ProxyPlan> {
    let agents = CertificatesPlan {
        name: "agents".to_owned(),
        authorities: clients.pem().into_bytes().into(),
        principal: CertificateName::SanUri,
        allow: None,
        scopes: Vec::new(),
    };
    let users = ProxyPlan {
        name: "front".to_owned(),
        peers: vec![Peers::parse("10.0.0.0/24").unwrap(), Peers::Unix],
        user: name("x-user"),
        groups: name("x-groups"),
        certificate: None,
    };
    let carried = CarriedPlan { header: HeaderName::from_static("client-cert"), form, of: vec![agents] };
    let edge = ProxyPlan {
        name: "edge".to_owned(),
        peers: vec![Peers::parse("192.0.2.1").unwrap()],
        user: None,
        groups: None,
        certificate: Some(carried),
    };
    vec![users, edge]
}

fn behind(stand: &Stand, proxies: Vec<ProxyPlan>) -> Arc<Identifier> {
    stand.identifier(Stand::issuer(), ResourcePlan { proxies, ..Stand::resource() })
}

fn from(peer: &'static str, headers: &[(&'static str, &str)]) -> Request {
    Request { peer, ..with(headers) }
}

fn not_the_word(fault: ProxyFault) -> Result<Identity, Refusal> {
    Err(Refusal::Unauthenticated(Why::Proxy(fault.text())))
}

#[tokio::test]
async fn a_proxy_says_who_calls() {
    let (stand, clients) = (Stand::new().await, Authority::new("clients"));
    let identifier = behind(&stand, proxies(&clients, CertificateForm::Rfc9440));
    for peer in [FRONT, "::ffff:10.0.0.5", "unix"] {
        let request =
            from(peer, &[("x-user", " Zoë "), ("x-groups", "a, b ,,c"), ("x-forwarded-for", "8.8.8.8")]);
        let identity = request.at_once(&identifier).unwrap().unwrap();
        assert_eq!(identity.principal, Principal::of("proxy:front", "Zoë", None), "{peer}");
        assert_eq!(identity.claims.as_ref().unwrap().groups, ["a", "b", "c"]);
        assert!(
            identifier.stands_by(&identity, stand.clock.now())
                && !stand.usual().stands_by(&identity, stand.clock.now())
        );
    }
    // The proxy says of nobody that it is somebody.
    for nobody in [from(FRONT, &[]), from(FRONT, &[("x-user", "")]), from(FRONT, &[("x-groups", "admin")])] {
        assert_eq!(nobody.at(&identifier).await, Err(Refusal::Unauthenticated(Why::NoToken)));
    }
    let bearer = format!("Bearer {}", stand.token(&[]));
    let by_token = from(FRONT, &[("authorization", &bearer)]).at(&identifier).await;
    assert_eq!(subject(by_token), "alice", "a token goes through");
    let two = from(FRONT, &[("authorization", &bearer), ("x-user", "bob")]).at(&identifier).await;
    assert!(matches!(two, Err(Refusal::Malformed(_))));
    let mut headers = HeaderMap::new();
    for header in ["x-user", "x-groups", "client-cert", "client-cert-chain"] {
        headers.insert(header, HeaderValue::from_static("x"));
    }
    identifier.take_away(&mut headers);
    assert!(headers.is_empty());
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let (stand, clients) = (Stand::new().await, Authority::new("clients"));
    let identifier = behind(&stand, proxies(&clients, CertificateForm::Rfc9440));
    let bearer = format!("Bearer {}", stand.token(&[]));
    let long = "a".repeat(2049);
    let cases = [
        ("another address", from("10.0.1.5", &[("x-user", "bob")]), ProxyFault::Elsewhere),
        ("this machine", from("127.0.0.1", &[("x-user", "bob")]), ProxyFault::Elsewhere),
        ("no address", from("", &[("x-user", "bob")]), ProxyFault::Elsewhere),
        ("no address that can be read", from("10.0.0.5:80", &[("x-user", "bob")]), ProxyFault::Elsewhere),
        (
            "an address by its own word",
            from("8.8.8.8", &[("x-user", "bob"), ("x-forwarded-for", FRONT), ("forwarded", "for=10.0.0.5")]),
            ProxyFault::Elsewhere,
        ),
        (
            "with a good token",
            from("8.8.8.8", &[("authorization", &bearer), ("x-user", "bob")]),
            ProxyFault::Elsewhere,
        ),
        ("empty", from("8.8.8.8", &[("x-user", "")]), ProxyFault::Elsewhere),
        (
            "groups alone",
            from("8.8.8.8", &[("x-groups", "admin"), ("authorization", &bearer)]),
            ProxyFault::Elsewhere,
        ),
        ("a certificate", from("8.8.8.8", &[("client-cert", ":AA==:")]), ProxyFault::Elsewhere),
        (
            "a chain",
            from("8.8.8.8", &[("client-cert-chain", ":AA==:"), ("authorization", &bearer)]),
            ProxyFault::Elsewhere,
        ),
        ("the other proxy's header", from(FRONT, &[("client-cert", ":AA==:")]), ProxyFault::Elsewhere),
        ("so the other way round", from("192.0.2.1", &[("x-user", "bob")]), ProxyFault::Elsewhere),
        ("twice", from(FRONT, &[("x-user", "bob"), ("x-user", "bob")]), ProxyFault::Twice),
        ("twice, once empty", from(FRONT, &[("x-user", "bob"), ("x-user", "")]), ProxyFault::Twice),
        (
            "groups twice",
            from(FRONT, &[("x-user", "bob"), ("x-groups", "a"), ("x-groups", "b")]),
            ProxyFault::Twice,
        ),
        ("too long", from(FRONT, &[("x-user", &long)]), ProxyFault::Value),
    ];
    for (what, request, fault) in cases {
        assert_eq!(request.at(&identifier).await, not_the_word(fault), "{what}");
    }
    // On a route that names no proxy it is nothing.
    let plain = from("8.8.8.8", &[("x-user", "bob"), ("authorization", &bearer)]).at(&stand.usual()).await;
    assert_eq!(subject(plain), "alice");
}

fn byte_sequence(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

/// PEM as nginx and Envoy write it into a header.
fn percent(pem: &str) -> String {
    pem.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

#[tokio::test]
async fn a_certificate_comes_in_a_header() {
    let (stand, clients) = (Stand::new().await, Authority::new("clients"));
    let between = clients.intermediate("between");
    let (own, deep) = (clients.sign(&Certificate::of_uri(AGENT)), between.sign(&Certificate::of_uri(AGENT)));
    let (rfc9440, pem, xfcc) = (CertificateForm::Rfc9440, CertificateForm::Pem, CertificateForm::Xfcc);
    let (chain, as_pem) = (byte_sequence(&between.der()), percent(&own.pem()));
    let whole = percent(&format!("{}{}", deep.pem(), between.pem()));
    let hash = "By=spiffe://x/edge;Hash=00ff;Subject=\"CN=a,O=b\\\";Cert=c\"";
    let good = [
        (rfc9440, vec![byte_sequence(&own.der)], vec![]),
        (rfc9440, vec![byte_sequence(&deep.der)], vec![chain.clone()]),
        (rfc9440, vec![byte_sequence(&deep.der)], vec![byte_sequence(&clients.der()), chain.clone()]),
        (
            rfc9440,
            vec![byte_sequence(&deep.der)],
            vec![format!("{} , {chain}", byte_sequence(&clients.der()))],
        ),
        (pem, vec![as_pem.clone()], vec![]),
        (xfcc, vec![format!("{hash};Cert=\"{as_pem}\";URI={AGENT}")], vec![]),
        (xfcc, vec![format!("{hash};Chain=\"{whole}\"")], vec![]),
        (xfcc, vec![format!("cert={};CHAIN=\"{whole}\"", percent(&deep.pem()))], vec![]),
    ];
    let request = |own: &[String], chain: &[String]| {
        let all = own.iter().map(|value| ("client-cert", value.clone()));
        let all = all.chain(chain.iter().map(|value| ("client-cert-chain", value.clone())));
        Request { peer: "192.0.2.1", ..Request::with(all.collect()) }
    };
    for (form, header, chain) in good {
        let identifier = behind(&stand, proxies(&clients, form));
        let identity = request(&header, &chain).at(&identifier).await.unwrap();
        assert_eq!(identity.principal, Principal::of("certificates:agents", AGENT, None), "{form:?}");
        assert!(identity.until.is_some() && identifier.stands_by(&identity, stand.clock.now()));
    }
    let bad = [
        (rfc9440, STANDARD.encode(&own.der), ProxyFault::Value),
        (rfc9440, format!("{};a=b", byte_sequence(&own.der)), ProxyFault::Value),
        (rfc9440, format!("{0}, {0}", byte_sequence(&own.der)), ProxyFault::Value),
        (rfc9440, "::".to_owned() + &chain, ProxyFault::Value),
        (rfc9440, as_pem.clone(), ProxyFault::Value),
        (pem, own.pem().replace('\n', " "), ProxyFault::Value),
        (pem, "alice".to_owned(), ProxyFault::Value),
        (xfcc, hash.to_owned(), ProxyFault::Value),
        (xfcc, format!("Cert=\"{as_pem}\",Cert=\"{as_pem}\""), ProxyFault::Several),
        (xfcc, format!("Cert=\"{as_pem}\";Cert=\"{as_pem}\""), ProxyFault::Value),
        (xfcc, format!("Cert=\"{as_pem}\";Chain=\"{whole}\""), ProxyFault::Value),
        (xfcc, format!("Cert=\"{as_pem}"), ProxyFault::Value),
        (xfcc, format!("Cert=\"{as_pem}\";"), ProxyFault::Value),
    ];
    for (form, header, fault) in bad {
        let identifier = behind(&stand, proxies(&clients, form));
        let outcome = request(std::slice::from_ref(&header), &[]).at(&identifier).await;
        assert_eq!(outcome, not_the_word(fault), "{form:?} {header:.20}");
    }
    let identifier = behind(&stand, proxies(&clients, rfc9440));
    let twice = [byte_sequence(&own.der), byte_sequence(&own.der)];
    assert_eq!(request(&twice, &[]).at(&identifier).await, not_the_word(ProxyFault::Twice));
    // The proxy has asked for the key, and need not know the authorities: those of the route count.
    let stranger = Authority::new("clients").sign(&Certificate::of_uri(AGENT));
    let outcome = request(&[byte_sequence(&stranger.der)], &[]).at(&identifier).await;
    assert_eq!(outcome, Err(CertificateFault::Stranger.into()));
    assert_eq!(
        request(&[byte_sequence(b"garbage")], &[]).at(&identifier).await,
        Err(CertificateFault::Broken.into())
    );
    assert_eq!(request(&[], &[]).at(&identifier).await, Err(Refusal::Unauthenticated(Why::NoToken)));
}

/// What the proxy itself has presented is not its client's.
#[tokio::test]
async fn a_proxys_own_certificate_names_nobody() {
    let (stand, clients) = (Stand::new().await, Authority::new("clients"));
    let proxies = proxies(&clients, CertificateForm::Rfc9440);
    let certificates = proxies[1].certificate.as_ref().unwrap().of.clone();
    let resource = ResourcePlan { proxies, certificates, ..Stand::resource() };
    let identifier = stand.identifier(Stand::issuer(), resource);
    let (edge, own) =
        (clients.sign(&Certificate::of_uri("spiffe://x/edge")), clients.sign(&Certificate::of_uri(AGENT)));
    let presented = Presented::new(vec![edge.der]).unwrap();
    let thumbprint = URL_SAFE_NO_PAD.encode(presented.thumbprint);
    let over = |peer: &'static str, headers: &[(&'static str, &str)]| Request {
        presented: Some(presented.clone()),
        ..from(peer, headers)
    };
    assert_eq!(subject(over("8.8.8.8", &[]).at(&identifier).await), "spiffe://x/edge");
    for peer in ["192.0.2.1", FRONT, "unix"] {
        assert_eq!(
            over(peer, &[]).at(&identifier).await,
            Err(Refusal::Unauthenticated(Why::NoToken)),
            "{peer}"
        );
    }
    let header = byte_sequence(&own.der);
    assert_eq!(subject(over("192.0.2.1", &[("client-cert", &header)]).at(&identifier).await), AGENT);

    // Tokens are bound to the client's, too.
    let token = |thumbprint: &str| {
        format!("Bearer {}", stand.token(&[("cnf", &format!(r#"{{"x5t#S256":"{thumbprint}"}}"#))]))
    };
    let (proxys, clients) = (
        token(&thumbprint),
        token(&URL_SAFE_NO_PAD.encode(Presented::new(vec![own.der]).unwrap().thumbprint)),
    );
    let outcome = over("192.0.2.1", &[("authorization", &proxys)]).at(&identifier).await;
    assert_eq!(outcome, refused(TokenFault::NoCertificate));
    let outcome =
        over("192.0.2.1", &[("authorization", &proxys), ("client-cert", &header)]).at(&identifier).await;
    assert_eq!(outcome, refused(TokenFault::OtherCertificate));
    let outcome =
        over("192.0.2.1", &[("authorization", &clients), ("client-cert", &header)]).at(&identifier).await;
    assert_eq!(subject(outcome), "alice");
}

const ALB: &str = "arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/mcp/1";

/// What an AWS load balancer sends: base64 that is filled up, itself in the header, and no audience.
fn of_alb(header: &str, claims: &str, by: &Signer) -> String {
    let part = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE.encode(bytes);
    let text = format!("{}.{}", part(header.as_bytes()), part(claims.as_bytes()));
    let signature = part(&by.sign(text.as_bytes()));
    format!("{text}.{signature}")
}

/// A public key in PEM.
fn public_pem(by: &Signer) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(by.public_der()))
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_signs_with_keys_of_its_own() {
    let stand = Stand::new().await;
    let place =
        transport::http::client::Destination::new("http://127.0.0.1:9000/pem/".parse().unwrap()).unwrap();
    let plan = IssuerPlan {
        keys: base::plan::identity::KeySource::Named(place),
        signer: Some(ALB.to_owned()),
        audiences: Vec::new(),
        algorithms: vec![base::plan::identity::Algorithm::Es256],
        ..issuer()
    };
    let identifier = stand.identifier(plan, Stand::resource());
    let other = Signer::es256();
    stand.idp.says("/pem/key-1", 200, &public_pem(&stand.ec));
    stand.idp.says("/pem/key-2", 200, &public_pem(&other));
    stand.idp.says("/pem/key-3", 200, "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n");
    let header = |kid: &str, signer: &str| {
        format!(r#"{{"typ":"JWT","kid":"{kid}","alg":"ES256","signer":"{signer}","client":"c"}}"#)
    };
    let claims = stand.claims(&[("aud", ""), ("client_id", ""), ("scope", ""), ("jti", ""), ("iat", "")]);
    for (kid, by) in [("key-1", &stand.ec), ("key-2", &other), ("key-1", &stand.ec)] {
        let token = of_alb(&header(kid, ALB), &claims, by);
        assert!(token.contains("=."), "it is filled up");
        assert_eq!(subject(with(&[(ASSERTION, &token)]).at(&identifier).await), "alice");
    }
    assert_eq!((stand.idp.times("/pem/key-1"), stand.idp.times("/pem/key-2")), (1, 1));
    let cases = [
        (
            "of another load balancer",
            of_alb(&header("key-1", "arn:aws:other"), &claims, &stand.ec),
            TokenFault::Signer,
        ),
        ("of nobody", of_alb(r#"{"kid":"key-1","alg":"ES256"}"#, &claims, &stand.ec), TokenFault::Signer),
        ("by another key", of_alb(&header("key-1", ALB), &claims, &other), TokenFault::Signature),
        ("by a key that is not there", of_alb(&header("key-9", ALB), &claims, &other), TokenFault::NoKey),
        ("by a key elsewhere", of_alb(&header("../keys", ALB), &claims, &other), TokenFault::NoKey),
        ("by no key", of_alb(&header("", ALB), &claims, &other), TokenFault::NoKey),
        (
            "filled up too much",
            of_alb(&header("key-1", ALB), &claims, &stand.ec) + "====",
            TokenFault::NotBase64,
        ),
        (
            "over",
            of_alb(&header("key-1", ALB), &claims.replace(&(stand.now() + 600).to_string(), "1"), &stand.ec),
            TokenFault::Expired,
        ),
    ];
    for (what, token, fault) in cases {
        assert_eq!(with(&[(ASSERTION, &token)]).at(&identifier).await, refused(fault), "{what}");
    }
    let broken = with(&[(ASSERTION, &of_alb(&header("key-3", ALB), &claims, &other))]).at(&identifier).await;
    assert!(matches!(broken, Err(Refusal::Unavailable { .. })));
    assert!(stand.idp.asked().iter().all(|asked| !asked.contains("..")), "names are names");
    // Nobody else may write it so.
    let plain = stand.identifier(issuer(), Stand::resource());
    let filled = of_alb(r#"{"kid":"k1","alg":"ES256"}"#, &stand.claims(&[("aud", "\"app-1\"")]), &stand.ec);
    assert_eq!(with(&[(ASSERTION, &filled)]).at(&plain).await, refused(TokenFault::NotBase64));
}

/// One that signs and one that does not are two, and each alone is good.
#[tokio::test]
async fn two_proxies_may_not_both_say_who_calls() {
    let stand = Stand::new().await;
    let clients = Authority::new("clients");
    let resource = ResourcePlan { proxies: proxies(&clients, CertificateForm::Rfc9440), ..Stand::resource() };
    let both = stand.identifier(issuer(), resource);
    let assertion = token(&stand, &[]);
    assert_eq!(subject(from(FRONT, &[("x-user", "bob")]).at(&both).await), "bob");
    assert!(from(FRONT, &[(ASSERTION, &assertion)]).at(&both).await.is_ok());
    let two = from(FRONT, &[("x-user", "bob"), (ASSERTION, &assertion)]).at(&both).await;
    assert!(matches!(two, Err(Refusal::Malformed(_))), "{two:?}");
}
