//! Keys of Portolan's own.

use std::sync::Arc;
use std::time::Duration;

use auth::{Principal, Refusal, Why};
use base::plan::identity::{DpopRule, IntrospectionPlan, IssuerPlan, ResourcePlan};
use identity::{ApiKey, Identities, TokenFault};
use store::api_keys::ApiKeyFacts;
use store::{Place, Settings, Store};
use tempfile::TempDir;
use transport::http::client::Destination;

use crate::stand::{Request, Stand};

pub(crate) fn facts(key: &ApiKey, principal: &str, routes: &[&str]) -> ApiKeyFacts {
    ApiKeyFacts {
        id: key.id(),
        principal: principal.to_owned(),
        routes: routes.iter().map(|route| (*route).to_owned()).collect(),
        scopes: vec!["read".to_owned()],
        made_at: 0,
        expires_at: None,
    }
}

pub(crate) fn resource() -> ResourcePlan {
    ResourcePlan { api_keys: true, ..Stand::resource() }
}

fn unknown<T>() -> Result<T, Refusal> {
    Err(Refusal::Unauthenticated(Why::Token(TokenFault::UnknownKey.text())))
}

pub(crate) async fn stand() -> (TempDir, Arc<Store>, Stand) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::Sqlite(dir.path().join("store.db"));
    let settings = Settings { limit: testkit::PATIENCE, ..Settings::default() };
    let store = Arc::new(Store::open(&place, settings).await.unwrap());
    let stand = Stand::on(Some(Arc::clone(&store))).await;
    (dir, store, stand)
}

/// Lets so much time pass, for all but the store.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_key_says_who_it_is_until_it_is_taken_back() {
    let (_dir, store, stand) = stand().await;
    let replicas = [0; 2]
        .map(|_| Identities::new(stand.world.clone()).carry_out(&[Stand::issuer()], &[resource()]).remove(0));
    let key = ApiKey::random().unwrap();
    let request = Request::bearer(key.text());
    assert_eq!(request.at(&replicas[0]).await, unknown(), "nobody has added it");
    store.add_api_key(&key.digest(), &facts(&key, "ci", &["main", "ops"]), None).await.unwrap();
    pass(Duration::from_secs(1)).await;
    for replica in &replicas {
        let identity = request.at(replica).await.unwrap();
        assert_eq!((&identity.principal, identity.until), (&Principal::of_key("ci"), None));
        let claims = identity.claims.clone().unwrap();
        assert_eq!(
            (claims.scopes.as_slice(), &claims.jti),
            (["read".to_owned()].as_slice(), &Some(key.id()))
        );
        assert_eq!(request.at_once(replica), Some(Ok(identity)), "it is known for a moment");
    }
    store.revoke_api_key(&key.id()).await.unwrap();
    pass(Duration::from_secs(1)).await;
    for replica in &replicas {
        assert_eq!(request.at(replica).await, unknown());
    }
}

#[tokio::test]
async fn a_key_is_good_where_and_as_long_as_it_is_to_be() {
    let (_dir, store, stand) = stand().await;
    let add = async |routes: &[&str], keep| {
        let key = ApiKey::random().unwrap();
        store.add_api_key(&key.digest(), &facts(&key, "ci", routes), keep).await.unwrap();
        Request::bearer(key.text())
    };
    let at = |resource: ResourcePlan| stand.identifier(Stand::issuer(), resource);
    assert_eq!(add(&["ops"], None).await.at(&at(resource())).await, unknown());
    assert!(add(&[], None).await.at(&at(resource())).await.is_ok());
    assert_eq!(add(&[], Some(Duration::ZERO)).await.at(&at(resource())).await, unknown());
    // By the clock of the database, which is the machine's.
    let expiring = add(&[], Some(Duration::from_secs(3600))).await.at(&at(resource())).await.unwrap();
    assert!(expiring.until.is_some_and(|until| until > stand.clock.now()));
    let everywhere = add(&[], None).await;
    let bound = ResourcePlan { dpop: DpopRule::Require, ..resource() };
    let fault = |fault: TokenFault| Err(Refusal::Unauthenticated(Why::Token(fault.text())));
    assert_eq!(everywhere.at(&at(bound)).await, fault(TokenFault::NotBound));
    // Where keys are not good, nobody is asked about one, however able.
    let plan = IntrospectionPlan {
        endpoint: Destination::new("http://127.0.0.1:9000/introspect".parse().unwrap()).unwrap(),
        client_id: "gateway".to_owned(),
        secret: "secret".to_owned(),
    };
    let asking = IssuerPlan { introspection: Some(plan), ..Stand::issuer() };
    assert_eq!(everywhere.at(&stand.identifier(asking, Stand::resource())).await, unknown());
    assert!(stand.idp.asked().is_empty());
}

#[tokio::test]
async fn a_store_that_is_away_says_nothing_of_a_key() {
    let (_dir, store, stand) = stand().await;
    let identifier = stand.identifier(Stand::issuer(), resource());
    let key = ApiKey::random().unwrap();
    store.add_api_key(&key.digest(), &facts(&key, "ci", &[]), None).await.unwrap();
    let request = Request::bearer(key.text());
    request.at(&identifier).await.unwrap();
    store.close().await;
    assert!(request.at_once(&identifier).unwrap().is_ok(), "it was known a moment ago");
    pass(Duration::from_secs(1)).await;
    assert!(matches!(request.at(&identifier).await, Err(Refusal::Unavailable { .. })));
    // What cannot be a key is refused by its looks.
    let mistyped = Request::bearer(&key.text().replace("ptln_", "ptln_0"));
    assert_eq!(mistyped.at_once(&identifier), Some(unknown()));
}
