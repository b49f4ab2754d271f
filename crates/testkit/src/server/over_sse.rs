//! A scripted server over HTTP+SSE: what is asked comes in POSTs, and everything goes out on the stream of a GET, as it goes
//! over a process's pipe.

use bytes::Bytes;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use transport::net::BoxIo;

use super::asked::{To, head, put};
use super::persona::Sse;
use super::{Asked, ScriptedServer, Seen, Style};
use crate::http::Reader;

/// A connection that is open.
pub(super) struct Connected {
    id: String,
    out: mpsc::UnboundedSender<Bytes>,
    gone: CancellationToken,
    end: CancellationToken,
}

impl ScriptedServer {
    /// How many HTTP+SSE connections are open.
    #[must_use]
    pub fn sse_connections(&self) -> usize {
        self.inner.sse.lock().unwrap().iter().filter(|open| !open.gone.is_cancelled()).count()
    }

    /// Ends all HTTP+SSE streams as they should end.
    pub fn end_sse(&self) {
        for open in self.inner.sse.lock().unwrap().drain(..) {
            open.end.cancel();
        }
    }

    pub(super) async fn answer_over_sse(
        &self,
        seen: Seen,
        sse: Sse,
        reader: &mut Reader<ReadHalf<BoxIo>>,
        mut write: WriteHalf<BoxIo>,
    ) -> Option<WriteHalf<BoxIo>> {
        if seen.line.starts_with("GET ") {
            self.note(&seen);
            tokio::select! {
                write = self.stream_sse(sse, &mut write) => write,
                _ = reader.fill() => {}
            }
            return None;
        }
        let cookie = seen.line.split_once("sessionId=").map(|(_, id)| format!("told={id}; Path=/"));
        let session = seen.line.split_once("sessionId=").and_then(|(_, id)| {
            let open = self.inner.sse.lock().unwrap();
            open.iter().find(|open| open.id == id).map(|open| (open.out.clone(), open.gone.clone()))
        });
        let status = if session.is_some() { sse.taken } else { sse.refuses };
        if let (Some((out, gone)), 0) = (&session, status) {
            self.take(Asked { seen, to: To::Pipe(out.clone()), gone: gone.clone(), style: Style::Json });
            return None;
        }
        let (back, answered) = oneshot::channel();
        let gone = CancellationToken::new();
        let reply = Asked { seen: seen.clone(), to: To::Http { write, back }, gone, style: Style::Json };
        let cookie = cookie.as_deref().filter(|_| sse.sets_cookies).map(|cookie| ("set-cookie", cookie));
        reply.respond(status, "text/plain", cookie.as_slice(), b"Accepted").await;
        match session {
            Some((out, gone)) if (200..300).contains(&status) => {
                self.take(Asked { seen, to: To::Pipe(out), gone, style: Style::Json });
            }
            _ => self.note(&seen),
        }
        answered.await.ok()
    }

    async fn stream_sse(&self, sse: Sse, write: &mut WriteHalf<BoxIo>) {
        let (out, mut messages) = mpsc::unbounded_channel();
        let (gone, end) = (CancellationToken::new(), CancellationToken::new());
        let _gone = gone.clone().drop_guard();
        let id = format!("{:032x}", self.count_connection());
        let cookie = format!("heard={id}; Path=/");
        let mut all = vec![("content-type", "text/event-stream"), ("transfer-encoding", "chunked")];
        all.extend(Some(("set-cookie", cookie.as_str())).filter(|_| sse.sets_cookies));
        put(write, head(200, &all).as_bytes()).await;
        self.inner.sse.lock().unwrap().push(Connected { id: id.clone(), out, gone, end: end.clone() });
        let endpoint = sse.endpoint.map(|text| text.replace("ID", &id));
        let mut event =
            endpoint.map(|endpoint| format!("event: endpoint\ndata: {endpoint}\n\n").into_bytes());
        loop {
            if let Some(event) = event.take() {
                let size = format!("{:x}\r\n", event.len());
                put(write, &[size.as_bytes(), &event, b"\r\n"].concat()).await;
            }
            tokio::select! {
                message = messages.recv() => {
                    let Some(message) = message else { return };
                    event = Some([b"event: message\ndata: ", &message[..], b"\n\n"].concat());
                }
                () = end.cancelled() => return put(write, b"0\r\n\r\n").await,
            }
        }
    }
}
