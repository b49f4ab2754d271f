//! A reference server at the other end of two in-memory pipes.

use reference_server::{Eras, Settings, serve_stdio};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::task::JoinHandle;

use crate::wire::{initialize, modern_message};

pub(crate) struct Pipe {
    lines: BufReader<ReadHalf<DuplexStream>>,
    input: Option<WriteHalf<DuplexStream>>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
}

impl Pipe {
    pub(crate) fn open(eras: Eras) -> Self {
        let (ours, theirs) = duplex(64 * 1024);
        let (their_input, their_output) = split(theirs);
        let settings = Settings { eras, ..Settings::default() };
        let served = tokio::spawn(serve_stdio(their_input, their_output, settings));
        let (lines, input) = split(ours);
        Self { lines: BufReader::new(lines), input: Some(input), served }
    }

    pub(crate) async fn write(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.write(&message.to_string()).await;
    }

    /// The next message; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).await.unwrap();
        (read > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    pub(crate) async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        self.next().await.unwrap()
    }

    pub(crate) async fn modern(&mut self, id: Value, method: &str, params: Value) {
        let mut message = modern_message(method, params);
        message["id"] = id;
        self.send(&message).await;
    }

    pub(crate) async fn initialize(&mut self, version: &str) -> Value {
        let opened = self.ask(&initialize(version, json!({"elicitation": {}}))).await;
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        opened
    }

    /// Ends the server's input.
    pub(crate) async fn close(&mut self) {
        self.input.take().unwrap().shutdown().await.unwrap();
    }
}
