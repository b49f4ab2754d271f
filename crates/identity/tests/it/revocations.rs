//! What is revoked is refused at every replica within a second, and what was opened with it is over.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Claims, Refusal, Why};
use base::plan::identity::{IntrospectionPlan, IssuerPlan};
use http::{HeaderMap, HeaderValue};
use identity::{ApiKey, Identifier, Identities, Lifetime, TokenFault};
use store::Store;
use store::revocations::Revoked;
use transport::http::client::Destination;

use crate::keys::{facts, pass, resource, stand};
use crate::logs::Written;
use crate::stand::{ISSUER, Request, Stand};

const HOUR: Duration = Duration::from_secs(3600);

fn revoked<T>() -> Result<T, Refusal> {
    Err(Refusal::Unauthenticated(Why::Token(TokenFault::Revoked.text())))
}

/// One of several processes that share a store.
struct Replica {
    identities: Identities,
    identifier: Arc<Identifier>,
}

impl Replica {
    fn new(stand: &Stand, issuer: IssuerPlan) -> Self {
        let identities = Identities::new(stand.world.clone());
        let identifier = identities.carry_out(&[issuer], &[resource()]).remove(0);
        Self { identities, identifier }
    }
}

/// Waits until a request is answered so, as it must be soon.
async fn comes_to<T>(what: &str, mut is_so: impl AsyncFnMut() -> Option<T>) -> T {
    let until_so = async {
        loop {
            if let Some(so) = is_so().await {
                return so;
            }
            tokio::task::yield_now().await;
        }
    };
    testkit::soon(what, until_so).await
}

async fn is_refused(request: &Request, replicas: &[Replica]) {
    for replica in replicas {
        comes_to("a refusal", async || {
            let outcome = request.at(&replica.identifier).await;
            (outcome == revoked()).then_some(())
        })
        .await;
    }
}

/// The stand's clock by the database's, which is the machine's.
async fn as_late_as_the_store(stand: &Stand, store: &Store) {
    store.revoke("https://clock.example", (Revoked::Token, "t"), HOUR).await.unwrap();
    let now = store.revocations().await.unwrap()[0].revoked_at;
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap());
    stand.clock.advance(now.duration_since(stand.clock.now()).unwrap());
}

#[tokio::test]
async fn a_token_is_refused_that_is_revoked_by_its_name() {
    let (_dir, store, stand) = stand().await;
    let replicas = [0; 2].map(|_| Replica::new(&stand, Stand::issuer()));
    let (one, other) = (stand.token(&[]), stand.token(&[("jti", "\"t2\"")]));
    let (one, other) = (Request::bearer(&one), Request::bearer(&other));
    for replica in &replicas {
        one.at(&replica.identifier).await.unwrap();
        other.at(&replica.identifier).await.unwrap();
    }
    // Of another issuer, and a subject of that name, are others.
    store.revoke("https://other.example", (Revoked::Token, "t1"), HOUR).await.unwrap();
    store.revoke(ISSUER, (Revoked::Subject, "t1"), HOUR).await.unwrap();
    store.revoke(ISSUER, (Revoked::Token, "t1"), HOUR).await.unwrap();
    is_refused(&one, &replicas).await;
    for replica in &replicas {
        assert!(other.at_once(&replica.identifier).unwrap().is_ok());
    }
    // Another replica's word for it is worth nothing, either.
    let identity = other.at(&replicas[0].identifier).await.unwrap();
    assert!(replicas[1].identifier.stands_by(&identity, stand.clock.now()));
    let claims = Claims { jti: Some("t1".to_owned()), ..(*identity.claims.clone().unwrap()).clone() };
    let claims = Claims::of_json(&claims.to_json()).unwrap();
    let told = auth::Identity::told_by_replica(identity.principal.id(), identity.until, Some(claims));
    assert!(!replicas[1].identifier.stands_by(&told, stand.clock.now()));
    // Whoever starts later knows it before anybody is let in.
    is_refused(&one, &[Replica::new(&stand, Stand::issuer())]).await;
    // A reload forgets nothing.
    let again = replicas[0].identities.carry_out(&[Stand::issuer()], &[Stand::resource()]).remove(0);
    assert_eq!(one.at(&again).await, revoked());
    // And back.
    store.allow(ISSUER, (Revoked::Token, "t1")).await.unwrap();
    for replica in &replicas {
        comes_to("the token", async || one.at(&replica.identifier).await.ok()).await;
    }
}

