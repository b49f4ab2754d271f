//! The stdio door: one client, one message a line, either era's requests as they come.
//!
//! A modern request says that it is one; all others belong to the one legacy session that a process can have (MCP
//! 2026-07-28 `basic/versioning` §Dual-era servers).

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderMap;
use mcp::answer::error_message;
use mcp::inbound;
use mcp::jsonrpc::{Id, Message, MessageKind};
use mcp::method;
use mcp::reject::{Reject, code};
use mcp::version::Era;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use transport::lines::{LineReader, write_line};

use crate::answer::{Answer, Refusal};
use crate::calls::Calls;
use crate::changes::Changes;
use crate::http::handshake;
use crate::legacy::session::{Session, cancelled_id};
use crate::live::{Line, Said, line, response, say};
use crate::modern;
use crate::server::Server;

const LINE_LIMIT: usize = 16 * 1024 * 1024;

/// How long running calls may take to finish after the client's last word.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until `input` ends.
pub(crate) async fn serve(
    server: &Arc<Server>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let _all_ends = server.stop.clone().drop_guard();
    let (line, said) = line();
    let connection = Connection { server, line, calls: Arc::default(), session: None };
    let mut written = std::pin::pin!(write(said, output));
    tokio::select! {
        read = connection.read(LineReader::new(input, LINE_LIMIT)) => read?,
        written = &mut written => return written,
    }
    // What was said last; a client that does not read it is not waited for.
    timeout(GRACE, written).await.unwrap_or(Ok(()))
}

async fn write(mut said: mpsc::Receiver<Said>, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(said) = said.recv().await {
        match said {
            Said::Message(message) | Said::Answer(_, message) => write_line(&mut output, &message).await?,
            // There is nothing to come back to.
            Said::HangUp => {}
        }
    }
    Ok(())
}

struct Connection<'s> {
    server: &'s Arc<Server>,
    line: Line,
    calls: Arc<Calls>,
    session: Option<Arc<Session>>,
}

impl Connection<'_> {
    async fn read(mut self, mut lines: LineReader<impl AsyncRead + Unpin>) -> io::Result<()> {
        while let Some(next) = lines.next().await? {
            match next.map(Message::parse) {
                Ok(Ok(message)) => self.take(message).await,
                Ok(Err(fault)) => {
                    let reject = Reject::Envelope(fault);
                    self.refuse(reject.code(), &reject.to_string()).await;
                }
                Err(too_long) => self.refuse(code::INVALID_REQUEST, &too_long.to_string()).await,
            }
        }
        self.server.drain.cancel();
        self.server.tracker.close();
        if timeout(GRACE, self.server.tracker.wait()).await.is_err() {
            self.server.stop.cancel();
        }
        Ok(())
    }

    /// An error that answers no request in particular.
    async fn refuse(&self, code: i64, why: &str) {
        say(&self.line, Said::Message(error_message(None, code, why, None))).await;
    }

    async fn take(&mut self, message: Message) {
        match message.kind() {
            MessageKind::Request(request) => {
                self.server.world.requests.fetch_add(1, Ordering::Relaxed);
                let id = request.id.clone();
                let era = self.era(&message);
                let taken = match era {
                    Era::Modern => self.modern(message),
                    Era::Legacy => self.legacy(message),
                };
                if let Some(outcome) = taken.transpose() {
                    say(&self.line, response(self.server, &id, era, &outcome)).await;
                }
            }
            MessageKind::Notification(note) if &*note.method == "notifications/cancelled" => {
                if let Some(id) = cancelled_id(&message) {
                    self.cancel(&id, &message);
                }
            }
            MessageKind::Notification(_) | MessageKind::Result(_) | MessageKind::Error(_) => {
                if let Some(session) = &self.session {
                    session.hear(&message);
                }
            }
        }
    }

    fn era(&self, message: &Message) -> Era {
        let modern = inbound::claims_modern(message);
        let eras = self.server.settings.eras;
        match if modern { Era::Modern } else { Era::Legacy } {
            era if eras.include(era) => era,
            Era::Modern => Era::Legacy,
            Era::Legacy => Era::Modern,
        }
    }

    fn cancel(&self, id: &Id, message: &Message) {
        self.calls.cancel(id);
        if let Some(session) = &self.session {
            session.hear(message);
        }
    }

    /// Gives the answer if there is one at once; else the call gives it.
    fn modern(&self, message: Message) -> Result<Option<Answer>, Refusal> {
        match handshake(&message) {
            Some(refusal) => Err(refusal),
            None => modern::request(self.server, message, &self.line, &self.calls).map(|()| None),
        }
    }

    /// As [`Connection::modern`].
    fn legacy(&mut self, message: Message) -> Result<Option<Answer>, Refusal> {
        let request = inbound::request_of(&message)?;
        match (&self.session, &*request.method) {
            (Some(session), _) => {
                let line = self.line.clone();
                session.request(self.server, message, HeaderMap::new(), line).map(|()| None)
            }
            (None, "initialize") => {
                let (session, answer) = Session::open(self.server, message.params())?;
                let session = Arc::new(session);
                let (server, told) = (Arc::clone(self.server), Arc::clone(&session));
                self.server.world.sessions_opened.fetch_add(1, Ordering::Relaxed);
                // From here on, so that nothing is lost before the task runs.
                let changes = self.server.world.follow();
                self.server.tracker.spawn(tell_changes(server, told, self.line.clone(), changes));
                self.session = Some(session);
                Ok(Some(answer))
            }
            // Allowed at any time (MCP 2025-11-25 `basic/lifecycle` §Initialization).
            (None, "ping") => Ok(Some(Answer::complete(""))),
            (None, name) => match method::find(name) {
                Some(method) if method.legacy => Err(Refusal::NoSession),
                _ => Err(Reject::UnknownMethod(name.to_owned()).into()),
            },
        }
    }
}

/// Tells the session of changes until the server ends.
async fn tell_changes(server: Arc<Server>, session: Arc<Session>, line: Line, mut changes: Changes) {
    loop {
        let messages = tokio::select! {
            messages = session.next_changes(&mut changes) => messages,
            () = server.drain.cancelled() => return,
        };
        for message in messages {
            say(&line, Said::Message(message)).await;
        }
    }
}
