//! What counts as a lost session, and what may then be sent again: the table «Lost sessions» of docs/development/decisions.md.
//!
//! Servers say in many ways that they do not know a session, and a tool may say the same of something else. So nobody's words
//! are believed: a request that does nothing is tried in the session, and, where that is refused as well, in a new one. Only
//! where the one is refused and the other answered was it the session.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::error::CallError;
use base::fault::Fault;
use base::lasting::Lasting;
use base::sync::lock;
use http::HeaderMap;
use mcp::answer;
use mcp::headers::SESSION_ID;
use mcp::jsonrpc::Id;
use tokio::time::{Duration, timeout};

use super::opening::{self, Opening};
use super::reading::{self, Reading};
use super::refusal::Refusal;
use super::{HttpWire, Session, SessionSlot};

/// How long a server may take to answer what does nothing.
const CONTROL: Duration = Duration::from_secs(10);

/// What a refusal means.
pub(crate) enum Ruling {
    /// What it says. The session lives, or nobody knows.
    Stands,
    /// The session is gone, and there is a new one. Whether what was refused certainly was not carried out.
    Lost {
        /// Whether it was refused before any method ran.
        came_first: bool,
    },
    /// The session is gone, what was refused was not carried out, and there is no new one.
    Alone(CallError),
}

/// What is known of a server's ways to refuse.
#[derive(Debug, Default)]
pub(super) struct Manners {
    /// Whether a `ping` is refused in a new session, too, so that it tells nothing.
    refuses_pings: AtomicBool,
}

impl HttpWire {
    /// Finds out what a refusal in a session means; opens another session where it means that this one is gone. `headers` are
    /// those of the refused request that came from its client.
    pub(crate) async fn judge(
        self: &Arc<Self>,
        session: &Arc<Session>,
        refusal: &Refusal,
        headers: &HeaderMap,
    ) -> Ruling {
        if !refusal.may_mean_loss() {
            return Ruling::Stands;
        }
        // Of many that are refused at once, one finds out.
        let arrived = session.controls.load(Ordering::Relaxed);
        let _one = session.judging.lock().await;
        if refusal.is_of_the_modern_era() {
            self.replaced(session, None).await;
            return Ruling::Lost { came_first: true };
        }
        let known = lock(&session.denied).clone();
        if let Some(denied) = known.filter(|_| session.is_lost()) {
            return Ruling::Lost { came_first: denied.came_first(refusal) };
        }
        let is_same = |(number, other): &(u64, Refusal)| *number > arrived && refusal.came_first(other);
        if lock(&session.alive).as_ref().is_some_and(is_same) {
            return Ruling::Stands;
        }
        let number = session.controls.fetch_add(1, Ordering::Relaxed) + 1;
        let Some((control, denied)) = self.try_session(session, refusal, headers).await else {
            *lock(&session.alive) = Some((number, refusal.clone()));
            return Ruling::Stands;
        };
        match self.renew(session, (control, &denied), headers).await {
            Ok(true) => Ruling::Lost { came_first: denied.came_first(refusal) },
            Ok(false) => Ruling::Stands,
            // Where credentials are missing there may be some for the next one, and the session goes on.
            Err(error) if denied.came_first(refusal) && !refusal.wants_credentials() => Ruling::Alone(error),
            Err(_) => Ruling::Stands,
        }
    }

    /// What does nothing in a session, and is refused in it; none when the session lives, or when that cannot be said.
    async fn try_session(
        &self,
        session: &Arc<Session>,
        refusal: &Refusal,
        headers: &HeaderMap,
    ) -> Option<(&'static str, Refusal)> {
        let pings = !self.manners.refuses_pings.load(Ordering::Relaxed);
        // A server may answer pings without looking at the session; whoever says that it is gone is asked once more.
        let lists = (refusal.is_suspect() || !pings).then(|| list_of(session)).flatten();
        for control in Some("ping").filter(|_| pings).into_iter().chain(lists) {
            match self.control((session, refusal), control, headers).await {
                Some(Err(denied)) if denied.may_mean_loss() => return Some((control, denied)),
                Some(_) => {}
                None => return None,
            }
        }
        None
    }

