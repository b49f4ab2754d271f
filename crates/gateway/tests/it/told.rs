//! What records say beside what is counted, where somebody keeps them.

use std::sync::Arc;

use base::detail::{Examine, Keeps};
use base::sink::{Accept, CallFacts, Event, Sink, Untaken};
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::sync::mpsc;

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

/// A sink that wants to know everything.
#[derive(Debug)]
struct Curious {
    told: mpsc::UnboundedSender<CallFacts>,
    noted: mpsc::UnboundedSender<Event>,
}

#[derive(Debug)]
struct Lengths;

impl Examine for Lengths {
    fn digest(&self, text: &[u8]) -> [u8; 32] {
        [u8::try_from(text.len() % 256).unwrap(); 32]
    }

    fn keeps(&self, _: &str, name: &str) -> Keeps {
        Keeps { plain: false, arguments: name == "add", result: name == "add" }
    }

    fn most_kept(&self) -> usize {
        64
    }
}

impl Sink for Curious {
    fn accept(&self, facts: &CallFacts) -> Accept {
        let facts = CallFacts {
            principal: facts.principal.clone(),
            upstream: Arc::clone(&facts.upstream),
            method: facts.method.clone(),
            outcome: facts.outcome,
            took: facts.took,
            detail: facts.detail.clone(),
        };
        self.told.send(facts).unwrap();
        Accept::Now
    }

    fn note(&self, event: Event) {
        self.noted.send(event).unwrap();
    }

    fn must_note(&self, event: Event) -> Accept {
        self.note(event);
        Accept::Later(Box::pin(async { Err(Untaken) }))
    }

    fn examines(&self) -> Option<Arc<dyn Examine>> {
        Some(Arc::new(Lengths))
    }
}

struct Bench {
    running: Running,
    _server: ScriptedServer,
    desk: Desk,
    told: mpsc::UnboundedReceiver<CallFacts>,
    noted: mpsc::UnboundedReceiver<Event>,
}

async fn bench(persona: Persona) -> Bench {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    let ((told, hear), (noted, notes)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    stand.sink = Some(Arc::new(Curious { told, noted }));
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    Bench { running, _server: server, desk, told: hear, noted: notes }
}

#[tokio::test(start_paused = true)]
async fn a_call_has_the_ids_of_both_hops_and_what_is_kept_of_it() {
    let mut bench = bench(Persona::legacy()).await;
    let client = bench.running.client.clone();
    let params = r#""name":"add","arguments":{"a":1}"#;
    let call = tokio::spawn(async move { ask::modern(&client, "tools/call", params).await.response().await });
    bench.desk.asked("tools/call").await.result(r#"{"content":[]}"#).await;
    assert!(call.await.unwrap().contains("\"content\""));
    let facts = bench.told.recv().await.unwrap();
    let detail = facts.detail.unwrap();
    let sent = detail.sent.unwrap().now().unwrap();
    assert!(sent.times == 1 && sent.id > 0 && sent.session.is_some(), "{sent:?}");
    assert_eq!(detail.arguments.unwrap().text.as_deref(), Some(r#"{"a":1}"#));
    assert!(detail.result.unwrap().text.is_some_and(|text| text.contains("\"content\"")));
}

/// What is too long to be kept has its digest, and a list its length.
#[tokio::test(start_paused = true)]
async fn what_is_too_long_is_not_kept_and_a_list_has_a_length() {
    let mut bench = bench(Persona::modern()).await;
    drop(ask::modern(&bench.running.client, "tools/list", "").await.response().await);
    let listed = bench.told.recv().await.unwrap().detail.unwrap();
    assert!(listed.result.is_some_and(|result| result.bytes > 0), "a list has no size");
    let client = bench.running.client.clone();
    let params = format!(r#""name":"add","arguments":{{"a":"{}"}}"#, "x".repeat(64));
    let call =
        tokio::spawn(async move { ask::modern(&client, "tools/call", &params).await.response().await });
    bench.desk.asked("tools/call").await.result(r#"{"resultType":"complete","content":[]}"#).await;
    drop(call.await.unwrap());
    let detail = bench.told.recv().await.unwrap().detail.unwrap();
    let arguments = detail.arguments.unwrap();
    assert!(arguments.text.is_none() && arguments.digest.is_some() && arguments.bytes > 64);
}

/// What a legacy client asks that is no call says as much of itself as a call does.
#[tokio::test(start_paused = true)]
async fn a_legacy_request_that_is_no_call_is_as_detailed() {
    let mut bench = bench(Persona::legacy()).await;
    let mut door = Door::open(Kind::LegacyHttp, &bench.running).await;
    let opened = bench.told.recv().await.unwrap().detail.unwrap();
    assert_eq!(opened.era.unwrap().0, "legacy");
    assert!(opened.route.is_some() && opened.id.is_some() && opened.client.is_some(), "{opened:?}");
    let session = opened.session.unwrap();
    let noted = bench.noted.recv().await.unwrap();
    assert_eq!(noted.kind, "session");
    assert!(noted.members.contains(&("session", session.to_string())), "{noted:?}");
    assert!(noted.members.contains(&("outcome", "opened".to_owned())), "{noted:?}");
    drop(door.response(&door.body("71", "ping", r#""x":1"#, "")).await);
    let ping = bench.told.recv().await.unwrap();
    let detail = ping.detail.unwrap();
    assert_eq!((&*ping.method, detail.id.as_deref()), ("ping", Some("71")));
    assert_eq!(detail.session, Some(session));
    drop(door.response(&door.body("72", "resources/subscribe", r#""uri":"file:///x""#, "")).await);
    let subscribed = bench.told.recv().await.unwrap();
    assert_eq!(subscribed.method, "resources/subscribe");
    assert_eq!(subscribed.detail.unwrap().thing.unwrap(), ("resource", "file:///x".into()));
}

/// A modern server asks a legacy client, which says nothing: the first answer is in a record, and so is what came of the call.
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_behind_a_question_has_a_record_of_that() {
    let mut bench = bench(Persona::modern()).await;
    let able = r#"{"roots":{}}"#;
    let mut door = Door::open_with(Kind::LegacyHttp, &bench.running, able).await;
    assert_eq!(bench.told.recv().await.unwrap().method, "initialize");
    let call = door.body("9", "tools/call", r#""name":"add""#, "");
    let input = r#"{"resultType":"input_required","requestState":"s","inputRequests":{"q":{"method":"roots/list","params":{}}}}"#;
    let asking = async {
        let mut begun = door.begin(&call).await;
        let question = door.next(&mut begun).await.unwrap();
        assert!(question.contains("roots/list"), "{question}");
        let id = testkit::json::at(&question, &["id"]).unwrap();
        door.say(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":"no"}}}}"#)).await;
        door.next(&mut begun).await.unwrap()
    };
    let server = async { bench.desk.asked("tools/call").await.result(input).await };
    let (answer, ()) = tokio::join!(asking, server);
    assert!(answer.contains("\"error\""), "{answer}");
    let first = bench.told.recv().await.unwrap();
    assert_eq!((&*first.method, first.outcome), ("tools/call", "input_required"));
    let second = bench.told.recv().await.unwrap();
    assert_eq!((&*second.method, &*second.upstream), ("tools/call", "up"));
    assert_eq!(second.outcome, "input_refused");
}
