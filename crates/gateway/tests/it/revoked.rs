//! A stream ends in good order when the token or the key is taken back that opened it.

use std::sync::Arc;
use std::time::Duration;

use base::plan::Plan;
use identity::ApiKey;
use store::api_keys::ApiKeyFacts;
use store::revocations::Revoked;
use store::{Place, Settings, Store};
use tempfile::TempDir;
use testkit::http::Reply;
use testkit::server::{Events, Persona};

use crate::protected::{ISSUER, Protected, member, send};
use crate::stand::Stand;

const ABLE: &str = r#"{"tools":{"listChanged":true}}"#;
const HOUR: Duration = Duration::from_secs(3600);

async fn stand() -> (TempDir, Arc<Store>, Protected) {
    stand_of(Persona::modern().able(ABLE).tools(&["t"]), |stand| {
        stand.resource().api_keys = true;
        stand.plan.routes[0].sse_path = Some("/sse".to_owned());
        stand.resource().sse = Some(("/sse".to_owned(), "https://gw.example/sse".to_owned()));
    })
    .await
}

async fn stand_of(persona: Persona, change: impl FnOnce(&mut Stand)) -> (TempDir, Arc<Store>, Protected) {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { limit: testkit::PATIENCE, ..Settings::default() };
    let place = Place::Sqlite(dir.path().join("store.db"));
    let store = Arc::new(Store::open(&place, settings).await.unwrap());
    let shared = Arc::clone(&store);
    let stand = Protected::with(&["a"], persona, |stand| {
        stand.store = Some(shared);
        change(stand);
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

/// A call of alice's whose legacy server waits for her answer.
struct Waiting {
    stand: Protected,
    plan: Plan,
    serving: Events,
    /// The call's id at its server.
    id: String,
    /// The params that go on with it.
    retry: String,
}

impl Waiting {
    /// With what says what is revoked.
    async fn with_store() -> (TempDir, Arc<Store>, Self) {
        let mut plan = None;
        let (dir, store, stand) = stand_of(asking(), |stand| plan = Some(patient(stand))).await;
        (dir, store, Self::of(stand, plan.unwrap()).await)
    }

    async fn without_store() -> Self {
        let mut plan = None;
        let stand = Protected::with(&["a"], asking(), |stand| plan = Some(patient(stand))).await;
        Self::of(stand, plan.unwrap()).await
    }

    async fn of(mut stand: Protected, plan: Plan) -> Self {
        let alice = stand.token("alice", "");
        let (client, desk) = (&stand.running.client, &mut stand.servers[0].1);
        let (reply, (serving, id)) =
            tokio::join!(send(client, &alice, "tools/call", r#""name":"t""#), async {
                let asked = desk.asked("tools/call").await;
                let id = asked.seen.id().unwrap().to_owned();
                let mut serving = asked.stream().await;
                let form = r#"{"message":"m","requestedSchema":{"type":"object","properties":{}}}"#;
                let asks =
                    format!(r#"{{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{form}}}"#);
                serving.message(&asks).await;
                (serving, id)
            });
        let state = member(&reply.response().await, &["result", "requestState"]);
        let retry = format!(
            r#""name":"t","requestState":"{state}","inputResponses":{{"input-1":{{"action":"accept"}}}}"#
        );
        Self { stand, plan, serving, id, retry }
    }

    /// Who brings the answer in good time gets that of the server.
    async fn goes_on(mut self, token: &str) {
        let client = &self.stand.running.client;
        let desk = &mut self.stand.servers[0].1;
        let (reply, ()) = tokio::join!(send(client, token, "tools/call", &self.retry), async {
            let answer = desk.asked("response").await;
            assert!(answer.seen.text().contains("accept"), "{}", answer.seen.text());
            answer.accepted().await;
            self.serving.result("{}").await;
        });
        let text = reply.response().await;
        assert!(text.contains(r#""resultType":"complete""#), "{text}");
    }

    /// The server hears that nobody will answer, and whoever brings the answer all the same, that the call is over.
    async fn ends(mut self) {
        let (server, desk) = &mut self.stand.servers[0];
        let answer = testkit::soon("a refusal of the question", desk.asked("response")).await;
        assert_eq!(answer.seen.id(), Some("\"q\""));
        assert!(answer.seen.text().contains(r#""error""#), "{}", answer.seen.text());
        answer.accepted().await;
        let cancelled = testkit::soon("a cancel", server.saw("notifications/cancelled", 1)).await;
        assert_eq!(cancelled[0].param("requestId"), Some(&*self.id));
        let client = &self.stand.running.client;
        let again = self.stand.renewed("alice", "another");
        let reply = send(client, &again, "tools/call", &self.retry).await;
        let text = reply.response().await;
        assert!(text.contains("-32602") && text.contains("the call is not open any more"), "{text}");
        assert_eq!(self.stand.servers[0].0.seen_of("tools/call").len(), 1);
    }
}

/// A legacy server that asks in mid-call.
fn asking() -> Persona {
    Persona::legacy().scripted(&["response"])
}

/// Its client may take longer to answer than its token is good.
fn patient(stand: &mut Stand) -> Plan {
    stand.upstream("a").deadlines.input = 3 * HOUR;
    stand.plan.clone()
}

#[tokio::test]
async fn a_call_that_waits_ends_when_its_token_is_revoked() {
    let (_dir, store, waiting) = Waiting::with_store().await;
    store.revoke(ISSUER, (Revoked::Token, "of-alice"), HOUR).await.unwrap();
    waiting.ends().await;
}

#[tokio::test]
async fn a_call_that_waits_ends_when_its_subject_is_revoked() {
    let (_dir, store, mut waiting) = Waiting::with_store().await;
    store.revoke(ISSUER, (Revoked::Subject, "alice"), HOUR).await.unwrap();
    let (server, desk) = &mut waiting.stand.servers[0];
    testkit::soon("a refusal of the question", desk.asked("response")).await.accepted().await;
    testkit::soon("a cancel", server.saw("notifications/cancelled", 1)).await;
}

#[tokio::test]
async fn a_call_that_waits_is_not_ended_by_the_revocation_of_others() {
    let (_dir, store, waiting) = Waiting::with_store().await;
    let mut others = Vec::new();
    for subject in ["bob", "carol"] {
        others.push(listen(&waiting.stand, &waiting.stand.token(subject, "")).await);
    }
    store.revoke(ISSUER, (Revoked::Token, "of-bob"), HOUR).await.unwrap();
    store.revoke(ISSUER, (Revoked::Subject, "carol"), HOUR).await.unwrap();
    // It is known by now.
    for other in &mut others {
        last(other).await;
    }
    let token = waiting.stand.token("alice", "");
    waiting.goes_on(&token).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_ends_when_tokens_as_old_as_its_own_are_refused() {
    let mut waiting = Waiting::without_store().await;
    let now = waiting.stand.clock.now();
    waiting.stand.clock.advance(Duration::from_secs(20));
    waiting.plan.issuers[0].not_before = Some(now + Duration::from_secs(10));
    waiting.stand.running.gateway.reload(waiting.plan.clone());
    waiting.ends().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_is_not_ended_by_a_reload_that_its_token_is_good_after() {
    let mut waiting = Waiting::without_store().await;
    waiting.plan.issuers[0].not_before = Some(waiting.stand.clock.now());
    waiting.stand.running.gateway.reload(waiting.plan.clone());
    testkit::idle().await;
    let token = waiting.stand.token("alice", "");
    waiting.goes_on(&token).await;
}

/// Whoever has a new token of the same principal by then brings the answer: nothing was taken back.
#[tokio::test(start_paused = true)]
async fn a_call_that_waits_waits_on_when_its_token_expires() {
    let waiting = Waiting::without_store().await;
    let late = HOUR + Duration::from_secs(60);
    let old = waiting.stand.token("alice", "");
    tokio::time::sleep(late).await;
    waiting.stand.clock.advance(late);
    let reply = send(&waiting.stand.running.client, &old, "tools/call", &waiting.retry).await;
    assert_eq!(reply.status, 401);
    let token = waiting.stand.renewed("alice", "another");
    waiting.goes_on(&token).await;
}
