//! A request at a scripted server, and all the ways to answer it.

use std::fmt;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use transport::net::BoxIo;

use super::routine::error_text;
use super::{Seen, Style};
use crate::soon;

/// A message that waits for its answer. Dropped without one, its HTTP connection is closed.
pub struct Asked {
    /// What came.
    pub seen: Seen,
    pub(super) to: To,
    /// Cancelled when the client has closed the connection, or the process has ended.
    pub(super) gone: CancellationToken,
    pub(super) style: Style,
}

/// Where an answer goes.
pub(super) enum To {
    Http {
        write: WriteHalf<BoxIo>,
        /// Takes the connection back for its next request.
        back: oneshot::Sender<WriteHalf<BoxIo>>,
    },
    Pipe(mpsc::UnboundedSender<Bytes>),
}

impl Asked {
    /// Whether it came by HTTP.
    #[must_use]
    pub fn is_http(&self) -> bool {
        matches!(self.to, To::Http { .. })
    }

    /// Answers with a result: the text of a JSON object.
    pub async fn result(self, result: &str) {
        self.result_with(&[], result).await;
    }

    /// Answers with a result and HTTP headers.
    pub async fn result_with(self, headers: &[(&str, &str)], result: &str) {
        let id = self.seen.id().expect("a request").to_owned();
        self.response(headers, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await;
    }

    /// Answers with an error.
    pub async fn error(self, code: i64, message: &str, data: Option<&str>) {
        let text = error_text(self.seen.id(), code, message, data);
        self.response(&[], &text).await;
    }

    /// Answers with a message, in the persona's style.
    pub async fn response(self, headers: &[(&str, &str)], text: &str) {
        if self.is_http() && self.style == Style::Events {
            let mut events = self.stream_with(headers).await;
            events.message(text).await;
            events.end().await;
        } else {
            self.respond(200, "application/json", headers, text.as_bytes()).await;
        }
    }

    /// Says that a notification was taken.
    pub async fn accepted(self) {
        if self.is_http() {
            self.respond(202, "", &[], b"").await;
        }
    }

    /// Answers with any HTTP response; over stdio, with its body as a line.
    pub async fn respond(self, status: u16, media: &str, headers: &[(&str, &str)], body: &[u8]) {
        match self.to {
            To::Http { mut write, back } => {
                let length = body.len().to_string();
                let mut all = vec![("content-length", length.as_str())];
                all.extend(Some(("content-type", media)).filter(|_| !media.is_empty()));
                all.extend(headers);
                put(&mut write, &[head(status, &all).as_bytes(), body].concat()).await;
                // The client may have closed the connection.
                drop(back.send(write));
            }
            To::Pipe(out) => drop(out.send(Bytes::copy_from_slice(body))),
        }
    }

    /// Writes bytes, whatever they are, and closes the connection.
    pub async fn raw(self, bytes: &[u8]) {
        match self.to {
            To::Http { mut write, .. } => {
                put(&mut write, bytes).await;
                drop(write.shutdown().await);
            }
            To::Pipe(out) => drop(out.send(Bytes::copy_from_slice(bytes))),
        }
    }

    /// Writes bytes in pieces of a size, each for itself, and leaves the connection for the next request. Over stdio the
    /// bytes are one line.
    pub async fn raw_in_pieces(self, bytes: &[u8], size: usize) {
        match self.to {
            To::Http { mut write, back } => {
                for piece in bytes.chunks(size) {
                    put(&mut write, piece).await;
                    tokio::task::yield_now().await;
                }
                drop(back.send(write));
            }
            To::Pipe(out) => drop(out.send(Bytes::copy_from_slice(bytes))),
        }
    }

    /// Begins to answer with server-sent events; over stdio, with lines.
    pub async fn stream(self) -> Events {
        self.stream_with(&[]).await
    }

    /// Begins to answer with server-sent events and these headers.
    pub async fn stream_with(self, headers: &[(&str, &str)]) -> Events {
        let id = self.seen.id().map(str::to_owned);
        let mut to = self.to;
        if let To::Http { write, .. } = &mut to {
            let mut all = vec![("content-type", "text/event-stream"), ("transfer-encoding", "chunked")];
            all.extend(headers);
            put(write, head(200, &all).as_bytes()).await;
        }
        Events { to, gone: self.gone, id }
    }

    /// A stream for what belongs to no request, where the transport has such a thing.
    pub(super) fn unprompted(&self) -> Option<Events> {
        match &self.to {
            To::Pipe(out) => Some(Events { to: To::Pipe(out.clone()), gone: self.gone.clone(), id: None }),
            To::Http { .. } => None,
        }
    }

    /// Closes the connection without an answer.
    pub fn abort(self) {
        drop(self);
    }

    /// Waits until the client has closed the connection.
    pub async fn gone(&self) {
        soon("the client closes the connection", self.gone.cancelled()).await;
    }

    /// Whether the client has closed the connection.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// An answer that is being streamed. Dropped before its end, its HTTP connection is closed.
pub struct Events {
    to: To,
    gone: CancellationToken,
    id: Option<String>,
}

impl Events {
    /// Sends a message.
    pub async fn message(&mut self, text: &str) {
        match &mut self.to {
            To::Http { .. } => self.raw(format!("event: message\ndata: {text}\n\n").as_bytes()).await,
            To::Pipe(out) => drop(out.send(Bytes::copy_from_slice(text.as_bytes()))),
        }
    }

    /// Sends progress of the request that this answers, whose progress token is its id.
    pub async fn progress(&mut self, progress: &str) {
        let token = self.id.clone().expect("a request");
        let params = format!(r#"{{"progressToken":{token},"progress":{progress}}}"#);
        self.notify("notifications/progress", &params).await;
    }

    /// Sends a log message.
    pub async fn log(&mut self, level: &str) {
        let params = format!(r#"{{"level":"{level}","data":"{level}"}}"#);
        self.notify("notifications/message", &params).await;
    }

    /// Sends a notification.
    pub async fn notify(&mut self, method: &str, params: &str) {
        self.message(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)).await;
    }

    /// Sends the result, and ends.
    pub async fn result(mut self, result: &str) {
        let id = self.id.clone().expect("a request");
        self.message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await;
        self.end().await;
    }

    /// Sends bytes of the body, whatever they are.
    pub async fn raw(&mut self, bytes: &[u8]) {
        match &mut self.to {
            To::Http { write, .. } => {
                let size = format!("{:x}\r\n", bytes.len());
                put(write, &[size.as_bytes(), bytes, b"\r\n"].concat()).await;
            }
            To::Pipe(out) => drop(out.send(Bytes::copy_from_slice(bytes))),
        }
    }

    /// Ends the body as it should.
    pub async fn end(self) {
        if let To::Http { mut write, back } = self.to {
            put(&mut write, b"0\r\n\r\n").await;
            drop(back.send(write));
        }
    }

    /// Closes the connection in the middle of the body.
    pub fn abort(self) {
        drop(self);
    }

    /// Waits until the client has closed the connection.
    pub async fn gone(&self) {
        soon("the client closes the stream", self.gone.cancelled()).await;
    }

    /// Whether the client has closed the connection.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("id", &self.id).finish_non_exhaustive()
    }
}

pub(super) fn head(status: u16, headers: &[(&str, &str)]) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} x\r\n{lines}\r\n")
}

/// Writes; who does not read any more is seen by that, not here.
pub(super) async fn put(write: &mut WriteHalf<BoxIo>, bytes: &[u8]) {
    let written = async {
        write.write_all(bytes).await?;
        write.flush().await
    };
    drop(written.await);
}
