//! An MCP server that does what a test tells it to, over HTTP and stdio, and keeps what it was sent.
//!
//! What every server must do (say what it is, open sessions, list, accept subscriptions) it does by itself, as its
//! [`Persona`] says; everything else comes to the test's [`Desk`], one [`Asked`] after the other, to be answered, or
//! not, or wrongly.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{json, soon};

mod asked;
mod over_http;
mod over_sse;
mod over_stdio;
mod persona;
mod routine;

pub use self::asked::{Asked, Events};
pub use self::persona::{Era, Persona, Sse, Style};

/// A message that reached a server, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The HTTP method and target, as `POST /mcp`; `line` over stdio.
    pub line: String,
    /// The HTTP headers in their order, names in lower case; none over stdio.
    pub headers: Vec<(String, String)>,
    /// The message's bytes.
    pub body: Bytes,
    /// Which connection, or which process, counted from 1.
    pub connection: u64,
}

impl Seen {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The message's text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a message that is text")
    }

    /// The JSON-RPC method; the HTTP method where there is no message, and `response` where there is no method.
    #[must_use]
    pub fn method(&self) -> String {
        if self.body.is_empty() {
            return self.line.split(' ').next().unwrap_or_default().to_owned();
        }
        json::at(self.text(), &["method"]).map_or("response", json::plain).to_owned()
    }

    /// The raw JSON-RPC id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        json::at(self.text(), &["id"])
    }

    /// The raw value of a member of `params`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        json::at(self.text(), &["params", name])
    }
}

/// A scripted server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct ScriptedServer {
    inner: Arc<Inner>,
}

struct Inner {
    persona: Mutex<Persona>,
    seen: Mutex<Vec<Seen>>,
    arrived: watch::Sender<usize>,
    /// Sessions that are open, by id.
    sessions: Mutex<BTreeSet<String>>,
    sessions_opened: watch::Sender<usize>,
    listening: Mutex<Vec<Listening>>,
    /// The era of each process of a server that speaks both.
    locked: Mutex<BTreeMap<u64, Era>>,
    listeners: watch::Sender<usize>,
    connections: watch::Sender<u64>,
    /// HTTP+SSE connections.
    sse: Mutex<Vec<over_sse::Connected>>,
    desk: mpsc::UnboundedSender<Asked>,
    down: Mutex<CancellationToken>,
}

/// A stream that is told of changes.
struct Listening {
    /// The raw id of a modern `subscriptions/listen`.
    id: Option<String>,
    events: Events,
}

/// Where the requests come that a test must answer.
#[derive(Debug)]
pub struct Desk {
    incoming: mpsc::UnboundedReceiver<Asked>,
    waiting: VecDeque<Asked>,
}

impl ScriptedServer {
    /// A server that nobody can reach yet ([`ScriptedServer::serve_http`], [`ScriptedServer::program`]).
    #[must_use]
    pub fn new(persona: Persona) -> (Self, Desk) {
        let (desk, incoming) = mpsc::unbounded_channel();
        let inner = Inner {
            persona: Mutex::new(persona),
            seen: Mutex::default(),
            arrived: watch::Sender::new(0),
            sessions: Mutex::default(),
            sessions_opened: watch::Sender::new(0),
            listening: Mutex::default(),
            locked: Mutex::default(),
            listeners: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            sse: Mutex::default(),
            desk,
            down: Mutex::default(),
        };
        (Self { inner: Arc::new(inner) }, Desk { incoming, waiting: VecDeque::new() })
    }

