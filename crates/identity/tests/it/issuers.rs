//! Issuers as they are: rotating, away, slow, odd.

use std::sync::Arc;
use std::time::Duration;

use auth::{Refusal, Why};
use base::plan::identity::{IssuerPlan, KeySource};
use futures_util::future::join_all;
use identity::TokenFault;
use testkit::idle;

use crate::signer::{Signer, signed};
use crate::stand::{Request, Stand};

fn token_by(stand: &Stand, signer: &Signer, kid: &str) -> Request {
    let header = format!(r#"{{"alg":"{}","kid":"{kid}"}}"#, signer.algorithm());
    Request::bearer(&signed(&header, &stand.claims(&[]), |text| signer.sign(text)))
}

fn no_key<T>() -> Result<T, Refusal> {
    Err(Refusal::Unauthenticated(Why::Token(TokenFault::NoKey.text())))
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    let (old, new) = (Request::bearer(&stand.token(&[])), Signer::eddsa());
    old.at(&identifier).await.unwrap();
    let rotated = token_by(&stand, &new, "k3");
    // It is asked once more after a moment; then it is left alone, however often a token names what is not there.
    for _ in 0..20 {
        assert_eq!(rotated.at(&identifier).await, no_key());
    }
    assert_eq!(stand.idp.times("/keys"), 2);
    stand.publish(&[&stand.ec.jwk(r#","kid":"k1""#), &new.jwk(r#","kid":"k3""#)]);
    tokio::time::advance(Duration::from_secs(31)).await;
    // All who come meanwhile wait for one answer.
    let all = join_all((0..50).map(|_| rotated.at(&identifier))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(stand.idp.times("/keys"), 3);
    assert!(old.at_once(&identifier).unwrap().is_ok(), "its key is still there");
}

#[tokio::test(start_paused = true)]
async fn keys_that_change_a_moment_after_they_were_fetched_are_found() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    Request::bearer(&stand.token(&[])).at(&identifier).await.unwrap();
    let new = Signer::eddsa();
    stand.publish(&[&new.jwk(r#","kid":"k3""#)]);
    token_by(&stand, &new, "k3").at(&identifier).await.unwrap();
    // Who names keys that are nowhere has the issuer asked less and less.
    for _ in 0..600 {
        assert_eq!(token_by(&stand, &Signer::es256(), "k9").at(&identifier).await, no_key());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(stand.idp.times("/keys") < 30, "{}", stand.idp.times("/keys"));
}

/// Strangers who name keys that are nowhere do not hold up those who come with the issuer's next key.
#[tokio::test(start_paused = true)]
async fn a_strangers_key_does_not_hold_up_a_new_one() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    Request::bearer(&stand.token(&[])).at(&identifier).await.unwrap();
    let stranger = Signer::es256();
    for number in 0..40 {
        let strange = token_by(&stand, &stranger, &format!("strange-{number}"));
        assert_eq!(strange.at(&identifier).await, no_key());
    }
    let new = Signer::eddsa();
    stand.publish(&[&new.jwk(r#","kid":"k3""#)]);
    let began = tokio::time::Instant::now();
    token_by(&stand, &new, "k3").at(&identifier).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    // However many come, the issuer is asked once a second at most.
    let (before, began) = (stand.idp.times("/keys"), tokio::time::Instant::now());
    let names: Vec<_> =
        (0..2000).map(|number| token_by(&stand, &stranger, &format!("other-{number}"))).collect();
    for some in names.chunks(100) {
        let all = join_all(some.iter().map(|request| request.at(&identifier))).await;
        assert!(all.iter().all(|outcome| *outcome == no_key()));
    }
    let asked = stand.idp.times("/keys") - before;
    assert!(asked as u64 <= began.elapsed().as_secs() + 1, "{asked} in {:?}", began.elapsed());
}

/// Nobody knows whether a key is there that is named while the issuer cannot be asked.
#[tokio::test(start_paused = true)]
async fn a_new_key_of_an_issuer_that_is_away_is_not_the_tokens_fault() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    Request::bearer(&stand.token(&[])).at(&identifier).await.unwrap();
    let new = Signer::eddsa();
    stand.idp.says("/keys", 503, "");
    tokio::time::advance(Duration::from_secs(1)).await;
    for _ in 0..10 {
        let Err(Refusal::Unavailable { retry_after }) = token_by(&stand, &new, "k3").at(&identifier).await
        else {
            panic!("unavailable")
        };
        assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_secs(30), "{retry_after:?}");
        tokio::time::advance(retry_after).await;
    }
    stand.publish(&[&new.jwk(r#","kid":"k3""#)]);
    tokio::time::advance(Duration::from_secs(30)).await;
    token_by(&stand, &new, "k3").at(&identifier).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_back_takes_its_tokens_along() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    let request = Request::bearer(&stand.token(&[]));
    request.at(&identifier).await.unwrap();
    stand.publish(&[&stand.rsa.jwk(r#","kid":"k2""#)]);
    // It is old, so it is fetched beside the call; that one is not held up.
    tokio::time::advance(Duration::from_secs(601)).await;
    stand.advance(1);
    // A token that is known is enough for that: perhaps no other comes.
    assert!(request.at_once(&identifier).unwrap().is_ok());
    idle().await;
    assert_eq!(request.at(&identifier).await, no_key());
    let other = Request::bearer(&stand.token(&[("jti", "\"t2\"")]));
    assert_eq!(other.at(&identifier).await, no_key());
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_stops_only_what_is_new() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    stand.idp.says("/keys", 500, "");
    let request = Request::bearer(&stand.token(&[]));
    // Nobody knows whether the token is good: that is not its fault.
    let Err(Refusal::Unavailable { retry_after }) = request.at(&identifier).await else {
        panic!("unavailable")
    };
    assert!((1..=30).contains(&retry_after.as_secs()) || retry_after > Duration::ZERO, "{retry_after:?}");
    // It is asked again with growing pauses.
    for _ in 0..200 {
        assert!(matches!(request.at(&identifier).await, Err(Refusal::Unavailable { .. })));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!((8..=14).contains(&stand.idp.times("/keys")), "{}", stand.idp.times("/keys"));
    stand.publish(&[&stand.ec.jwk(r#","kid":"k1""#)]);
    tokio::time::advance(Duration::from_secs(31)).await;
    request.at(&identifier).await.unwrap();
    // Away again: known keys go on, for new tokens too.
    stand.idp.hangs(true);
    tokio::time::advance(Duration::from_secs(700)).await;
    stand.idp.says("/keys", 503, "");
    let another = Request::bearer(&stand.token(&[("jti", "\"t2\"")]));
    assert!(another.at_once(&identifier).unwrap().is_ok());
    // A key that is not known may be a new one: who does not answer cannot say so.
    let stranger = Signer::es256();
    for _ in 0..3 {
        let outcome = token_by(&stand, &stranger, "k9").at(&identifier).await;
        assert!(matches!(outcome, Err(Refusal::Unavailable { .. })), "{outcome:?}");
    }
    assert!(another.at_once(&identifier).unwrap().is_ok());
    stand.idp.hangs(false);
    stand.publish(&[&stand.ec.jwk(r#","kid":"k1""#)]);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(token_by(&stand, &stranger, "k9").at(&identifier).await, no_key());
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_hangs_is_given_up() {
    let stand = Stand::new().await;
    let identifier = stand.usual();
    stand.idp.hangs(true);
    let began = tokio::time::Instant::now();
    let refused = Request::bearer(&stand.token(&[])).at(&identifier).await;
    assert!(matches!(refused, Err(Refusal::Unavailable { .. })));
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_an_issuer_says_must_be_clear() {
    let good = move |stand: &Stand| stand.ec.jwk(r#","kid":"k1""#);
    let many = move |stand: &Stand, count: usize| vec![good(stand); count].join(",");
    type Odd = Box<dyn Fn(&Stand)>;
    let metadata = "/realms/a/.well-known/openid-configuration";
    let says = |path: &'static str, status: u16, body: &'static str| -> Odd {
        Box::new(move |stand: &Stand| stand.idp.says(path, status, body))
    };
    let odd: Vec<(&str, Odd)> = vec![
        ("garbage", says("/keys", 200, "<html>")),
        ("no keys", says("/keys", 200, r#"{"keys":[]}"#)),
        ("another thing", says("/keys", 200, r#"{"keys":{}}"#)),
        ("a redirect", says("/keys", 302, "")),
        ("only a secret", says("/keys", 200, r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"k1"}]}"#)),
        (
            "too many keys",
            Box::new(move |stand| {
                stand.idp.says("/keys", 200, &format!(r#"{{"keys":[{}]}}"#, many(stand, 10_000)));
            }),
        ),
        (
            "a hundred and one",
            Box::new(move |stand| {
                stand.idp.says("/keys", 200, &format!(r#"{{"keys":[{}]}}"#, many(stand, 101)));
            }),
        ),
        (
            "too long",
            Box::new(move |stand| {
                let body = format!(r#"{{"keys":[{}],"x":"{}"}}"#, good(stand), "a".repeat(256 * 1024));
                stand.idp.says("/keys", 200, &body);
            }),
        ),
        (
            "another issuer",
            says(
                metadata,
                200,
                r#"{"issuer":"http://127.0.0.1:9000/realms/b","jwks_uri":"http://127.0.0.1:9000/keys"}"#,
            ),
        ),
        (
            "the issuer with a slash",
            says(
                metadata,
                200,
                r#"{"issuer":"http://127.0.0.1:9000/realms/a/","jwks_uri":"http://127.0.0.1:9000/keys"}"#,
            ),
        ),
        (
            "keys elsewhere without TLS",
            says(
                metadata,
                200,
                r#"{"issuer":"http://127.0.0.1:9000/realms/a","jwks_uri":"http://keys.example/keys"}"#,
            ),
        ),
        (
            "keys in a file",
            says(
                metadata,
                200,
                r#"{"issuer":"http://127.0.0.1:9000/realms/a","jwks_uri":"file:///etc/passwd"}"#,
            ),
        ),
        ("no metadata", says(metadata, 404, "")),
    ];
    for (what, make) in odd {
        let stand = Stand::new().await;
        make(&stand);
        let refused = Request::bearer(&stand.token(&[])).at(&stand.usual()).await;
        assert!(matches!(refused, Err(Refusal::Unavailable { .. })), "{what}: {refused:?}");
        let issuer = Arc::clone(&stand.usual().issuers()[0]);
        let why = issuer.probe().await.unwrap_err();
        assert!(!why.is_empty(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn odd_keys_do_not_cost_the_good_ones() {
    let stand = Stand::new().await;
    let other = Signer::es256();
    stand.publish(&[
        r#"{"kty":"oct","k":"AAAA","kid":"k1"}"#,
        &other.jwk(r#","kid":1"#),
        &other.jwk(r#","kid":"k1","use":"enc""#),
        &other.jwk(r#","kid":"k1","key_ops":["encrypt"]"#),
        &other.jwk(r#","kid":"k1","alg":"ES384""#),
        &other.jwk(r#","kid":"k1","d":"AAAA""#),
        r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA","kid":"k1"}"#,
        r#"{"kty":"RSA","n":"AAAA","e":"AQAB","kid":"k1"}"#,
        r#"{"kty":"EC","crv":"secp256k1","x":"AAAA","y":"AAAA"}"#,
        "null",
        "[]",
        &stand.ec.jwk(r#","kid":"k1","x5c":"bad","use":"sig","key_ops":["verify"],"alg":"ES256""#),
    ]);
    let identifier = stand.usual();
    Request::bearer(&stand.token(&[])).at(&identifier).await.unwrap();
    let (used, left_out) = identifier.issuers()[0].probe().await.unwrap().unwrap();
    assert_eq!((used, left_out.len()), (1, 11));
}

#[tokio::test(start_paused = true)]
async fn a_key_without_a_name_must_be_the_only_one() {
    let stand = Stand::new().await;
    let other = Signer::es256();
    let request = Request::bearer(&stand.with_header(r#"{"alg":"ES256"}"#, &[]));
    stand.publish(&[&stand.ec.jwk("")]);
    request.at(&stand.usual()).await.unwrap();
    let stand2 = Stand::new().await;
    stand2.publish(&[&stand2.ec.jwk(""), &other.jwk("")]);
    let refused = Request::bearer(&stand2.with_header(r#"{"alg":"ES256"}"#, &[])).at(&stand2.usual()).await;
    assert_eq!(refused, Err(Refusal::Unauthenticated(Why::Token(TokenFault::SeveralKeys.text()))));
}

#[tokio::test(start_paused = true)]
async fn keys_may_be_given_or_lie_at_a_url() {
    let stand = Stand::new().await;
    let given = format!(r#"{{"keys":[{}]}}"#, stand.ec.jwk(r#","kid":"k1""#));
    let given = IssuerPlan { keys: KeySource::Given(given.into_bytes().into()), ..Stand::issuer() };
    let request = Request::bearer(&stand.token(&[]));
    assert!(request.at_once(&stand.identifier(given.clone(), Stand::resource())).unwrap().is_ok());
    let unknown = token_by(&stand, &Signer::es256(), "k9");
    assert_eq!(unknown.at(&stand.identifier(given, Stand::resource())).await, no_key());
    assert!(stand.idp.asked().is_empty());
    let place =
        transport::http::client::Destination::new("http://127.0.0.1:9000/keys".parse().unwrap()).unwrap();
    let at = IssuerPlan { keys: KeySource::Url(place), ..Stand::issuer() };
    request.at(&stand.identifier(at.clone(), Stand::resource())).await.unwrap();
    assert_eq!((stand.idp.asked().len(), stand.idp.times("/keys")), (1, 1));
    // Plain HTTP only where that is allowed.
    let not = IssuerPlan { allow_http: false, ..at };
    let refused = request.at(&stand.identifier(not, Stand::resource())).await;
    assert!(matches!(refused, Err(Refusal::Unavailable { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_told() {
    let stand = Stand::new().await;
    assert_eq!(stand.usual().issuers()[0].clock_ahead().await, Some(60));
    stand.advance(90);
    assert_eq!(stand.usual().issuers()[0].clock_ahead().await, Some(-30));
    let given = IssuerPlan { keys: KeySource::Given(b"{}".as_slice().into()), ..Stand::issuer() };
    assert_eq!(stand.identifier(given, Stand::resource()).issuers()[0].clock_ahead().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_an_issuer_says_of_itself_is_asked_for_once_in_a_while() {
    let stand = Stand::new().await;
    let issuer = Arc::clone(&stand.usual().issuers()[0]);
    let place = "/realms/a/.well-known/openid-configuration";
    let all = join_all((0..50).map(|_| issuer.metadata())).await;
    let text = all[0].clone().unwrap();
    assert!(text.contains("jwks_uri") && all.iter().all(|one| one.as_ref() == Some(&text)));
    assert_eq!(stand.idp.times(place), 1);
    // What names another issuer is not shown, and neither is what was said long ago.
    let other = r#"{"issuer":"http://127.0.0.1:9000/realms/b","jwks_uri":"http://127.0.0.1:9000/keys"}"#;
    stand.idp.says(place, 200, other);
    assert_eq!(issuer.metadata().await, Some(text));
    tokio::time::advance(Duration::from_secs(301)).await;
    for _ in 0..10 {
        assert_eq!(issuer.metadata().await, None);
    }
    assert_eq!(stand.idp.times(place), 2);
}