#[tokio::test]
async fn a_subject_whose_tokens_are_revoked_logs_in_anew() {
    let (_dir, store, stand) = stand().await;
    as_late_as_the_store(&stand, &store).await;
    let replicas = [0; 2].map(|_| Replica::new(&stand, Stand::issuer()));
    let earlier = (stand.now() - 10).to_string();
    let before = Request::bearer(&stand.token(&[("iat", &earlier)]));
    let undated = Request::bearer(&stand.token(&[("iat", "")]));
    let bob = Request::bearer(&stand.token(&[("sub", "\"bob\""), ("iat", &earlier)]));
    for request in [&before, &undated, &bob] {
        request.at(&replicas[0].identifier).await.unwrap();
    }
    store.revoke(ISSUER, (Revoked::Subject, "alice"), HOUR).await.unwrap();
    is_refused(&before, &replicas).await;
    is_refused(&undated, &replicas).await;
    stand.advance(5);
    let after = Request::bearer(&stand.token(&[("jti", "\"t2\"")]));
    for replica in &replicas {
        assert!(bob.at(&replica.identifier).await.is_ok());
        assert!(after.at(&replica.identifier).await.is_ok());
    }
}

/// What was revoked goes on to be, and whoever is not revoked is let in: the store is asked beside the calls.
#[tokio::test]
async fn a_store_that_is_away_changes_nothing_of_what_is_known() {
    let (_dir, store, stand) = stand().await;
    let replica = Replica::new(&stand, Stand::issuer());
    store.revoke(ISSUER, (Revoked::Token, "t1"), HOUR).await.unwrap();
    let (bad, good) = (stand.token(&[]), stand.token(&[("jti", "\"t2\"")]));
    let (bad, good) = (Request::bearer(&bad), Request::bearer(&good));
    assert_eq!(bad.at(&replica.identifier).await, revoked());
    store.close().await;
    assert_eq!(bad.at(&replica.identifier).await, revoked());
    good.at(&replica.identifier).await.unwrap();
    // Who has never known it cannot say who may come.
    let late = Replica::new(&stand, Stand::issuer());
    for request in [&bad, &good] {
        assert!(matches!(request.at(&late.identifier).await, Err(Refusal::Unavailable { .. })));
    }
}

/// Strangers who come while nobody knows what is revoked do not ask a store that is away one after the other.
#[tokio::test]
async fn a_store_that_is_away_is_asked_once_for_all_who_come() {
    let (_dir, store, stand) = stand().await;
    store.close().await;
    let replica = Replica::new(&stand, Stand::issuer());
    let written = Written::default();
    let _guard = written.begin();
    let times = || written.text().matches("which tokens are revoked cannot be found out").count();
    let tokens: Vec<String> =
        (0..50).map(|number| stand.token(&[("jti", &format!("\"t{number}\""))])).collect();
    let requests: Vec<Request> = tokens.iter().map(|token| Request::bearer(token)).collect();
    for asked in 1..=2 {
        let all = requests.iter().map(|request| request.at(&replica.identifier));
        for outcome in futures_util::future::join_all(all).await {
            assert!(matches!(outcome, Err(Refusal::Unavailable { .. })), "{outcome:?}");
        }
        assert_eq!(times(), asked);
        pass(Duration::from_secs(1)).await;
    }
}

fn authorization(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])
}

#[tokio::test]
async fn what_was_opened_is_over_when_it_is_revoked() {
    let (_dir, store, stand) = stand().await;
    let replica = Replica::new(&stand, Stand::issuer());
    let key = ApiKey::random().unwrap();
    store.add_api_key(&key.digest(), &facts(&key, "ci", &[]), None).await.unwrap();
    let other = stand.token(&[("jti", "\"t2\"")]);
    let open = async |token: &str| {
        let identity = Request::bearer(token).at(&replica.identifier).await.unwrap();
        Lifetime::new(&replica.identifier, (identity.until, identity.claims.as_ref()), &authorization(token))
    };
    let mut by_key = open(key.text()).await;
    let (mut one, mut two) = (open(&stand.token(&[])).await, open(&other).await);
    store.revoke_api_key(&key.id()).await.unwrap();
    testkit::soon("the end by a key", by_key.over()).await;
    store.revoke(ISSUER, (Revoked::Token, "t1"), HOUR).await.unwrap();
    testkit::soon("the end by a token", one.over()).await;
    assert!(futures_util::poll!(std::pin::pin!(two.over())).is_pending());
    // By its time.
    pass(Duration::from_secs(500)).await;
    assert!(futures_util::poll!(std::pin::pin!(two.over())).is_pending());
    pass(Duration::from_secs(200)).await;
    testkit::soon("the end in time", two.over()).await;
}