    /// What it is and does by itself, to be changed.
    pub fn persona(&self) -> MutexGuard<'_, Persona> {
        self.inner.persona.lock().unwrap()
    }

    /// All that reached it so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// All messages of a method that reached it so far.
    #[must_use]
    pub fn seen_of(&self, method: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.method() == method).collect()
    }

    /// Waits until a method has reached it that many times.
    pub async fn saw(&self, method: &str, times: usize) -> Vec<Seen> {
        let mut arrived = self.inner.arrived.subscribe();
        let enough = arrived.wait_for(|_| self.seen_of(method).len() >= times);
        soon(&format!("{times} × {method}"), enough).await.expect("a server");
        self.seen_of(method)
    }

    /// How many sessions were opened so far.
    #[must_use]
    pub fn sessions_opened(&self) -> usize {
        *self.inner.sessions_opened.borrow()
    }

    /// Forgets all sessions, as a restart does.
    pub fn forget_sessions(&self) {
        self.inner.sessions.lock().unwrap().clear();
    }

    /// Waits until so many streams listen for changes.
    pub async fn listened_to(&self, times: usize) {
        let mut listeners = self.inner.listeners.subscribe();
        let enough = listeners.wait_for(|listeners| *listeners >= times);
        soon("a stream that listens", enough).await.expect("a server");
    }

    /// Sends a notification to all who listen; `members` are those of its params, as `"uri":"a://b"`.
    pub async fn tell(&self, method: &str, members: &str) {
        self.tell_those(method, members, |_| true).await;
    }

    /// The same to those who listen in an era.
    pub async fn tell_in(&self, era: Era, method: &str, members: &str) {
        self.tell_those(method, members, |stream| stream.id.is_some() == (era == Era::Modern)).await;
    }

    async fn tell_those(&self, method: &str, members: &str, who: impl Fn(&Listening) -> bool) {
        let mut listening = std::mem::take(&mut *self.inner.listening.lock().unwrap());
        for stream in listening.iter_mut().filter(|stream| who(stream)) {
            let meta = stream
                .id
                .as_ref()
                .map(|id| format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#));
            let all: Vec<_> =
                meta.iter().map(String::as_str).chain(Some(members)).filter(|m| !m.is_empty()).collect();
            stream
                .events
                .message(&format!(
                    r#"{{"jsonrpc":"2.0","method":"{method}","params":{{{}}}}}"#,
                    all.join(",")
                ))
                .await;
        }
        self.inner.listening.lock().unwrap().append(&mut listening);
    }

    /// Sends a message, whatever it is, to all who listen.
    pub async fn tell_raw(&self, text: &str) {
        let mut listening = std::mem::take(&mut *self.inner.listening.lock().unwrap());
        for stream in &mut listening {
            stream.events.message(text).await;
        }
        self.inner.listening.lock().unwrap().append(&mut listening);
    }

    /// Ends all streams that listen; `result` says whether in good order.
    pub async fn end_listening(&self, in_order: bool) {
        let listening = std::mem::take(&mut *self.inner.listening.lock().unwrap());
        for mut stream in listening {
            match (&stream.id, in_order) {
                (Some(id), true) => {
                    let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
                    let result = format!(
                        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete",{meta}}}}}"#
                    );
                    stream.events.message(&result).await;
                    stream.events.end().await;
                }
                (None, true) => stream.events.end().await,
                (_, false) => stream.events.abort(),
            }
        }
    }

    /// Breaks all its connections and ends all its processes, and takes new ones again at once.
    pub fn crash(&self) {
        self.inner.listening.lock().unwrap().clear();
        std::mem::take(&mut *self.inner.down.lock().unwrap()).cancel();
    }

    /// Answers everything that comes to its desk, from now on.
    pub fn answer_all<F>(&self, mut desk: Desk, answer: impl Fn(Asked) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(async move {
            while let Some(asked) = desk.incoming.recv().await {
                tokio::spawn(answer(asked));
            }
        });
    }

    /// Notes what came, and gives it to whoever answers it.
    fn take(&self, asked: Asked) {
        self.note(&asked.seen);
        let scripted = self.persona().scripted.contains(&asked.seen.method());
        if scripted || !routine::knows(&asked.seen) {
            // The test may be over.
            drop(self.inner.desk.send(asked));
        } else {
            let server = self.clone();
            tokio::spawn(async move { server.answer_routine(asked).await });
        }
    }

    fn note(&self, seen: &Seen) {
        self.inner.seen.lock().unwrap().push(seen.clone());
        self.inner.arrived.send_modify(|arrived| *arrived += 1);
    }

    fn count_connection(&self) -> u64 {
        self.inner.connections.send_modify(|connections| *connections += 1);
        *self.inner.connections.borrow()
    }

    fn down(&self) -> CancellationToken {
        self.inner.down.lock().unwrap().clone()
    }
}

impl fmt::Debug for ScriptedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedServer").field("persona", &self.persona()).finish_non_exhaustive()
    }
}

impl Desk {
    /// The next request of a method; requests of other methods wait.
    pub async fn asked(&mut self, method: &str) -> Asked {
        if let Some(at) = self.waiting.iter().position(|asked| asked.seen.method() == method) {
            return self.waiting.remove(at).unwrap();
        }
        loop {
            let asked =
                soon(&format!("a request of {method}"), self.incoming.recv()).await.expect("a server");
            if asked.seen.method() == method {
                return asked;
            }
            self.waiting.push_back(asked);
        }
    }

    /// What waits here for an answer by now.
    pub fn left(&mut self) -> Vec<Seen> {
        while let Ok(asked) = self.incoming.try_recv() {
            self.waiting.push_back(asked);
        }
        self.waiting.iter().map(|asked| asked.seen.clone()).collect()
    }
}
