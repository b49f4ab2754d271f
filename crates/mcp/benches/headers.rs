//! Headers that mirror a tool's arguments, by the number of annotated parameters: `cargo bench -p mcp --bench headers`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must end")]

use divan::{Bencher, black_box};
use http::HeaderMap;
use mcp::mirror::MirroredParams;

const PARAMS: [usize; 4] = [0, 1, 4, 16];
/// What else the arguments hold.
const TEXT: usize = 1024;

fn main() {
    divan::main();
}

fn schema(params: usize) -> String {
    let one = |n| format!(r#""p{n}":{{"type":"string","x-mcp-header":"P{n}"}}"#);
    let all: Vec<_> = (0..params).map(one).collect();
    format!(r#"{{"type":"object","properties":{{{}}}}}"#, all.join(","))
}

fn arguments(params: usize) -> String {
    let all: String = (0..params).map(|n| format!(r#""p{n}":"value {n}","#)).collect();
    format!(r#"{{{all}"text":"{}"}}"#, "x".repeat(TEXT))
}

fn prepared(params: usize) -> (MirroredParams, String, HeaderMap) {
    let (read, arguments) = (MirroredParams::read(&schema(params)).unwrap(), arguments(params));
    let headers = read.headers(Some(&arguments)).unwrap().into_iter().collect();
    (read, arguments, headers)
}

#[divan::bench(args = PARAMS)]
fn read_schema(bencher: Bencher<'_, '_>, params: usize) {
    let schema = schema(params);
    bencher.bench(|| MirroredParams::read(black_box(&schema)).unwrap());
}

#[divan::bench(args = PARAMS)]
fn check(bencher: Bencher<'_, '_>, params: usize) {
    let (read, arguments, headers) = prepared(params);
    bencher.bench(|| read.check(black_box(&headers), Some(black_box(&arguments))).unwrap());
}

#[divan::bench(args = PARAMS)]
fn mirror(bencher: Bencher<'_, '_>, params: usize) {
    let (read, arguments, _) = prepared(params);
    bencher.bench(|| read.headers(Some(black_box(&arguments))).unwrap());
}
