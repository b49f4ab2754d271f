//! What a collector hears of calls: one that is there, over HTTP, and reads real protobuf.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use tempfile::TempDir;

use crate::collector::{Collector, Manner, attribute, of};
use crate::program::{PORTOLAN, Running, command, eventually, finish, reference_server};
use crate::serving::Gateway;
use crate::socket::Socket;

const META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}}}"#;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER: &str = "11111111111111111111111111111111";
const SPAN: &str = "b7ad6b7169203331";

/// A configuration with these tables, before this collector.
pub(crate) fn configured(collector: &Collector, table: &str, rest: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portolan.toml");
    let text = format!(
        "{rest}\n[telemetry]\notlp = {:?}\nheaders = {{ x-tenant = \"t1\" }}\nresource = {{ \"a.b\" = \"c\" }}\n{table}\n",
        collector.url
    );
    fs::write(&path, text).unwrap();
    (dir, path)
}

pub(crate) fn serve(config: &Path) -> Gateway {
    let mut serving = command(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    Gateway::spawn(serving.arg(config).env("STATE_DIRECTORY", config.parent().unwrap()))
}

/// Ends in good order, after which all has left.
pub(crate) fn end(mut gateway: Gateway) {
    gateway.running.signal(Signal::SIGTERM);
    assert_eq!(gateway.running.code(), Some(0));
}

/// A request of a modern client, with these members of `_meta` and these lines of its head; the answer's body, which may be an event.
pub(crate) fn ask(at: &str, method: &str, params: &str, (meta, head): (&str, &str)) -> Value {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":"req-7","method":"{method}","params":{{{params}"_meta":{{{META}{meta}}}}}}}"#
    );
    let name: Value = serde_json::from_str(&body).unwrap();
    let name = name["params"]["name"].as_str().map(str::to_owned);
    let mut socket = Socket::connect(at).unwrap();
    socket.ask_with(method, name.as_deref(), (&body, head)).unwrap();
    let head = socket.until("\r\n\r\n").unwrap();
    if head.contains("text/event-stream") {
        loop {
            let event = socket.until("\n\n").unwrap();
            let data = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect::<String>();
            if let Some(said) = serde_json::from_str::<Value>(&data).ok().filter(|said| said["id"] == "req-7")
            {
                return said;
            }
        }
    }
    serde_json::from_str(&socket.body_of(&head).unwrap()).unwrap()
}

