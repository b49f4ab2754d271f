//! A client over stdio: lines out, lines in.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf};

use crate::soon;

/// One end of a pipe of lines. What is given to the other end comes with it.
#[derive(Debug)]
pub struct LineClient {
    input: BufReader<ReadHalf<DuplexStream>>,
    output: Option<WriteHalf<DuplexStream>>,
}

impl LineClient {
    /// A client, and the two streams that whoever serves it reads and writes.
    #[must_use]
    pub fn new() -> (Self, ReadHalf<DuplexStream>, WriteHalf<DuplexStream>) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (input, output) = tokio::io::split(ours);
        let (their_input, their_output) = tokio::io::split(theirs);
        (Self { input: BufReader::new(input), output: Some(output) }, their_input, their_output)
    }

    /// Sends a line.
    pub async fn send(&mut self, line: &[u8]) {
        let output = self.output.as_mut().expect("an output that is open");
        let line = [line, b"\n"].concat();
        soon("the line is read", output.write_all(&line)).await.expect("a reader");
    }

    /// The next line; none at the end.
    pub async fn next(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = soon("the next line", self.input.read_line(&mut line)).await.expect("lines of text");
        (read > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    /// Ends the output: what a client does that goes away.
    pub async fn close(&mut self) {
        if let Some(mut output) = self.output.take() {
            output.shutdown().await.expect("a stream that can be ended");
        }
    }
}
