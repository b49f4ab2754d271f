//! A legacy server: sessions, questions in mid-call, a stream for what belongs to no call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::http::{Answers, Asking, Reply, error, events, json, plain, result, with};
use super::{
    Asked, NOT_DONE, STEPS, TOOLS, World, content, done, done_with, gravity, log_of, notification, question,
    subject,
};

/// The revision that it speaks.
pub(crate) const REVISION: &str = "2025-11-25";
/// What it is called in configurations and subjects.
pub(crate) const NAME: &str = "legacy";
const SESSION: &str = "mcp-session-id";

/// The server.
#[derive(Debug)]
pub(crate) struct Legacy {
    world: Arc<World>,
    sessions: Mutex<BTreeMap<String, Arc<Session>>>,
    /// For ids of sessions and questions.
    next: AtomicU64,
}

/// What a session knows.
#[derive(Debug, Default)]
struct Session {
    /// Where its questions are answered.
    answers: Mutex<BTreeMap<String, oneshot::Sender<Value>>>,
    watched: Mutex<BTreeSet<String>>,
    level: Mutex<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answers for Legacy {
    async fn answer(self: Arc<Self>, asking: Asking) -> Reply {
        let Asking { method, headers, message } = asking;
        if message["method"] == json!("initialize") {
            return self.open(&message["id"]);
        }
        if message["method"] == json!("server/discover") {
            return json(400, &error(&message["id"], -32000, "no session"));
        }
        let name = headers.get(SESSION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(session) = lock(&self.sessions).get(name).cloned() else { return plain(404) };
        match method {
            Method::GET => self.stream(session),
            Method::DELETE => {
                lock(&self.sessions).remove(name);
                plain(200)
            }
            Method::POST => self.post(session, &message),
            _ => plain(405),
        }
    }
}

impl Legacy {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, sessions: Mutex::default(), next: AtomicU64::new(1) }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn open(&self, id: &Value) -> Reply {
        let name = format!("chaos-{}", self.number());
        lock(&self.sessions).insert(name.clone(), Arc::default());
        let capabilities = json!({
            "tools": {"listChanged": true},
            "resources": {"subscribe": true},
            "logging": {}
        });
        let info = json!({"name": NAME, "version": "1"});
        let said = json!({"protocolVersion": REVISION, "capabilities": capabilities, "serverInfo": info});
        with(json(200, &result(id, &said)), SESSION, &name)
    }

    fn post(self: Arc<Self>, session: Arc<Session>, message: &Value) -> Reply {
        let (id, params) = (message["id"].clone(), &message["params"]);
        let Some(method) = message["method"].as_str() else {
            let waits = id.as_str().and_then(|id| lock(&session.answers).remove(id));
            if let Some(waits) = waits {
                waits.send(message["result"].clone()).ok();
            }
            return plain(202);
        };
        if id.is_null() {
            return plain(202);
        }
        let watched = params["uri"].as_str().unwrap_or_default().to_owned();
        let said = match method {
            "tools/call" => return self.call(session, id, Asked::read(params)),
            "tools/list" => json!({"tools": super::tools(self.world.version(&subject(NAME, TOOLS)))}),
            "resources/list" => json!({"resources": super::resources()}),
            "resources/read" => match content(&self.world, NAME, &watched) {
                Some(contents) => json!({"contents": contents}),
                None => return json(200, &error(&id, -32002, "no such resource")),
            },
            "resources/subscribe" => {
                lock(&session.watched).insert(watched);
                json!({})
            }
            "resources/unsubscribe" => {
                lock(&session.watched).remove(&watched);
                json!({})
            }
            "logging/setLevel" => {
                params["level"].as_str().unwrap_or_default().clone_into(&mut lock(&session.level));
                json!({})
            }
            "ping" => json!({}),
            _ => return json(200, &error(&id, -32601, "no such method")),
        };
        json(200, &result(&id, &said))
    }

    /// A call goes on whatever becomes of its connection: that is the legacy era.
    fn call(self: Arc<Self>, session: Arc<Session>, id: Value, asked: Asked) -> Reply {
        let (tell, told) = mpsc::channel(64);
        tokio::spawn(async move {
            let said = match asked.tool.as_str() {
                "effect" => {
                    self.world.effect(&asked.id);
                    for step in (1..=STEPS).filter(|_| asked.wait > 0) {
                        tokio::time::sleep(Duration::from_millis(asked.wait / STEPS)).await;
                        if let Some(progress) = asked.progress(step) {
                            tell.send(progress).await.ok();
                        }
                    }
                    done(&format!("done {}", asked.id))
                }
                "log" => {
                    self.world.effect(&asked.id);
                    let level = lock(&session.level).clone();
                    for (at, message) in log_of(&asked.id) {
                        if gravity(at) >= gravity(&level) {
                            tell.send(message).await.ok();
                        }
                    }
                    done(&format!("done {}", asked.id))
                }
                "ask" => {
                    let number = format!("q{}", self.number());
                    let (answer, answered) = oneshot::channel();
                    lock(&session.answers).insert(number.clone(), answer);
                    let request = json!({"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": question(&asked.id)});
                    tell.send(request).await.ok();
                    // Whoever asked is gone, or refused: then nothing is done.
                    match answered.await {
                        Ok(answer) if answer["action"] == json!("accept") => {
                            self.world.effect(&asked.id);
                            done_with(&asked.id, &answer)
                        }
                        _ => done(&format!("{NOT_DONE} {}", asked.id)),
                    }
                }
                _ => done("no such tool"),
            };
            tell.send(result(&id, &said)).await.ok();
        });
        events(told)
    }

    /// The session's own stream.
    fn stream(&self, session: Arc<Session>) -> Reply {
        let (tell, told) = mpsc::channel(256);
        let mut changes = self.world.changes();
        tokio::spawn(async move {
            loop {
                let subject = tokio::select! {
                    () = tell.closed() => return,
                    changed = changes.recv() => changed,
                };
                let subject = subject.unwrap_or_default();
                let Some(what) = subject.strip_prefix("legacy/") else { continue };
                let uri = super::uri(what);
                let message = if what == TOOLS {
                    json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
                } else if lock(&session.watched).contains(&uri) {
                    notification("notifications/resources/updated", &json!({"uri": uri}))
                } else {
                    continue;
                };
                tell.send(message).await.ok();
            }
        });
        events(told)
    }
}
