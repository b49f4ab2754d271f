//! Each call is written down once, however it ends, before its last thing leaves.

use std::sync::Arc;
use std::time::Duration;

use base::sink::{Accept, CallFacts, Sink, Untaken};
use futures_util::FutureExt as _;
use testkit::net::MemoryNetwork;
use testkit::server::{Desk, Persona, ScriptedServer};
use tokio::sync::{Semaphore, mpsc};

use crate::ask;
use crate::doors::{Door, Kind};
use crate::stand::{Over, Running, Stand};

/// A sink that takes a record when it is let.
#[derive(Debug)]
struct Slow {
    told: mpsc::UnboundedSender<String>,
    let_go: Arc<Semaphore>,
}

impl Sink for Slow {
    fn accept(&self, facts: &CallFacts) -> Accept {
        let line = format!("{} {:?} {} {}", facts.principal, facts.upstream, facts.method, facts.outcome);
        self.told.send(line).unwrap();
        let let_go = Arc::clone(&self.let_go);
        Accept::Later(Box::pin(async move {
            let_go.acquire().await.map_err(|_closed| Untaken)?.forget();
            Ok(())
        }))
    }
}

/// A gateway with such a sink.
struct Bench {
    running: Running,
    _server: ScriptedServer,
    desk: Desk,
    told: mpsc::UnboundedReceiver<String>,
    let_go: Arc<Semaphore>,
}

async fn bench(persona: Persona) -> Bench {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, persona).await;
    let ((told, hear), let_go) = (mpsc::unbounded_channel(), Arc::new(Semaphore::new(0)));
    stand.sink = Some(Arc::new(Slow { told, let_go: Arc::clone(&let_go) }));
    let running = stand.start().await;
    running.gateway.settled().await;
    testkit::idle().await;
    Bench { running, _server: server, desk, told: hear, let_go }
}

#[tokio::test(start_paused = true)]
async fn an_answer_leaves_when_its_record_is_taken() {
    let Bench { running, mut desk, mut told, let_go, .. } = bench(Persona::modern()).await;
    let client = running.client.clone();
    let mut call =
        tokio::spawn(
            async move { ask::modern(&client, "tools/call", r#""name":"add""#).await.response().await },
        );
    desk.asked("tools/call").await.result(r#"{"resultType":"complete","content":[]}"#).await;
    assert_eq!(told.recv().await.unwrap(), "anonymous \"up\" tools/call ok");
    testkit::idle().await;
    assert!((&mut call).now_or_never().is_none(), "the record is not taken yet");
    let_go.add_permits(1);
    assert!(call.await.unwrap().contains("\"content\""));
}

/// Who waits for an answer may stop waiting while its record is taken, to tell its client that it goes on, and come back.
#[tokio::test(start_paused = true)]
async fn an_answer_is_still_there_when_its_record_takes_long() {
    let mut bench = bench(Persona::modern()).await;
    let client = bench.running.client.clone();
    let call =
        tokio::spawn(
            async move { ask::modern(&client, "tools/call", r#""name":"add""#).await.response().await },
        );
    bench.desk.asked("tools/call").await.result(r#"{"resultType":"complete","content":[]}"#).await;
    assert_eq!(bench.told.recv().await.unwrap(), "anonymous \"up\" tools/call ok");
    // Longer than anything may be silent.
    tokio::time::sleep(Duration::from_secs(60)).await;
    bench.let_go.add_permits(1);
    assert!(call.await.unwrap().contains("\"content\""));
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_here_and_what_fails_is_written_down_too() {
    let Bench { running, mut desk, mut told, let_go, .. } = bench(Persona::modern()).await;
    let_go.add_permits(8);
    for (method, line) in [
        ("tools/list", "anonymous \"\" tools/list ok"),
        ("server/discover", "anonymous \"\" server/discover ok"),
    ] {
        drop(ask::modern(&running.client, method, "").await.response().await);
        assert_eq!(told.recv().await.unwrap(), line);
    }
    let client = running.client.clone();
    let call =
        tokio::spawn(
            async move { ask::modern(&client, "tools/call", r#""name":"add""#).await.response().await },
        );
    desk.asked("tools/call").await.error(-32000, "no", None).await;
    assert_eq!(told.recv().await.unwrap(), "anonymous \"up\" tools/call error");
    assert!(call.await.unwrap().contains("-32000"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_client_leaves_is_written_down_as_cancelled() {
    let Bench { running, mut desk, mut told, .. } = bench(Persona::modern()).await;
    let client = running.client.clone();
    let call = tokio::spawn(async move { ask::modern(&client, "tools/call", r#""name":"add""#).await });
    let _asked = desk.asked("tools/call").await;
    call.abort();
    assert_eq!(told.recv().await.unwrap(), "anonymous \"up\" tools/call cancelled");
}

/// What legacy clients say that is no call is written down, too.
#[tokio::test(start_paused = true)]
async fn what_a_legacy_client_asks_us_is_written_down() {
    let mut bench = bench(Persona::legacy()).await;
    bench.let_go.add_permits(8);
    let mut door = Door::open(Kind::LegacyHttp, &bench.running).await;
    assert_eq!(bench.told.recv().await.unwrap(), "anonymous \"\" initialize ok");
    drop(door.response(&door.body("1", "ping", r#""x":1"#, "")).await);
    assert_eq!(bench.told.recv().await.unwrap(), "anonymous \"\" ping ok");
    let level = door.body("2", "logging/setLevel", r#""level":"loud""#, "");
    assert!(door.response(&level).await.contains("\"error\""));
    assert!(bench.told.recv().await.unwrap().starts_with("anonymous \"\" logging/setLevel "));
}

/// Nobody hears of what is in no record, neither what a server has answered nor what we do.
#[tokio::test(start_paused = true)]
async fn an_answer_whose_record_cannot_be_taken_does_not_leave() {
    let Bench { running, mut desk, mut told, let_go, .. } = bench(Persona::modern()).await;
    let_go.close();
    let client = running.client.clone();
    let call =
        tokio::spawn(
            async move { ask::modern(&client, "tools/call", r#""name":"add""#).await.response().await },
        );
    desk.asked("tools/call").await.result(r#"{"resultType":"complete","content":["secret"]}"#).await;
    assert_eq!(told.recv().await.unwrap(), "anonymous \"up\" tools/call ok");
    let answer = call.await.unwrap();
    assert!(answer.contains("audit_unavailable") && answer.contains("may have been done"), "{answer}");
    assert!(!answer.contains("secret"), "{answer}");
    for (method, params) in [("server/discover", ""), ("tools/call", r#""name":"none""#), ("x/y", "")] {
        let answer = ask::modern(&running.client, method, params).await.response().await;
        assert!(answer.contains("audit_unavailable"), "{method}: {answer}");
    }
}