/// An issuer is asked again about a token that says nothing itself, once a minute, for all who came with it.
#[tokio::test(start_paused = true)]
async fn what_was_opened_is_over_when_its_issuer_says_so() {
    let stand = Stand::new().await;
    let plan = IntrospectionPlan {
        endpoint: Destination::new("http://127.0.0.1:9000/introspect".parse().unwrap()).unwrap(),
        client_id: "gateway".to_owned(),
        secret: "secret".to_owned(),
    };
    let issuer = IssuerPlan { introspection: Some(plan), ..Stand::issuer() };
    let identifier = stand.identifier(issuer, Stand::resource());
    let active = stand.claims(&[("active", "true"), ("exp", "")]);
    stand.idp.says("/introspect", 200, &active);
    let identity = Request::bearer("opaque").at(&identifier).await.unwrap();
    assert_eq!(identity.until, None);
    let mut opened = [0; 20]
        .map(|_| Lifetime::new(&identifier, (None, identity.claims.as_ref()), &authorization("opaque")));
    let mut all = Box::pin(futures_util::future::join_all(opened.iter_mut().map(Lifetime::over)));
    for minute in 1..5 {
        stand.advance(76);
        assert!(tokio::time::timeout(Duration::from_secs(76), &mut all).await.is_err());
        assert_eq!(stand.idp.times("/introspect"), 1 + minute);
    }
    // While it is away, what it said last goes on.
    stand.idp.says("/introspect", 500, "");
    stand.advance(76);
    assert!(tokio::time::timeout(Duration::from_secs(76), &mut all).await.is_err());
    stand.idp.says("/introspect", 200, r#"{"active":false}"#);
    stand.advance(76);
    testkit::soon("the end", all).await;
}

/// Whom a proxy in front has named may send a token as well, which is the proxy's and none of ours.
#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_a_token_that_identified_nobody() {
    let stand = Stand::new().await;
    let plan = IntrospectionPlan {
        endpoint: Destination::new("http://127.0.0.1:9000/introspect".parse().unwrap()).unwrap(),
        client_id: "gateway".to_owned(),
        secret: "secret".to_owned(),
    };
    let issuer = IssuerPlan { introspection: Some(plan), ..Stand::issuer() };
    let identifier = stand.identifier(issuer, Stand::resource());
    stand.idp.says("/introspect", 200, r#"{"active":false}"#);
    let named = |issuer: &str| {
        let claims = Claims { issuer: issuer.to_owned(), subject: "alice".to_owned(), ..Claims::default() };
        Arc::new(claims)
    };
    for (by, is_asked) in [("proxy:front", false), (ISSUER, true)] {
        let claims = named(by);
        let mut opened = Lifetime::new(&identifier, (None, Some(&claims)), &authorization("of-the-proxy"));
        let over = tokio::time::timeout(Duration::from_secs(200), opened.over()).await;
        assert_eq!((over.is_ok(), stand.idp.times("/introspect") > 0), (is_asked, is_asked), "{by}");
    }
}

/// What was opened before a reload ends with it, where the tokens of that time are not good any more; and another replica's word for
/// one of them is worth nothing.
#[tokio::test(start_paused = true)]
async fn a_reload_takes_back_what_was_issued_too_early_for_it() {
    let stand = Stand::new().await;
    let replica = Replica::new(&stand, Stand::issuer());
    let token = stand.token(&[]);
    let identity = Request::bearer(&token).at(&replica.identifier).await.unwrap();
    let headers = authorization(&token);
    let whose = (identity.until, identity.claims.as_ref());
    let mut opened = Lifetime::new(&replica.identifier, whose, &headers);
    let mut over = std::pin::pin!(opened.over());
    let reload = |not_before: SystemTime| {
        let issuer = IssuerPlan { not_before: Some(not_before), ..Stand::issuer() };
        replica.identities.carry_out(&[issuer], &[Stand::resource()]).remove(0)
    };
    // At the very second that it was issued it is good.
    let now = stand.clock.now();
    assert!(reload(now).stands_by(&identity, now));
    tokio::select! {
        biased;
        () = &mut over => panic!("it was as good as before"),
        () = testkit::idle() => {}
    }
    assert!(!reload(now + Duration::from_secs(1)).stands_by(&identity, now));
    testkit::soon("its end", over).await;
}