    /// Opens another session in the place of one that seems to be gone. Whether it was: a new one in which the same is refused
    /// is no better.
    async fn renew(
        self: &Arc<Self>,
        old: &Arc<Session>,
        (mut control, denied): (&'static str, &Refusal),
        headers: &HeaderMap,
    ) -> Result<bool, CallError> {
        // Whoever has ended the session wants no other.
        let Some(slot) = lock(&self.sessions).get(&old.whose).cloned() else { return Ok(false) };
        let mut slot = slot.lock().await;
        if slot.as_ref().is_some_and(|current| !Arc::ptr_eq(current, old) && !current.is_lost()) {
            self.lost(old, Some(denied.clone()));
            return Ok(true);
        }
        let within = self.shared.plan.deadlines.connect;
        let opened = timeout(within, opening::open(self, &old.whose)).await.unwrap_or_else(|_elapsed| {
            Err(self.shared.unreached(&format!("no new session opened within {within:?}"), Fault::Late))
        });
        let new = match opened? {
            Opening::Done(new) => new,
            Opening::Refused(refused) if matches!(refused.error, CallError::Unreachable { .. }) => {
                return Err(refused.error);
            }
            // It is another server by now, and whoever comes next finds out which.
            Opening::Refused(_) => {
                self.replaced(old, Some(denied.clone())).await;
                return Ok(true);
            }
        };
        let mut answered = self.control((new.session(), denied), control, headers).await;
        if control == "ping" && matches!(answered, Some(Err(_))) {
            self.manners.refuses_pings.store(true, Ordering::Relaxed);
            if let Some(list) = list_of(old) {
                control = list;
                // Both must be asked the same.
                answered = match self.control((old, denied), control, headers).await {
                    Some(Err(_)) => self.control((new.session(), denied), control, headers).await,
                    _ => answered,
                };
            }
        }
        if !matches!(answered, Some(Ok(()))) {
            self.ended_early(new.session());
            tracing::debug!(
                upstream = self.shared.plan.name,
                control,
                "is refused in a new session as well: the old one is kept"
            );
            return Ok(false);
        }
        let new = new.keep();
        self.lost(old, Some(denied.clone()));
        // It may be a newer version of the server that says what it can do here.
        self.shared.knows(&new.link);
        *slot = Some(Arc::clone(&new));
        drop(slot);
        self.begun(&new).await;
        Ok(true)
    }

    /// Asks for what does nothing: whether it was answered, or how it was refused, as something else was; nothing if neither.
    async fn control(
        &self,
        (session, other): (&Session, &Refusal),
        method: &'static str,
        headers: &HeaderMap,
    ) -> Option<Result<(), Refusal>> {
        let id = self.shared.next_id();
        let body = answer::request_message(&Id::number(id), method, None);
        let mut all = headers.clone();
        all.extend(session.headers());
        let asked = async {
            let reply = self.post(all, body).await.ok()?;
            let reading = match reading::read(self, session, reply, id).await.ok()? {
                Reading::Stream(reply) => reading::read_stream(self, reply, id).await.ok()?,
                reading => reading,
            };
            match reading {
                Reading::Refused(refusal) if !refusal.is_answer(other) => Some(Err(*refusal)),
                Reading::Refused(_) => Some(Ok(())),
                Reading::Stream(_) | Reading::Response(..) | Reading::Taken => Some(Ok(())),
            }
        };
        timeout(CONTROL, asked).await.ok().flatten()
    }

    /// Something of ours that nobody waits for was refused in a session. There is nothing to send again.
    pub(super) fn doubt<'w>(
        self: &'w Arc<Self>,
        session: &'w Arc<Session>,
        refusal: Refusal,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'w>> {
        // Of a type that is known: who listens to the new session may doubt that one.
        Box::pin(async move {
            if session.is_lost() {
                return;
            }
            if let Ruling::Alone(error) = self.judge(session, &refusal, &HeaderMap::new()).await {
                tracing::debug!(upstream = self.shared.plan.name, %error, "no new session");
            }
        })
    }

    /// A session is gone because another server is there now, of which nothing is known.
    async fn replaced(&self, session: &Session, denied: Option<Refusal>) {
        if !session.is_lost() {
            *self.legacy_since.lock().await = None;
        }
        self.lost(session, denied);
    }

    /// A session is gone.
    pub(super) fn lost(&self, session: &Session, denied: Option<Refusal>) {
        let first = !session.is_lost();
        *lock(&session.denied) = denied;
        session.lose();
        if !first {
            return;
        }
        self.jars.forget(session.headers().get(&SESSION_ID));
        let name = &self.shared.plan.name;
        self.shared.world.metrics.session_lost(name);
        tracing::info!(upstream = name, "the server has lost our session");
        self.ended_early(session);
    }

    /// Notes that a session has ended, and begins a pause where too many have.
    fn ended_early(&self, session: &Session) {
        let held = self.held();
        if let Some(pause) = self.opening_pauses.ended(session.opened_at, held) {
            tracing::warn!(
                upstream = self.shared.plan.name,
                "session after session ends soon after it was opened; the next one waits {}",
                Lasting(pause)
            );
        }
    }

    /// How many sessions there are, or are just being opened. Where none could be opened there is none.
    fn held(&self) -> usize {
        let is_held = |slot: &&SessionSlot| slot.try_lock().map_or(true, |session| session.is_some());
        lock(&self.sessions).values().filter(is_held).count()
    }

    /// Leave to open a session.
    pub(super) fn may_open(&self) -> Result<(), CallError> {
        let Some(left) = self.opening_pauses.pause() else { return Ok(()) };
        self.shared.world.metrics.session_withheld(&self.shared.plan.name);
        let why =
            format!("session after session ended soon after it was opened; the next one waits {left:.1?}");
        Err(self.shared.unreached(&why, Fault::Forgetful))
    }
}

/// A list that a server says it has, and that costs it little.
fn list_of(session: &Session) -> Option<&'static str> {
    let has = &session.link.discovered.capabilities;
    [(has.tools, "tools/list"), (has.prompts, "prompts/list"), (has.resources, "resources/list")]
        .into_iter()
        .find_map(|(has, list)| has.then_some(list))
}
