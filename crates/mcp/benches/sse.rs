//! Server-sent events, by the size of the message that one carries: `cargo bench -p mcp --bench sse`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on must end")]

use bytes::{Bytes, BytesMut};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use mcp::sse::{self, Decoder};

const SIZES: [usize; 4] = [200, 1024, 64 * 1024, 1024 * 1024];
/// What a read from a socket brings at most.
const READ: usize = 8 * 1024;

fn main() {
    divan::main();
}

fn message(size: usize) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"text":"{}"}}}}"#, "x".repeat(size)))
}

#[divan::bench(args = SIZES)]
fn write(bencher: Bencher<'_, '_>, size: usize) {
    let message = message(size);
    bencher.counter(BytesCount::new(message.len())).bench(|| {
        let mut out = BytesMut::new();
        sse::write_message(black_box(&message), &mut out);
        out
    });
}

#[divan::bench(args = SIZES)]
fn read(bencher: Bencher<'_, '_>, size: usize) {
    let mut stream = BytesMut::new();
    sse::write_message(&message(size), &mut stream);
    bencher.counter(BytesCount::new(stream.len())).bench(|| {
        let (mut decoder, mut events) = (Decoder::new(usize::MAX), 0);
        for part in black_box(&stream).chunks(READ) {
            decoder.feed(part, |_event| events += 1).unwrap();
        }
        events
    });
}
