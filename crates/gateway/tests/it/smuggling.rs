//! Every way to say one thing two ways. Each is refused, or passed on with exactly the meaning and the bytes that it came
//! with; and what is refused no server sees.
//!
//! The cases are data, one file a class: `=` is a title, `>` a line that is sent, `<` what must come back. A file of
//! bodies is sent over HTTP with the headers that fit it, and over stdio; a file of heads (`> POST …`) over HTTP alone.

use std::path::Path;
use std::sync::Arc;

use testkit::http::Client;
use testkit::json;
use testkit::lines::LineClient;
use testkit::net::MemoryNetwork;
use testkit::server::{Persona, ScriptedServer};

use crate::stand::{Over, Running, Stand};

mod cases;

use cases::{Answer, Case, cases};

#[tokio::test(start_paused = true)]
async fn an_id_is_a_string_or_an_integer_or_the_request_is_none() {
    bodies("ids").await;
}

#[tokio::test(start_paused = true)]
async fn a_message_is_one_object_of_exactly_one_kind() {
    bodies("kinds").await;
}

#[tokio::test(start_paused = true)]
async fn no_member_that_is_read_stands_twice() {
    bodies("duplicates").await;
}

#[tokio::test(start_paused = true)]
async fn a_text_is_utf8_and_means_one_thing_however_it_is_escaped() {
    bodies("encodings").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_request_says_of_itself_is_there_once_and_of_its_kind() {
    bodies("meta").await;
}

#[tokio::test(start_paused = true)]
async fn size_and_depth_hurt_nobody() {
    bodies("sizes").await;
}

#[tokio::test(start_paused = true)]
async fn headers_say_what_the_body_says() {
    heads("mirrors").await;
}

#[tokio::test(start_paused = true)]
async fn a_request_has_one_era() {
    heads("eras").await;
}

#[tokio::test(start_paused = true)]
async fn a_request_has_one_length() {
    heads("framing").await;
}

#[tokio::test(start_paused = true)]
async fn only_what_can_be_a_message_gets_in() {
    heads("doors").await;
}

/// Each member costs us more than the client that sends it: as many as anybody needs are read, and one more is refused
/// wherever we are the ones who read.
#[tokio::test(start_paused = true)]
async fn objects_that_we_read_have_a_bound() {
    let bench = Bench::new().await;
    let plain = crate::ask::body("1", "tools/call", r#""name":"echo""#);
    for (place, code) in [("{\"jsonrpc\"", "-32600"), ("{\"name\"", "-32602"), (r#""_meta":{""#, "-32602")] {
        let with = |count: usize| {
            let many: String = (0..count).map(|n| format!("\"k{n}\":1,")).collect();
            let (before, after) = plain.split_at(plain.find(place).unwrap() + place.find('{').unwrap() + 1);
            format!("{before}{many}{after}")
        };
        let reply = crate::ask::send(&bench.running.client, &with(990)).await;
        assert_eq!(reply.status, 200, "{place}");
        assert!(bench.server.seen_of("tools/call").pop().unwrap().text().contains("\"k989\":1"));
        for count in [1000, 60_000] {
            let reply = crate::ask::send(&bench.running.client, &with(count)).await;
            assert_eq!(reply.status, 400, "{place}");
            let text = reply.response().await;
            assert_eq!(json::at(&text, &["error", "code"]), Some(code), "{text}");
            assert!(text.contains("more than 1000 members"), "{text}");
        }
    }
    assert_eq!(bench.server.seen_of("tools/call").len(), 3);
}

/// However a request's bytes are cut, and however its body is framed, it is the same request; and two that come at once
/// are two.
#[tokio::test(start_paused = true)]
async fn requests_are_the_same_however_they_are_cut() {
    let bench = Bench::new().await;
    let client = &bench.running.client;
    let body = crate::ask::body("7", "tools/call", r#""name":"echo","arguments":{"é":"\u00e9"}"#);
    let headers = crate::ask::mirrored(&body);
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let whole = client.request("POST /mcp", &headers, body.as_bytes());
    headers.push(("transfer-encoding", "chunked"));
    let chunks: String = body.chars().map(|c| format!("{:X};x=\"y\"\r\n{c}\r\n", c.len_utf8())).collect();
    let head = client.request("POST /mcp", &headers, b"");
    let head =
        String::from_utf8(head).unwrap().replace("\r\n\r\n", "\r\ncontent-type: application/json\r\n\r\n");
    let chunked = format!("{head}{chunks}0\r\n\r\n").into_bytes();
    for request in [whole, chunked] {
        for size in [1, 2, 3, 7, 64, 100_000] {
            let mut connection = client.open().await;
            for piece in request.chunks(size) {
                connection.write(piece).await;
                tokio::task::yield_now().await;
            }
            let (text, mut connection) = connection.reply().await.unwrap().finish().await;
            assert_eq!(json::at(&text, &["id"]), Some("7"), "in pieces of {size}: {text}");
            let got = bench.server.seen_of("tools/call").pop().unwrap();
            assert_eq!(bare(got.text()), bare(&body));
            connection.write(&[&request[..], &request[..]].concat()).await;
            for _ in 0..2 {
                let (text, next) = connection.reply().await.unwrap().finish().await;
                assert_eq!(json::at(&text, &["id"]), Some("7"));
                connection = next;
            }
        }
    }
    assert_eq!(bench.server.seen_of("tools/call").len(), 2 * 6 * 3);
}

/// What a refused request leaves unread must never be read as the next one.
#[tokio::test(start_paused = true)]
async fn the_body_of_a_refused_request_is_not_the_next_request() {
    let bench = Bench::new().await;
    let client = &bench.running.client;
    let inner = crate::ask::body("2", "tools/call", r#""name":"echo""#);
    let headers = crate::ask::mirrored(&inner);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let inner = client.request("POST /mcp", &headers, inner.as_bytes());
    for (line, wrong) in [
        ("POST /mcp", ("content-type", "text/plain")),
        ("POST /mcp", ("accept", "text/html")),
        ("POST /mcp", ("origin", "https://evil.example")),
        ("POST /elsewhere", ("x", "y")),
        ("PUT /mcp", ("x", "y")),
        ("GET /mcp", ("x", "y")),
    ] {
        let mut connection = client.open().await;
        connection.write(&client.request(line, &[wrong], &inner)).await;
        let reply = connection.reply().await.unwrap();
        assert!((400..500).contains(&reply.status), "{line} {wrong:?}: {}", reply.status);
        let (_, mut connection) = reply.finish().await;
        connection.write(&client.request("DELETE /mcp", &[], b"")).await;
        if let Some(next) = connection.reply().await {
            assert_eq!(next.status, 405, "{line} {wrong:?}");
        }
    }
    assert!(bench.server.seen_of("tools/call").is_empty());
}

/// A gateway with one modern server, which answers every call and keeps what it got.
struct Bench {
    running: Running,
    server: ScriptedServer,
}

impl Bench {
    async fn new() -> Self {
        let mut stand = Stand::new(Arc::new(MemoryNetwork::default()));
        let mirrors = r#"{"name":"move","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"count":{"type":"integer","x-mcp-header":"Count"},"sure":{"type":"boolean","x-mcp-header":"Sure"}}}}"#;
        let echo = r#"{"name":"echo","inputSchema":{"type":"object"}}"#;
        let persona =
            Persona::modern().listing("tools/list", &format!("[{echo},{mirrors}]")).fresh(60_000, "public");
        let (server, desk) = stand.add("up", Over::Http, persona).await;
        server.answer_all(desk, |asked| async move {
            asked.result(r#"{"resultType":"complete","content":[]}"#).await;
        });
        stand.plan.limits.request_bytes = 1024 * 1024;
        let running = stand.start().await;
        server.saw("tools/list", 1).await;
        testkit::idle().await;
        Self { running, server }
    }

    /// What the server got of calls since it was last asked.
    fn calls_since(&self, before: usize) -> Vec<testkit::server::Seen> {
        let routine = ["server/discover", "tools/list"];
        let seen = self.server.seen().into_iter().skip(before);
        seen.filter(|seen| !routine.contains(&seen.method().as_str())).collect()
    }

    /// What is wrong with what came of a case.
    async fn fault(&self, case: &Case, got: &Got, before: usize) -> Option<String> {
        testkit::idle().await;
        let calls = self.calls_since(before);
        let forwarded = matches!(case.answer, Answer::Forwarded(_));
        if !forwarded && !calls.is_empty() {
            return Some(format!("{}: the server got {calls:?}", case.title));
        }
        let fits = match (&case.answer, got) {
            (Answer::Forwarded(headers), Got::Response(status, text)) => {
                let id = json::at(text, &["id"]) == json::at(case.body_text(), &["id"]);
                let passed = calls.first().is_some_and(|call| {
                    bare(call.text()) == bare(case.body_text())
                        && headers.iter().all(|(name, value)| call.header(name) == Some(value))
                });
                id && passed && calls.len() == 1 && status.is_none_or(|status| status == 200)
            }
            (Answer::Refused { status, code, id }, Got::Response(came, text)) => {
                came.is_none_or(|came| came == *status)
                    && json::at(text, &["error", "code"]) == Some(code)
                    && (json::at(text, &["id"]) == id.as_deref()
                        // A line is read to its end, however long it is.
                        || (*status == 413 && json::at(text, &["id"]) == Some("1")))
            }
            (Answer::Status(status), Got::Response(came, _)) => came.is_none_or(|came| came == *status),
            (Answer::Status(202) | Answer::Closed, Got::Nothing) => true,
            _ => false,
        };
        let shown: String = format!("{got:?}").chars().take(300).collect();
        (!fits).then(|| {
            format!(
                "{}: expected {:?}, and there came {shown}; calls: {calls:.300?}",
                case.title, case.answer
            )
        })
    }
}

/// What a client got.
#[derive(Debug)]
enum Got {
    /// A response: its status, where it came by HTTP, and its body.
    Response(Option<u16>, String),
    Nothing,
}

/// The message without what a gateway may write into it.
fn bare(text: &str) -> String {
    json::masked(text, &[&["id"], &["params", "_meta"]])
}

fn read(class: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/smuggling/{class}.txt"));
    let read = cases(class, &std::fs::read_to_string(path).unwrap());
    assert!(read.len() > 4, "{class} has only {} cases", read.len());
    read
}

async fn bodies(class: &str) {
    let bench = Bench::new().await;
    let mut faults = Vec::new();
    for case in read(class) {
        let before = bench.server.seen().len();
        let got = over_http(&bench.running.client, &case).await;
        faults.extend(bench.fault(&case, &got, before).await);
        if !case.http_only {
            let before = bench.server.seen().len();
            let got = over_lines(&bench, &case).await;
            faults.extend(bench.fault(&case, &got, before).await.map(|fault| format!("stdio: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Sends a body with the headers that a call of `echo` has.
async fn over_http(client: &Client, case: &Case) -> Got {
    let method = case.method.as_str();
    let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
    if method == "tools/call" {
        headers.push(("mcp-name", "echo"));
    }
    let reply = client.post(&headers, &case.sent).await;
    Got::Response(Some(reply.status), reply.response().await)
}

async fn over_lines(bench: &Bench, case: &Case) -> Got {
    let (mut client, input, output) = LineClient::new();
    let gateway = Arc::clone(&bench.running.gateway);
    let serving = tokio::spawn(async move { gateway.serve_stdio(input, output).await });
    client.send(&case.sent).await;
    // With the clock paused this passes when nobody has anything to say any more.
    let line = tokio::time::timeout(std::time::Duration::from_millis(1), client.next()).await;
    client.close().await;
    serving.await.unwrap().unwrap();
    match line {
        Ok(Some(line)) => Got::Response(None, line),
        _ => Got::Nothing,
    }
}

async fn heads(class: &str) {
    let bench = Bench::new().await;
    let mut faults = Vec::new();
    for case in read(class) {
        let before = bench.server.seen().len();
        let mut connection = bench.running.client.open().await;
        connection.write(&case.with_host(&bench.running.client.host())).await;
        let got = match connection.reply().await {
            Some(mut reply) => {
                let status = reply.status;
                let body = reply.try_body().await.unwrap_or_default();
                Got::Response(Some(status), String::from_utf8(body.to_vec()).unwrap())
            }
            None => Got::Nothing,
        };
        faults.extend(bench.fault(&case, &got, before).await);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
