//! How a conversation with a legacy server opens where it is not plain: a probe that is refused, a revision that is, and
//! HTTP+SSE in answer to a POST.

use std::sync::Arc;

use testkit::json;
use testkit::net::MemoryNetwork;
use testkit::server::{Asked, Desk, Persona, ScriptedServer};

use crate::failures::{OK, call, reason};
use crate::stand::{Over, Running, Stand};

async fn with(over: Over, persona: Persona) -> (Running, ScriptedServer, Desk) {
    let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
    let (server, desk) = stand.add("up", over, persona).await;
    (stand.start().await, server, desk)
}

/// How a server refuses a probe says nothing of `initialize`, and how it refuses that is what counts.
#[tokio::test(start_paused = true)]
async fn a_refused_probe_is_not_the_end() {
    for status in [400, 401, 403, 404, 405, 408, 415, 429, 500, 501, 503] {
        for opens in [true, false] {
            let scripted: &[&str] =
                if opens { &["server/discover"] } else { &["server/discover", "initialize"] };
            let (running, server, desk) = with(Over::Http, Persona::legacy().scripted(scripted)).await;
            server.answer_all(desk, move |asked| async move {
                match asked.seen.method().as_str() {
                    "server/discover" => asked.respond(status, "text/plain", &[], b"no").await,
                    "initialize" => asked.respond(403, "text/plain", &[], b"no").await,
                    _ => asked.result(OK).await,
                }
            });
            let text = call(&running, "t").await.unwrap();
            if opens {
                assert!(text.contains("content"), "{status}: {text}");
            } else {
                assert_eq!(reason(&text), Some("upstream_unauthorized"), "{status}: {text}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_up_on_a_probe_is_introduced_all_the_same() {
    let (running, server, desk) = with(Over::Http, Persona::legacy().scripted(&["server/discover"])).await;
    server.answer_all(desk, |asked| async move {
        match asked.seen.method().as_str() {
            "server/discover" => asked.abort(),
            _ => asked.result(OK).await,
        }
    });
    assert!(call(&running, "t").await.unwrap().contains("content"));
    assert_eq!(server.sessions_opened(), 1);
}

/// Refuses `initialize` in revisions that it does not speak.
async fn introduce(asked: Asked, speaks: &'static str, status: u16, refusal: &'static str) {
    let wanted = asked.seen.param("protocolVersion").unwrap().trim_matches('"').to_owned();
    let id = asked.seen.id().unwrap();
    if wanted == speaks {
        let result = format!(
            r#"{{"protocolVersion":"{speaks}","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"s","version":"1"}}}}"#
        );
        return asked.result_with(&[("mcp-session-id", "s")], &result).await;
    }
    let body = refusal.replace("ID", id).replace("WANTED", &wanted);
    let media = if body.starts_with('{') { "application/json" } else { "text/plain" };
    asked.respond(status, media, &[], body.as_bytes()).await;
}

#[tokio::test(start_paused = true)]
async fn initialize_is_tried_again_in_a_revision_that_the_server_speaks() {
    const NAMED: &str = r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"Unsupported protocol version","data":{"supported":["2024-11-05","2025-06-18"],"requested":"WANTED"}}}"#;
    const IN_TEXT: &str = r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"Bad Request: Unsupported protocol version WANTED (supported versions: 2024-11-05, 2025-06-18)"}}"#;
    const UNNAMED: &str = r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"unsupported protocol version: WANTED"}}"#;
    const PLAIN: &str = "Unsupported protocol version WANTED, use 2025-06-18";
    let ways = [
        (Over::Http, 400, NAMED),
        (Over::Http, 200, NAMED),
        (Over::Http, 400, IN_TEXT),
        (Over::Http, 200, UNNAMED),
        (Over::Http, 400, PLAIN),
        (Over::Stdio, 200, NAMED),
        (Over::Stdio, 200, IN_TEXT),
        (Over::Stdio, 200, UNNAMED),
    ];
    for (over, status, refusal) in ways {
        for speaks in ["2025-06-18", "2024-11-05"] {
            if refusal == PLAIN && speaks == "2024-11-05" {
                continue;
            }
            let persona = Persona::legacy().scripted(&["initialize"]);
            let (running, server, desk) = with(over, persona).await;
            server.answer_all(desk, move |asked| async move {
                match asked.seen.method().as_str() {
                    "initialize" => introduce(asked, speaks, status, refusal).await,
                    _ => asked.result(OK).await,
                }
            });
            let text = call(&running, "t").await.unwrap();
            assert!(text.contains("content"), "{over:?} {status} {refusal}: {text}");
        }
    }
    // What is refused for good is not asked for without end, and its refusal is what is reported.
    let (running, server, desk) = with(Over::Http, Persona::legacy().scripted(&["initialize"])).await;
    server.answer_all(desk, |asked| introduce(asked, "1999-01-01", 200, UNNAMED));
    let text = call(&running, "t").await.unwrap();
    assert!(text.contains("unsupported protocol version"), "{text}");
    assert_eq!(json::at(&text, &["error", "code"]), Some("-31502"));
}

/// Some servers give whoever asks for their URL their stream, by GET or by POST.
#[tokio::test(start_paused = true)]
async fn a_post_that_is_answered_with_an_endpoint_is_http_sse() {
    let persona = Persona::over_sse().scripted(&["server/discover", "initialize"]);
    let (running, server, mut desk) = with(Over::Http, persona).await;
    let called = call(&running, "t");
    let mut streams = Vec::new();
    for method in ["server/discover", "initialize"] {
        let asked = desk.asked(method).await;
        if method == "initialize" {
            server.persona().scripted.clear();
        }
        let mut stream = asked.stream().await;
        stream.raw(b"event: endpoint\ndata: /messages?sessionId=x\n\n").await;
        streams.push(stream);
    }
    desk.asked("tools/call").await.result(OK).await;
    assert!(called.await.unwrap().contains("content"));
    for stream in streams {
        stream.gone().await;
    }
}