fn call(at: &str, tool: &str, arguments: &str, with: (&str, &str)) -> Value {
    ask(at, "tools/call", &format!(r#""name":"{tool}","arguments":{arguments},"#), with)
}

pub(crate) fn parent(trace: &str, span: &str, flags: &str) -> String {
    format!(r#","traceparent":"00-{trace}-{span}-{flags}","tracestate":"vendor=1""#)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace: those towards clients, and those towards servers, each in their order.
pub(crate) fn hops(all: &[Span], trace: &str) -> (Vec<Span>, Vec<Span>) {
    let mut spans: Vec<Span> = all.iter().filter(|span| hex(&span.trace_id) == trace).cloned().collect();
    spans.sort_by_key(|span| span.start_time_unix_nano);
    spans.into_iter().partition(|span| span.kind == SpanKind::Server as i32)
}

#[test]
fn a_call_between_modern_peers_has_a_span_at_each_hop() {
    let collector = Collector::start(Manner::Good);
    let (_server, url) = reference_server("modern");
    let upstream = format!("[upstream.one]\nurl = \"{url}\"\n");
    let (_dir, path) = configured(&collector, "sample = 0", &upstream);
    let gateway = serve(&path);
    let head = format!("traceparent: 00-{OTHER}-{SPAN}-01\r\nauthorization: Bearer planted-token\r\n");
    let arguments = r#"{"x":"planted-argument"}"#;
    let said = call(&gateway.url, "whoami", arguments, (&parent(TRACE, SPAN, "01"), &head));
    assert!(said["result"]["isError"] != true, "{said}");
    // What nobody has is no name of anything.
    call(&gateway.url, "planted-tool", arguments, (&parent(TRACE, SPAN, "01"), ""));
    ask(&gateway.url, "planted/method", r#""x":1,"#, (&parent(TRACE, SPAN, "01"), ""));
    ask(
        &gateway.url,
        "resources/read",
        r#""uri":"test://a?key=planted-uri","#,
        (&parent(TRACE, SPAN, "01"), "mcp-name: test://a?key=planted-uri\r\n"),
    );
    end(gateway);

    let got = collector.got();
    let (servers, clients) = hops(&got.spans, TRACE);
    let (server, client) = (&servers[0], &clients[0]);
    assert_eq!((server.name.as_str(), client.name.as_str()), ("tools/call whoami", "tools/call whoami"));
    assert_eq!(hex(&server.parent_span_id), SPAN, "what `_meta` says comes first");
    let links: Vec<_> = server.links.iter().map(|link| hex(&link.trace_id)).collect();
    assert_eq!(links, [OTHER], "what the headers say is linked");
    assert_eq!((server.trace_state.as_str(), client.parent_span_id == server.span_id), ("vendor=1", true));
    // The server was told of our span at both places, and of no other.
    let heard = said.to_string();
    let ours = format!("00-{TRACE}-{}-01", hex(&client.span_id));
    assert!(heard.matches(&ours).count() >= 2, "{heard}");
    assert!(!heard.contains(SPAN) && !heard.contains(OTHER), "{heard}");
    for (key, value) in [
        ("mcp.method.name", "tools/call"),
        ("mcp.protocol.version", "2026-07-28"),
        ("gen_ai.tool.name", "whoami"),
        ("gen_ai.operation.name", "execute_tool"),
        ("network.transport", "tcp"),
        ("network.protocol.name", "http"),
        ("portolan.upstream", "one"),
    ] {
        for span in [server, client] {
            assert_eq!(attribute(span, key).as_deref(), Some(value), "{key} {span:?}");
        }
    }
    assert_eq!(attribute(server, "jsonrpc.request.id").as_deref(), Some("req-7"));
    assert_eq!(attribute(client, "server.address").as_deref(), Some("127.0.0.1"));
    let names: Vec<_> = servers.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["tools/call whoami", "tools/call", "_OTHER", "resources/read"]);
    assert!(attribute(&servers[1], "error.type").is_some() && servers[1].status.as_ref().unwrap().code == 2);
    assert!(
        got.heads.iter().all(|head| head.contains("x-tenant: t1") && head.contains("application/x-protobuf"))
    );
    let resource: BTreeMap<_, _> = got.resources[0].attributes.iter().map(of).collect();
    assert_eq!((resource["service.name"].as_str(), resource["a.b"].as_str()), ("portolan", "c"));
    // `planted` is nowhere: no argument, no token, no URI, no name that a client has made up, no text of an error.
    assert!(!String::from_utf8_lossy(&got.raw).contains("planted"));
}

#[test]
fn callers_decide_for_their_traces_up_to_a_bound_and_the_rest_is_a_part() {
    let collector = Collector::start(Manner::Good);
    let (_server, url) = reference_server("modern");
    let upstream = format!("[upstream.one]\nurl = \"{url}\"\n");
    let (_dir, path) =
        configured(&collector, "sample = 0\nsample_callers = 0\nmetrics_every = \"1s\"", &upstream);
    let gateway = serve(&path);
    let said = call(&gateway.url, "whoami", "{}", (&parent(TRACE, SPAN, "01"), ""));
    // It is not kept, and says so.
    let heard = said.to_string();
    assert!(heard.contains(&format!("00-{TRACE}-")) && heard.contains("-00"), "{heard}");
    // A client of the legacy era opens a session and ends it.
    let listed = finish(&mut command(&["list", &gateway.url, "tools", "--era", "legacy"]));
    assert_eq!(listed.code, Some(0), "{listed:?}");
    end(gateway);
    let got = collector.got();
    assert!(got.spans.is_empty(), "{:?}", got.spans);
    // All are measured, kept or not.
    let count = |metric: &str, method: &str| got.count(metric, method, None);
    assert!(count("mcp.server.operation.duration", "tools/call") >= 1);
    assert!(count("mcp.client.operation.duration", "tools/call") >= 1);
    let named = Some(("gen_ai.tool.name", "whoami"));
    assert_eq!(got.count("mcp.server.operation.duration", "tools/call", named), 1);
    assert_eq!(count("mcp.server.operation.duration", "initialize"), 1);
    assert!(
        got.metrics.iter().any(|metric| metric.name == "mcp.server.session.duration"),
        "{:?}",
        got.metrics
    );
}

#[test]
fn a_legacy_client_that_is_asked_by_a_modern_server_has_one_trace() {
    let collector = Collector::start(Manner::Good);
    let (_server, url) = reference_server("modern");
    let upstream = format!("[upstream.one]\nurl = \"{url}\"\n");
    let (_dir, path) = configured(&collector, "sample = 1", &upstream);
    let gateway = serve(&path);
    // Its call is sent twice, and it has no trace of its own.
    let mut client = command(&["call", &gateway.url, "test_elicitation_sep1034_defaults", "--era", "legacy"]);
    let ended = finish(client.args(["--answer", "age=31"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    end(gateway);
    let got = collector.got();
    let named = |span: &&Span| span.name.starts_with("tools/call ") && span.kind == SpanKind::Server as i32;
    let first = got.spans.iter().filter(named).min_by_key(|span| span.start_time_unix_nano).unwrap();
    let (servers, clients) = hops(&got.spans, &hex(&first.trace_id));
    assert_eq!((servers.len(), clients.len()), (2, 2), "{servers:#?}");
    assert_eq!(servers[1].parent_span_id, servers[0].span_id);
    assert_eq!(clients[1].parent_span_id, servers[1].span_id);
    for span in [&servers[0], &clients[0]] {
        assert_eq!(attribute(span, "portolan.outcome").as_deref(), Some("input_required"), "{span:?}");
    }
    assert!(attribute(&servers[0], "mcp.session.id").is_some());
}

#[test]
fn what_a_collector_does_not_take_is_counted_and_told() {
    for (manner, why) in
        [(Manner::Page, "are lost"), (Manner::Rejects, "has rejected"), (Manner::Away, "are lost")]
    {
        let collector = Collector::start(manner);
        let (_server, url) = reference_server("modern");
        let upstream = format!("[upstream.one]\nurl = \"{url}\"\n");
        let (_dir, path) = configured(&collector, "sample = 1\nmetrics = false", &upstream);
        let mut gateway = serve(&path);
        call(&gateway.url, "whoami", "{}", ("", ""));
        let none = "portolan_telemetry_lost_total 0\n";
        eventually("it is counted", || !gateway.ask_admin("/metrics").contains(none));
        let said = gateway.running.stderr.find(why);
        assert!(said.contains("WARN"), "{said}");
        // Calls do not mind.
        let said = call(&gateway.url, "whoami", "{}", ("", ""));
        assert!(said["result"].is_object(), "{said}");
    }
}

#[test]
fn lines_of_the_log_name_their_trace() {
    let collector = Collector::start(Manner::Good);
    let upstream = "[upstream.away]\nurl = \"http://127.0.0.1:1/mcp\"\n";
    let (_dir, path) = configured(&collector, "sample = 0", upstream);
    let mut gateway = serve(&path);
    let said = call(&gateway.url, "x", "{}", (&parent(TRACE, SPAN, "00"), ""));
    assert!(said["error"].is_object(), "{said}");
    let line = gateway.running.stderr.find(TRACE);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["span"]["trace_id"], TRACE);
    assert!(line["span"]["span_id"].as_str().is_some_and(|id| id.len() == 16 && id != SPAN), "{line}");
}

#[test]
fn one_that_only_starts_a_command_is_followed_too() {
    let collector = Collector::start(Manner::Good);
    let upstream = format!("[upstream.local]\ncommand = [{PORTOLAN:?}, \"reference-server\", \"--stdio\"]\n");
    let (dir, path) = configured(&collector, "sample = 0", &upstream);
    let mut stdio = command(&["stdio"]);
    let mut running = Running::spawn(stdio.arg(&path).env("STATE_DIRECTORY", dir.path()));
    let meta = parent(TRACE, SPAN, "01");
    running.say(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"whoami","_meta":{{{META}{meta}}}}}}}"#
    ));
    let said = running.stdout.find("\"id\":1");
    running.hang_up();
    assert_eq!(running.code(), Some(0));
    let got = collector.got();
    let (servers, clients) = hops(&got.spans, TRACE);
    assert_eq!(attribute(&servers[0], "network.transport").as_deref(), Some("pipe"));
    assert_eq!(attribute(&clients[0], "network.transport").as_deref(), Some("pipe"));
    assert!(said.contains(&hex(&clients[0].span_id)), "{said}");
}
