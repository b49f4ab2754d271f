//! A stream ends in good order when the token or the key is taken back that opened it.

use std::sync::Arc;
use std::time::Duration;

use identity::ApiKey;
use store::api_keys::ApiKeyFacts;
use store::revocations::Revoked;
use store::{Place, Settings, Store};
use tempfile::TempDir;
use testkit::http::Reply;
use testkit::server::Persona;

use crate::protected::{ISSUER, Protected, send};

const ABLE: &str = r#"{"tools":{"listChanged":true}}"#;
const HOUR: Duration = Duration::from_secs(3600);

async fn stand() -> (TempDir, Arc<Store>, Protected) {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { limit: testkit::PATIENCE, ..Settings::default() };
    let place = Place::Sqlite(dir.path().join("store.db"));
    let store = Arc::new(Store::open(&place, settings).await.unwrap());
    let shared = Arc::clone(&store);
    let stand = Protected::with(&["a"], Persona::modern().able(ABLE).tools(&["t"]), |stand| {
        stand.store = Some(shared);
        stand.resource().api_keys = true;
        stand.plan.routes[0].sse_path = Some("/sse".to_owned());
        stand.resource().sse = Some(("/sse".to_owned(), "https://gw.example/sse".to_owned()));
    })
    .await;
    (dir, store, stand)
}

/// A modern subscription.
async fn listen(stand: &Protected, token: &str) -> Reply {
    let wants = r#""notifications":{"toolsListChanged":true}"#;
    let mut reply = send(&stand.running.client, token, "subscriptions/listen", wants).await;
    let first = testkit::soon("an acknowledgement", reply.event()).await.unwrap();
    assert!(first.contains("acknowledged"), "{first}");
    reply
}

/// The stream of a legacy session.
async fn get(stand: &Protected, token: &str) -> Reply {
    let client = &stand.running.client;
    let bearer = format!("Bearer {token}");
    let accept = ("accept", "application/json, text/event-stream");
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let headers = [("content-type", "application/json"), accept, ("authorization", &*bearer)];
    let opened = client.post(&headers, initialize.as_bytes()).await;
    assert_eq!(opened.status, 200);
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let headers =
        [("accept", "text/event-stream"), ("authorization", &*bearer), ("mcp-session-id", &*session)];
    let reply = client.send(&client.request("GET /mcp", &headers, b"")).await;
    assert_eq!(reply.status, 200);
    reply
}

/// The last event of a stream, which is soon.
async fn last(reply: &mut Reply) -> Option<String> {
    let end = async {
        let mut last = None;
        while let Some(event) = reply.event().await {
            last = Some(event);
        }
        last
    };
    testkit::soon("the end of the stream", end).await
}

#[tokio::test]
async fn streams_end_with_a_revocation() {
    let (_dir, store, stand) = stand().await;
    let (alice, bob) = (stand.token("alice", ""), stand.token("bob", ""));
    let (mut modern, mut legacy) = (listen(&stand, &alice).await, get(&stand, &alice).await);
    let mut other = listen(&stand, &bob).await;
    store.revoke(ISSUER, (Revoked::Token, "of-alice"), HOUR).await.unwrap();
    let result = last(&mut modern).await.unwrap();
    assert!(result.contains(r#""resultType":"complete""#), "{result}");
    last(&mut legacy).await;
    let reply = send(&stand.running.client, &alice, "tools/list", r#""x":1"#).await;
    assert_eq!(reply.status, 401);
    assert!(reply.header("www-authenticate").unwrap().contains("the token was revoked"));
    // The other one goes on.
    let reply = send(&stand.running.client, &bob, "tools/list", r#""x":1"#).await;
    assert_eq!(reply.status, 200);
    goes_on(&stand, &mut other).await;
}

/// A stream that was not meant still tells of what happens.
async fn goes_on(stand: &Protected, other: &mut Reply) {
    stand.servers[0].0.tell("notifications/tools/list_changed", "").await;
    let told = testkit::soon("a change", other.event()).await.unwrap();
    assert!(told.contains("notifications/tools/list_changed"), "{told}");
}

/// The stream of HTTP+SSE is the session.
#[tokio::test]
async fn an_old_stream_ends_with_a_revocation() {
    let (_dir, store, stand) = stand().await;
    let (alice, bob) = (stand.token("alice", ""), stand.token("bob", ""));
    let client = &stand.running.client;
    let open = async |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("accept", "text/event-stream"), ("authorization", &*bearer)];
        let mut reply = client.send(&client.request("GET /sse", &headers, b"")).await;
        assert_eq!(reply.status, 200);
        assert!(testkit::soon("the endpoint", reply.event()).await.unwrap().contains("/sse"));
        reply
    };
    let (mut hers, mut his) = (open(&alice).await, open(&bob).await);
    store.revoke(ISSUER, (Revoked::Token, "of-alice"), HOUR).await.unwrap();
    last(&mut hers).await;
    store.revoke(ISSUER, (Revoked::Subject, "bob"), HOUR).await.unwrap();
    last(&mut his).await;
}

#[tokio::test]
async fn streams_end_with_their_key() {
    let (_dir, store, stand) = stand().await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let key = ApiKey::random().unwrap();
        let facts = ApiKeyFacts {
            id: key.id(),
            principal: "ci".to_owned(),
            routes: Vec::new(),
            scopes: Vec::new(),
            made_at: 0,
            expires_at: None,
        };
        assert!(store.add_api_key(&key.digest(), &facts, None).await.unwrap());
        keys.push(key);
    }
    let (mut modern, mut legacy) = (listen(&stand, keys[0].text()).await, get(&stand, keys[0].text()).await);
    let mut other = listen(&stand, keys[1].text()).await;
    assert!(store.revoke_api_key(&keys[0].id()).await.unwrap());
    let result = last(&mut modern).await.unwrap();
    assert!(result.contains(r#""resultType":"complete""#), "{result}");
    last(&mut legacy).await;
    // Of the same principal, by another key.
    goes_on(&stand, &mut other).await;
}
