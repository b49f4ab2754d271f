//! Messages that take long to be read: that is done beside the thread that carries connections, and nothing else is different.

use std::fs;
use std::sync::Arc;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::Persona;

use crate::doors::{Door, Kind};
use crate::stand::{Over, Stand};

/// The threads of this process that the runtime has for what would hold up its connections: it keeps them for some seconds.
fn helpers() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = threads.filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.starts_with("tokio-")).count()
}

fn resources(count: usize) -> String {
    let entry = |n: usize| format!(r#"{{"uri":"a://{n}","name":"{}"}}"#, "x".repeat(1000));
    format!("[{}]", (0..count).map(entry).collect::<Vec<_>>().join(","))
}

async fn listed(persona: Persona, count: usize, alone: bool, over: Over) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let persona = persona.able(r#"{"resources":{}}"#).listing("resources/list", &resources(count));
    drop(stand.add("up", over, persona).await);
    if !alone {
        drop(stand.add("other", Over::Http, Persona::modern().tools(&["t"])).await);
    }
    let running = stand.start().await;
    running.gateway.settled().await;
    for kind in Kind::ALL {
        let mut door = Door::open(kind, &running).await;
        let body = door.body("1", "resources/list", r#""x":1"#, "");
        let text = door.response(&body).await;
        let found = json::at(&text, &["result", "resources"]).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(json::elements(found).len(), count, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn large_lists_are_read_elsewhere_and_small_ones_here() {
    // With other tests in the same process, these threads may be theirs.
    let counts = std::env::var_os("NEXTEST").is_some();
    listed(Persona::modern(), 10, false, Over::Http).await;
    assert!(!counts || helpers() == 0);
    for alone in [false, true] {
        listed(Persona::modern(), 1000, alone, Over::Http).await;
        listed(Persona::legacy(), 1000, alone, Over::Http).await;
        listed(Persona::legacy(), 1000, alone, Over::Stdio).await;
    }
    assert!(!counts || helpers() > 0);
}

/// A request, too.
#[tokio::test(start_paused = true)]
async fn a_large_request_is_read_elsewhere() {
    let counts = std::env::var_os("NEXTEST").is_some();
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", Over::Http, Persona::modern().tools(&["t"])).await;
    server.answer_all(desk, |asked| async move {
        asked.result(r#"{"resultType":"complete","content":[]}"#).await;
    });
    let running = stand.start().await;
    running.gateway.settled().await;
    let text = "y".repeat(400_000);
    for kind in Kind::ALL {
        let mut door = Door::open(kind, &running).await;
        for (text, elsewhere) in [("y", false), (text.as_str(), true)] {
            let before = helpers();
            let params = format!(r#""name":"t","arguments":{{"text":"{text}"}}"#);
            let body = door.body("1", "tools/call", &params, "");
            let answered = door.response(&body).await;
            assert!(json::at(&answered, &["result"]).is_some(), "{answered}");
            assert!(!counts || (if elsewhere { helpers() > 0 } else { helpers() <= before }), "{kind:?}");
        }
    }
    let seen = server.seen_of("tools/call");
    assert!(seen.iter().skip(1).step_by(2).all(|seen| seen.body.len() > 400_000));
}
