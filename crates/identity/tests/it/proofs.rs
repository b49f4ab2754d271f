//! Proofs of possession that are good, once.

use std::sync::Arc;

use auth::{Refusal, Why};
use base::plan::identity::{DpopRule, ResourcePlan};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{Identities, ProofFault, TokenFault};
use store::{Place, Settings, Store};
use testkit::authority::{Authority, Certificate};
use transport::tls::Presented;

use crate::signer::{Signer, b64, signed};
use crate::stand::{RESOURCE, Request, Stand};

/// What a proof says, and who makes it.
pub(crate) struct Made<'a> {
    pub(crate) header: &'a str,
    pub(crate) claims: Vec<(&'static str, String)>,
    pub(crate) by: &'a Signer,
}

pub(crate) fn proof(made: &Made<'_>) -> String {
    let members: Vec<String> =
        made.claims.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    signed(made.header, &format!("{{{}}}", members.join(",")), |text| made.by.sign(text))
}

/// The parts of a good proof for a token.
pub(crate) fn good_proof(stand: &Stand, token: &str, name: &str) -> Vec<(&'static str, String)> {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    vec![
        ("jti", format!("\"{name}\"")),
        ("htm", "\"POST\"".to_owned()),
        ("htu", format!("\"{RESOURCE}\"")),
        ("iat", stand.now().to_string()),
        ("ath", format!("\"{}\"", b64(hash.as_ref()))),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_good_proof_is_good_once() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    for by in [Signer::es256(), Signer::eddsa(), Signer::rsa()] {
        let token = stand.token(&[("cnf", &format!(r#"{{"jkt":"{}"}}"#, by.thumbprint()))]);
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"{}","jwk":{}}}"#, by.algorithm(), by.jwk(""));
        let make = |name: &str, htu: &str| {
            let mut claims = good_proof(&stand, &token, name);
            claims.retain(|(name, _)| *name != "htu");
            claims.push(("htu", format!("\"{htu}\"")));
            Request::dpop(&token, &proof(&Made { header: &header, claims, by: &by }))
        };
        let first = make("one", RESOURCE);
        let identity = first.at(&identifier).await.unwrap();
        assert_eq!(identity.claims.unwrap().subject, "alice");
        let replayed = Err(Refusal::Unauthenticated(Why::Proof(ProofFault::Replayed.text())));
        assert_eq!(first.at(&identifier).await, replayed);
        // The same URL in other words, and without what does not count.
        let same = make("two", "HTTPS://GW.example:443/team/x/../%6Dcp?a=b#c");
        assert!(same.at_once(&identifier).unwrap().is_ok());
        assert_eq!(same.at(&identifier).await, replayed);
        // What HTTP+SSE has beside the endpoint's own path.
        let beside =
            Request { target: "/sse?session=1".to_owned(), ..make("three", "https://gw.example/team/sse") };
        assert!(beside.at(&identifier).await.is_ok());
    }
}

/// RFC 8705 §3: whoever has the token has not the certificate's key. Both bindings hold if there are two.
#[tokio::test]
async fn a_token_may_be_bound_to_a_certificate() {
    let (stand, by) = (Stand::new().await, Signer::es256());
    let identifier = stand.usual();
    // Of no authority that is known here: that is for whoever has bound the token to say.
    let [own, other] = [0; 2].map(|_| {
        let signed = Authority::new("elsewhere").sign(&Certificate::of_uri("spiffe://elsewhere/a"));
        Presented::new(vec![signed.der]).unwrap()
    });
    let thumbprint = URL_SAFE_NO_PAD.encode(own.thumbprint);
    let token = stand.token(&[("cnf", &format!(r#"{{"x5t#S256":"{thumbprint}"}}"#))]);
    let over = |presented: Option<&Presented>, request: Request| Request {
        presented: presented.cloned(),
        ..request
    };
    let refused = |fault: TokenFault| Err(Refusal::Unauthenticated(Why::Token(fault.text())));
    for _time in ["first", "again"] {
        let identity = over(Some(&own), Request::bearer(&token)).at(&identifier).await.unwrap();
        assert_eq!(identity.claims.unwrap().subject, "alice");
        let without = over(None, Request::bearer(&token)).at(&identifier).await;
        assert_eq!(without, refused(TokenFault::NoCertificate));
        let stolen = over(Some(&other), Request::bearer(&token)).at(&identifier).await;
        assert_eq!(stolen, refused(TokenFault::OtherCertificate));
    }
    let as_dpop = over(Some(&own), Request::dpop(&token, "a.b.c")).at(&identifier).await;
    assert_eq!(as_dpop, refused(TokenFault::Unbound));

    let cnf = format!(r#"{{"x5t#S256":"{thumbprint}","jkt":"{}"}}"#, by.thumbprint());
    let both = stand.token(&[("cnf", &cnf)]);
    let proven = |name: &str| {
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"{}","jwk":{}}}"#, by.algorithm(), by.jwk(""));
        let claims = good_proof(&stand, &both, name);
        Request::dpop(&both, &proof(&Made { header: &header, claims, by: &by }))
    };
    assert!(over(Some(&own), proven("one")).at(&identifier).await.is_ok());
    assert_eq!(over(None, proven("two")).at(&identifier).await, refused(TokenFault::NoCertificate));
    assert_eq!(over(Some(&own), Request::bearer(&both)).at(&identifier).await, refused(TokenFault::Bound));

    let told = ResourcePlan { certificate_bound: true, ..Stand::resource() };
    let told = stand.identifier(Stand::issuer(), told);
    assert!(told.metadata().contains(r#""tls_client_certificate_bound_access_tokens":true"#));
    assert!(!identifier.metadata().contains("tls_client_certificate"));
}

/// A token that is bound to a key, and a proof for it.
fn bound(stand: &Stand, name: &str, by: &Signer) -> Request {
    with_nonce(stand, name, by, None)
}

/// The same with a nonce.
fn with_nonce(stand: &Stand, name: &str, by: &Signer, nonce: Option<&str>) -> Request {
    let token = stand.token(&[("cnf", &format!(r#"{{"jkt":"{}"}}"#, by.thumbprint()))]);
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"{}","jwk":{}}}"#, by.algorithm(), by.jwk(""));
    let mut claims = good_proof(stand, &token, name);
    claims.extend(nonce.map(|nonce| ("nonce", format!("\"{nonce}\""))));
    Request::dpop(&token, &proof(&Made { header: &header, claims, by }))
}

#[tokio::test]
async fn a_proof_is_good_at_one_replica() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::Sqlite(dir.path().join("store.db"));
    let settings = Settings { limit: testkit::PATIENCE, ..Settings::default() };
    let store = Arc::new(Store::open(&place, settings).await.unwrap());
    let stand = Stand::on(Some(store)).await;
    let replicas = [0; 3].map(|_| {
        let identities = Identities::among_replicas(stand.world.clone());
        identities.carry_out(&[Stand::issuer()], &[Stand::resource()]).remove(0)
    });
    let by = Signer::es256();
    let replayed = Err(Refusal::Unauthenticated(Why::Proof(ProofFault::Replayed.text())));
    let first = bound(&stand, "one", &by);
    first.at(&replicas[0]).await.unwrap();
    for replica in &replicas {
        assert_eq!(first.at(replica).await, replayed);
    }
    bound(&stand, "two", &by).at(&replicas[1]).await.unwrap();
    // The name is the key's own: another may use it.
    bound(&stand, "one", &Signer::es256()).at(&replicas[2]).await.unwrap();
    // Nobody knows whether it was used when the store is away.
    stand.world.store.as_ref().unwrap().close().await;
    let outcome = bound(&stand, "three", &by).at(&replicas[0]).await;
    assert!(matches!(outcome, Err(Refusal::Unavailable { .. })), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_nonce_is_good_for_its_key_and_for_a_while_at_every_replica() {
    let stand = Stand::new().await;
    let resource = ResourcePlan { dpop: DpopRule::RequireNonce, ..Stand::resource() };
    let replicas = [0; 2].map(|_| {
        Identities::new(stand.world.clone())
            .carry_out(&[Stand::issuer()], std::slice::from_ref(&resource))
            .remove(0)
    });
    let by = Signer::es256();
    let fresh = async |name: &str, by: &Signer, nonce: Option<&str>| match with_nonce(&stand, name, by, nonce)
        .at(&replicas[0])
        .await
    {
        Err(Refusal::Unauthenticated(Why::Nonce(nonce))) => nonce,
        other => panic!("{name}: {other:?}"),
    };
    let first = fresh("one", &by, None).await;
    with_nonce(&stand, "two", &by, Some(&first)).at(&replicas[1]).await.unwrap();
    // What was refused for its nonce was not used.
    with_nonce(&stand, "one", &by, Some(&first)).at(&replicas[0]).await.unwrap();
    fresh("three", &by, Some("made-up")).await;
    fresh("four", &Signer::eddsa(), Some(&first)).await;
    stand.advance(299);
    with_nonce(&stand, "five", &by, Some(&first)).at(&replicas[0]).await.unwrap();
    stand.advance(1);
    let second = fresh("six", &by, Some(&first)).await;
    with_nonce(&stand, "six", &by, Some(&second)).at(&replicas[0]).await.unwrap();
    // Tokens that are not bound are no good here.
    let plain = Request::bearer(&stand.token(&[])).at(&replicas[0]).await;
    assert!(matches!(plain, Err(Refusal::Unauthenticated(Why::Token(_)))));
}
