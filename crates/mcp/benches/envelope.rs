//! Reading a message's envelope and putting a few places of it otherwise, by the size of what is passed on:
//! `cargo bench -p mcp --bench envelope`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must end")]

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderValue};
use mcp::call::Call;
use mcp::json::Object;
use mcp::jsonrpc::Message;
use mcp::legacy::convert;
use mcp::legacy::downgrade::{self, Gap};
use mcp::outbound::{self, MetaRewrite, Rewrite};
use mcp::trace::Trace;
use mcp::version::{self, Era};
use mcp::{inbound, method};

/// What a message carries: text that has to be passed over, as most of what is passed on is.
const SIZES: [usize; 4] = [200, 1024, 64 * 1024, 1024 * 1024];
static NO_TRACE: Trace = Trace::NONE;

fn main() {
    divan::main();
}

fn request(size: usize) -> Bytes {
    let text = "Lorem ipsum \\\"dolor\\\" sit amet.\\n".repeat(size / 34 + 1);
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"github__search","arguments":{{"text":"{text}"}},"_meta":{meta}}}}}"#
    ))
}

fn response(size: usize) -> Bytes {
    let text = "Lorem ipsum \\\"dolor\\\" sit amet.\\n".repeat(size / 34 + 1);
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":7,"result":{{"resultType":"complete","content":[{{"type":"text","text":"{text}"}}]}}}}"#
    ))
}

fn headers() -> HeaderMap {
    let pairs = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "github__search"),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn call(size: usize) -> Call {
    inbound::modern_http(&headers(), Message::parse(request(size)).unwrap()).unwrap()
}

#[divan::bench(args = SIZES)]
fn parse_request(bencher: Bencher<'_, '_>, size: usize) {
    let text = request(size);
    bencher.counter(BytesCount::new(text.len())).bench(|| Message::parse(black_box(text.clone())).unwrap());
}

#[divan::bench(args = SIZES)]
fn parse_response(bencher: Bencher<'_, '_>, size: usize) {
    let text = response(size);
    bencher.counter(BytesCount::new(text.len())).bench(|| Message::parse(black_box(text.clone())).unwrap());
}

/// The same text, only split into members: what of the above is JSON.
#[divan::bench(args = SIZES)]
fn split_request(bencher: Bencher<'_, '_>, size: usize) {
    let text = request(size);
    let text = std::str::from_utf8(&text).unwrap();
    bencher.counter(BytesCount::new(text.len())).bench(|| Object::parse(black_box(text)).unwrap());
}

/// From bytes to a call: envelope, `_meta`, mirrored headers.
#[divan::bench(args = SIZES)]
fn read_call(bencher: Bencher<'_, '_>, size: usize) {
    let (text, headers) = (request(size), headers());
    bencher
        .counter(BytesCount::new(text.len()))
        .bench(|| inbound::modern_http(&headers, Message::parse(black_box(text.clone())).unwrap()).unwrap());
}

/// From a call to the bytes for a server: another id, another name, `_meta`.
#[divan::bench(args = SIZES)]
fn splice(bencher: Bencher<'_, '_>, size: usize) {
    let call = call(size);
    let rewrite = Rewrite {
        id: 12_345,
        subject: Some("search"),
        progress_token: None,
        trace: &NO_TRACE,
        meta: MetaRewrite::Modern {
            revision: version::newest(Era::Modern),
            capabilities: "{}",
            client_info: r#"{"name":"portolan","version":"0"}"#,
            log_level: None,
        },
    };
    bencher
        .counter(BytesCount::new(call.message().bytes().len()))
        .bench(|| outbound::body(black_box(&call), &rewrite));
}

/// A modern server's result as a legacy client gets it.
#[divan::bench(args = SIZES)]
fn age(bencher: Bencher<'_, '_>, size: usize) {
    let message = Message::parse(response(size)).unwrap();
    bencher
        .counter(BytesCount::new(message.bytes().len()))
        .with_inputs(|| message.clone())
        .bench_values(|message| convert::age(message, method::find("tools/call")).unwrap());
}

/// The same, where its revision cannot read all of it: each block of the content is looked at.
#[divan::bench(args = SIZES)]
fn downgrade(bencher: Bencher<'_, '_>, size: usize) {
    let message = Message::parse(response(size)).unwrap();
    let gap = Gap { from: version::newest(Era::Modern), to: version::newest(Era::Legacy) };
    bencher
        .counter(BytesCount::new(message.bytes().len()))
        .with_inputs(|| message.clone())
        .bench_values(|message| downgrade::response(message, method::find("tools/call"), gap).unwrap());
}
