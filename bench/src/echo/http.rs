//! The echo server over HTTP/1.1.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::answers::{self, Answer, Answers, BEFORE_ID};
use super::persona::{Era, Persona};
use crate::wire::{self, Message, Wire};
use crate::{look, say};

/// Bodies up to this size are joined with their head: one copy is cheaper than a second piece.
const SMALL: usize = 16 * 1024;

/// Listens, says where, and serves for ever.
pub(super) async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    say::out(&listener.local_addr()?.to_string())?;
    let answers = Rc::new(RefCell::new(Answers::default()));
    LocalSet::new()
        .run_until(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let answers = Rc::clone(&answers);
                tokio::task::spawn_local(async move {
                    // A client that goes away in mid-call has its reasons; nothing is measured here.
                    converse(stream, &answers).await.ok();
                });
            }
        })
        .await
}

/// What one connection knows.
#[derive(Debug, Default)]
struct Known {
    /// The path of the last request, and what it stands for.
    path: Vec<u8>,
    persona: Option<Persona>,
    /// What is written, again and again.
    out: Vec<u8>,
    sessions: u64,
}

async fn converse(stream: TcpStream, answers: &RefCell<Answers>) -> io::Result<()> {
    let mut wire = Wire::new(stream);
    let mut known = Known::default();
    loop {
        let Some(message) = wire.next().await? else { return Ok(()) };
        let rest = known.answer(message, answers);
        match rest {
            Rest::Nothing => wire.write(&known.out).await?,
            Rest::Body(body) => wire.write_two(&known.out, &body).await?,
            Rest::Events(events) => {
                // Each event in a write of its own, as a server does that has something to say at last.
                for event in events {
                    wire.write(&known.out).await?;
                    known.out.clear();
                    chunk(&mut known.out, &event);
                }
                known.out.extend_from_slice(b"0\r\n\r\n");
                wire.write(&known.out).await?;
            }
            Rest::Open => {
                wire.write(&known.out).await?;
                // Nothing changes here. The client ends it by going away.
                wire.next().await?;
                return Ok(());
            }
        }
    }
}

/// What follows what stands in `Known::out`.
enum Rest {
    Nothing,
    Body(bytes::Bytes),
    Events(Vec<String>),
    Open,
}

impl Known {
    fn answer(&mut self, message: Message<'_>, answers: &RefCell<Answers>) -> Rest {
        self.out.clear();
        let target = wire::target(message.head);
        if self.path != target {
            self.path = target.to_vec();
            self.persona = Persona::of_path(target);
        }
        let Some(persona) = self.persona else { return self.plain("404 Not Found") };
        if !message.head.starts_with(b"POST ") {
            return self.plain("405 Method Not Allowed");
        }
        let session = wire::header(message.head, "mcp-session-id");
        let opens = || look::string_after(message.body, b"\"method\":\"") == Some("initialize");
        let answer = if persona.era == Era::Legacy && session.is_none() && !opens() {
            answers::no_session()
        } else {
            let named =
                wire::header(message.head, "mcp-name").and_then(|value| std::str::from_utf8(value).ok());
            answers.borrow_mut().to(persona, message.body, named)
        };
        let id = look::id(message.body).unwrap_or(b"null");
        match answer {
            Answer::Taken => self.plain("202 Accepted"),
            Answer::Result(after) => self.json("200 OK", "", id, after),
            Answer::Opened(after) => {
                self.sessions += 1;
                let session = format!("mcp-session-id: session-{}\r\n", self.sessions);
                self.json("200 OK", &session, id, after)
            }
            Answer::Refused(status, after) => self.json(&format!("{status} -"), "", id, after),
            Answer::Stream(before, after) => {
                self.events();
                let mut events: Vec<_> = before.iter().map(|message| event(message)).collect();
                let result = [BEFORE_ID, id, &after].concat();
                events.push(event(&String::from_utf8_lossy(&result)));
                Rest::Events(events)
            }
            Answer::Listen(first) => {
                self.events();
                chunk(&mut self.out, &event(&first));
                Rest::Open
            }
        }
    }

    fn plain(&mut self, status: &str) -> Rest {
        self.out.extend_from_slice(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes());
        Rest::Nothing
    }

    fn events(&mut self) {
        self.out.extend_from_slice(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
              x-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n",
        );
    }

    fn json(&mut self, status: &str, extra: &str, id: &[u8], after: bytes::Bytes) -> Rest {
        use std::io::Write;
        let length = BEFORE_ID.len() + id.len() + after.len();
        // A Vec takes all that is written to it.
        write!(
            self.out,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{extra}content-length: {length}\r\n\r\n"
        )
        .ok();
        self.out.extend_from_slice(BEFORE_ID);
        self.out.extend_from_slice(id);
        if after.len() > SMALL {
            return Rest::Body(after);
        }
        self.out.extend_from_slice(&after);
        Rest::Nothing
    }
}

fn event(message: &str) -> String {
    format!("data: {message}\n\n")
}

fn chunk(out: &mut Vec<u8>, data: &str) {
    out.extend_from_slice(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes());
}
