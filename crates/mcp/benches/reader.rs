//! Finding the members of a message and passing over the rest, beside serde_json doing the same, by what is passed over:
//! `cargo bench -p mcp --bench reader`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must end")]

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use mcp::json::Object;
use mcp::jsonrpc::Message;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Content, and about how many bytes of it.
const CASES: [(&str, usize); 12] = [
    ("escapes", 200),
    ("escapes", 1024),
    ("escapes", 64 * 1024),
    ("escapes", 1024 * 1024),
    ("plain", 200),
    ("plain", 1024),
    ("plain", 64 * 1024),
    ("plain", 1024 * 1024),
    ("objects", 200),
    ("objects", 1024),
    ("objects", 64 * 1024),
    ("objects", 1024 * 1024),
];

fn main() {
    divan::main();
}

fn response((content, size): (&str, usize)) -> Bytes {
    let repeated = |part: &str| part.repeat(size / part.len() + 1);
    let result = match content {
        "escapes" => {
            format!(
                r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#,
                repeated(r#"Lorem \"ipsum\" dolor sit amet.\n"#)
            )
        }
        "plain" => {
            format!(r#"{{"content":[{{"type":"image","data":"{}"}}]}}"#, repeated("iVBORw0KGgoAAAANSUhEUgAA"))
        }
        _ => {
            let rows = repeated(
                r#"{"id":1742,"name":"Ada","score":0.25,"tags":["a","b"],"active":true,"boss":null},"#,
            );
            format!(r#"{{"content":[],"structuredContent":{{"rows":[{rows}{{}}]}}}}"#)
        }
    };
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#))
}

#[divan::bench(args = CASES)]
fn message(bencher: Bencher<'_, '_>, case: (&str, usize)) {
    let text = response(case);
    bencher.counter(BytesCount::of_slice(&text)).bench(|| Message::parse(black_box(text.clone())).unwrap());
}

#[divan::bench(args = CASES)]
fn object(bencher: Bencher<'_, '_>, case: (&str, usize)) {
    let text = response(case);
    bencher.counter(BytesCount::of_slice(&text)).bench(|| {
        let text = std::str::from_utf8(black_box(&text)).unwrap();
        Object::parse(text).unwrap().get("result").unwrap().unwrap().len()
    });
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[divan::bench(args = CASES)]
fn serde(bencher: Bencher<'_, '_>, case: (&str, usize)) {
    let text = response(case);
    bencher.counter(BytesCount::of_slice(&text)).bench(|| {
        let envelope: Envelope<'_> = serde_json::from_slice(black_box(&text)).unwrap();
        envelope.id.get().len() + envelope.result.get().len()
    });
}
