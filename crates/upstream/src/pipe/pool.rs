//! The conversations with one server, one for each [`Whose`]: begun when needed, begun again with a pause when that
//! fails. What such a conversation goes over, a process or an HTTP+SSE connection, is its [`Begin`]'s business.
//!
//! Where one costs much, as a process does, several [`Whose`] share it if that makes no difference (`keeping`, `temper`).

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::error::CallError;
use base::fault::Why;
use base::sync::lock;
use bytes::Bytes;
use mcp::answer;
use mcp::call::Call;
use mcp::jsonrpc::Id;
use mcp::meta::LogLevel;
use mcp::version::Era;
use tokio::sync::{Mutex as AsyncMutex, Notify, OwnedMutexGuard, OwnedSemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use transport::child::Unread;

mod beside;
mod eras;
mod keeping;
mod pauses;
mod starts;

use self::pauses::{Pauses, Pausing};
pub(crate) use self::starts::{Signs, TooLate};
use self::starts::{Starting, Starts, Turn};
use crate::ask::Asked;
use crate::link::{Health, Link, Whose};
use crate::pipe::{Pipe, Wants};
use crate::shared::Shared;

/// For so long a program that starts keeps others from starting. One that takes longer waits for something, and does not work.
const HOLDS_PLACE: Duration = Duration::from_secs(10);

/// How a conversation begins.
pub(crate) trait Begin: fmt::Debug + Send + Sync + 'static {
    /// Whether one is shared and ended wherever that makes no difference.
    const IS_COSTLY: bool;

    /// The era to begin with for clients of an era.
    fn era_for(shared: &Shared, client: Era) -> Era;

    /// Begins one in the era of `whose`, or in the other one where the server refuses that; a legacy server is told what is
    /// declared for `whose`. The caller bounds the time, by the signs that it shows of being at work.
    fn begin(
        &self,
        shared: &Arc<Shared>,
        whose: &Whose,
        signs: &Signs,
    ) -> impl Future<Output = Result<Running, CallError>> + Send;

    /// What is said of one that was given up.
    fn was_late(&self, why: TooLate) -> String;

    /// After how long one that nobody uses is ended, if ever.
    fn idle_after(&self) -> Option<Duration> {
        None
    }
}

/// What a conversation is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// For ourselves: any will do.
    Own,
    /// To see what the server is and lists.
    Look,
    /// For anything else that a client wants of it.
    Call,
}

/// The conversations with one server.
#[derive(Debug)]
pub(crate) struct PipePool<B> {
    shared: Arc<Shared>,
    begin: B,
    slots: Mutex<HashMap<Whose, PipeSlot>>,
    pauses: Pauses,
    starts: Starts,
    stopped: CancellationToken,
    /// When it was first found out which eras the server speaks.
    found: Mutex<Option<Instant>>,
    /// Held while nobody knows whether it speaks an era: with a modern server one conversation is enough for all.
    first: Arc<AsyncMutex<()>>,
    /// Held while one is begun beside others and compared with them: what comes of it decides over the next.
    beside: Arc<AsyncMutex<()>>,
    /// Told when one has begun.
    news: Notify,
}

/// The conversation of one [`Whose`]; the lock is held while it is being begun.
type PipeSlot = Arc<AsyncMutex<Option<Running>>>;

/// A conversation in which the server has said what it is.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) pipe: Pipe,
    pub(crate) link: Link,
    /// The log level that a legacy server was set to.
    level: Arc<Mutex<Option<LogLevel>>>,
    /// Whether a client has used it for more than to look around, and whether for that.
    served: Arc<AtomicBool>,
    looked: Arc<AtomicBool>,
    /// Whether the server was asked in it to watch a resource.
    watches: Arc<AtomicBool>,
}

/// A conversation with a server that has not said yet what it is. Whoever gives up waiting for that drops it, and ends the
/// conversation so.
pub(crate) struct NewPipe {
    pipe: Pipe,
    kept: bool,
    /// What it has not read of what was written to it, where that can be told.
    unread: Option<Unread>,
}

impl<B: Begin> PipePool<B> {
    pub(crate) fn new(shared: Arc<Shared>, begin: B) -> Self {
        Self {
            shared,
            begin,
            slots: Mutex::default(),
            pauses: Pauses::default(),
            starts: Starts::default(),
            stopped: CancellationToken::new(),
            found: Mutex::default(),
            first: Arc::default(),
            beside: Arc::default(),
            news: Notify::new(),
        }
    }

    /// The conversation for `whose`, begun if there is none. One that others are beginning is waited for, and goes on
    /// beginning when nobody waits any more: the next call finds it, where a program that is slow to start would never get
    /// there. Of one that is late everybody hears at once, if they stay to find it later.
    pub(crate) async fn running(self: &Arc<Self>, whose: &Whose, need: Need) -> Result<Running, CallError> {
        loop {
            if let Some(running) = self.fitting(whose, need) {
                return Ok(running);
            }
            if self.stopped.is_cancelled() {
                return Err(self.unused());
            }
            let begun = tokio::select! {
                biased;
                begun = self.begun(whose, need) => begun?,
                since = self.starts.late(whose) => return Err(self.still_starting(since)),
            };
            if let Some(running) = begun {
                return Ok(running);
            }
        }
    }

    /// One that was begun for `whose`; none if it turned out that it was told too much.
    async fn begun(self: &Arc<Self>, whose: &Whose, need: Need) -> Result<Option<Running>, CallError> {
        self.doubt_old();
        let known = self.shared.eras.is_known(B::era_for(&self.shared, whose.era));
        let first = if known { None } else { Some(Arc::clone(&self.first).lock_owned().await) };
        let whose = self.wanted(whose);
        let beside = match self.wait_beside(&whose, need).await {
            Ok(beside) => beside,
            Err(running) => return Ok(Some(running)),
        };
        let told = if beside.is_some() { self.told(&whose) } else { whose.clone() };
        let slot = Arc::clone(lock(&self.slots).entry(told.clone()).or_default());
        let mut slot = slot.lock_owned().await;
        if self.shared.departed.has(&told) {
            lock(&self.slots).remove(&told);
            return Err(CallError::NoSession);
        }
        if let Some(running) = slot.as_ref().filter(|running| !running.pipe.is_closed()) {
            return Ok(Some(running.clone()));
        }
        if beside.is_some() {
            self.make_room(&told)?;
        }
        let wire = Arc::clone(self);
        let starting = self.shared.world.tasks.spawn(async move {
            let alone = wire.kin(&told).is_none();
            let mut start = wire.starts.begin(&told, (first.is_some(), alone));
            let _first = first;
            let running = match wire.start_in_time(&told, &mut start).await {
                Ok(running) => running,
                // Some programs can run only once: then that one is everybody's.
                Err(error) => {
                    drop((start, slot));
                    wire.sweep(&told);
                    let instead = wire.any_kin(&told).or_else(|| wire.instead(&told));
                    return instead.ok_or(error).map(Some);
                }
            };
            if let Some(running) = wire.same_already(&running, &told) {
                return Ok(Some(running));
            }
            *slot = Some(running.clone());
            // Who hears that the server speaks this era finds the conversation from here on.
            drop(slot);
            if start.is_late() {
                wire.came_late(&running);
            }
            drop(start);
            wire.note(&running, &told);
            let told = told.in_era(running.link.era());
            wire.news.notify_waiters();
            wire.end_unused_of_other_era(&running, &told);
            wire.tend(&told, &running);
            if told.is_shared() && alone {
                wire.shared.begun(told.era);
            }
            Ok(wire.begun_beside(beside, whose == told, (told, running)).await)
        });
        starting
            .await
            .unwrap_or_else(|fault| Err(self.shared.unreachable(&format!("starting it failed: {fault}"))))
    }

    /// Waits until a conversation may be begun beside others, where that matters, or for one that fits.
    async fn wait_beside(&self, whose: &Whose, need: Need) -> Result<Option<OwnedMutexGuard<()>>, Running> {
        if !B::IS_COSTLY || !whose.is_shared() {
            return self.fitting(whose, need).map_or(Ok(None), Err);
        }
        loop {
            let mut news = pin!(self.news.notified());
            news.as_mut().enable();
            if let Some(running) = self.fitting(whose, need) {
                return Err(running);
            }
            tokio::select! {
                biased;
                () = news => {}
                beside = Arc::clone(&self.beside).lock_owned() => {
                    return self.fitting(whose, need).map_or(Ok(Some(beside)), Err);
                }
            }
        }
    }

    async fn start_in_time(&self, whose: &Whose, start: &mut Starting<'_>) -> Result<Running, CallError> {
        self.may_start(whose)?;
        let silence = self.shared.plan.deadlines.connect;
        let place = tokio::select! {
            biased;
            () = self.stopped.cancelled() => return Err(self.unused()),
            place = self.place(whose) => place,
        };
        // Others may have tried meanwhile, and failed.
        self.may_start(whose)?;
        start.goes();
        let started = tokio::select! {
            biased;
            started = self.start(whose, &start.signs) => started,
            late = start.given_up(silence, || self.is_late(silence, start)) => {
                let (what, said) = (self.begin.was_late(late), start.signs.said());
                Err(self.shared.not_there(Why { what, said, ..Why::default() }))
            }
            () = self.stopped.cancelled() => return Err(self.unused()),
            never = hold(place) => match never {},
        };
        if let Err(error @ (CallError::Unreachable { .. } | CallError::InvalidAnswer { .. })) = &started {
            self.failed(whose, error);
            // Perhaps nobody waits for it who could take note of that.
            if !self.is_up() {
                self.shared.set_down(error);
            }
        }
        started
    }

    /// A place among the programs that are starting, whose server ever they are.
    async fn place(&self, whose: &Whose) -> Option<OwnedSemaphorePermit> {
        if !B::IS_COSTLY {
            return None;
        }
        // A conversation of one client was never up: nobody misses it.
        self.shared.world.starts.place(whose.is_shared() && self.shared.was_up()).await
    }

    fn unused(&self) -> CallError {
        self.shared.unreachable("Portolan no longer uses it")
    }

    /// One is given more time. Until it has begun, the server is down for whoever asks; but who asks one thing and ends waits for it,
    /// since nobody could tell them later.
    fn is_late(&self, silence: Duration, start: &Starting<'_>) {
        if !self.shared.plan.watched {
            return;
        }
        start.is_late_now();
        if !self.is_up() {
            let why = format!(
                "it is still starting after {silence:?}, and goes on writing to stderr; it is given up when that is silent for as long \
                 (timeouts.connect)"
            );
            let error = self.still_starting(start.since()).into();
            self.shared.set_health(Health::Down { why, said: start.signs.said(), error });
        }
    }

    /// One that was late has begun. Nobody has waited for it who could take note of that.
    fn came_late(&self, running: &Running) {
        if !self.is_up() {
            self.shared.answered(&running.link);
        }
    }

    fn is_up(&self) -> bool {
        matches!(*self.shared.health().borrow(), Health::Up { .. })
    }

    /// What that which is being begun has said so far that is no message.
    pub(crate) fn said(&self) -> Option<String> {
        self.starts.said()
    }

    /// Why something is not there yet that is being begun; of what is late, if only that counts.
    pub(crate) fn starting(&self, only_late: bool) -> Option<CallError> {
        self.starts.oldest(only_late).map(|since| match since {
            Turn::Since(since) => self.still_starting(since),
            Turn::Waits => CallError::WaitsToStart { upstream: self.shared.plan.name.clone() },
        })
    }

    fn still_starting(&self, since: Instant) -> CallError {
        let (upstream, silence) = (self.shared.plan.name.clone(), self.shared.plan.deadlines.connect);
        CallError::Starting { upstream, so_far: since.elapsed(), silence }
    }

    /// A conversation for `whose`, whatever was declared to it.
    pub(crate) async fn current(&self, whose: &Whose) -> Option<Running> {
        let whose = self.wanted(whose);
        if let Some(running) = self.kin(&whose) {
            return Some(running);
        }
        let slot = lock(&self.slots).get(&whose).cloned()?;
        let running = tokio::select! {
            biased;
            running = slot.lock() => running.clone(),
            _ = self.starts.late(&whose) => None,
        };
        running.filter(|running| !running.pipe.is_closed())
    }

    /// A conversation that is not just being begun; for `whose`, whatever was declared to it.
    fn kin(&self, whose: &Whose) -> Option<Running> {
        self.all_kin(whose).into_iter().next().map(|(_, running)| running)
    }

    /// All conversations that are not just being begun and differ from that of `whose` in what was declared at most.
    fn all_kin(&self, whose: &Whose) -> Vec<(Whose, Running)> {
        let mut all = self.all_eras(whose);
        all.retain(|(_, running)| running.link.era() == whose.era);
        all
    }

    /// The same in either era.
    fn all_eras(&self, whose: &Whose) -> Vec<(Whose, Running)> {
        let slots = lock(&self.slots);
        let kin = slots.iter().filter(|(other, _)| other.is_kin_of(whose));
        let running = |slot: &PipeSlot| slot.try_lock().ok().and_then(|running| running.clone());
        kin.filter_map(|(other, slot)| Some((other, running(slot)?)))
            .filter(|(_, running)| !running.pipe.is_closed())
            // In which era it was begun is no matter any more.
            .map(|(other, running)| (other.in_era(running.link.era()), running))
            .collect()
    }

    /// Tells a legacy server something that is true of `whose`, if there is a conversation for that; a client's own is begun for
    /// it.
    pub(crate) fn tell(self: &Arc<Self>, whose: &Whose, word: &Bytes) {
        if !whose.is_shared() {
            let (pool, whose, word) = (Arc::clone(self), whose.clone(), word.clone());
            self.shared.world.tasks.spawn(async move {
                match pool.running(&whose, Need::Call).await {
                    Ok(running) if running.link.era() == Era::Legacy => running.pipe.say(word),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(
                            upstream = pool.shared.plan.name,
                            "not told what its client says: {error}"
                        );
                    }
                }
            });
            return;
        }
        if let Some(running) = self.fitting(whose, Need::Call).filter(|r| r.link.era() == Era::Legacy) {
            running.pipe.say(word.clone());
        }
    }

    /// Ends the conversations of `whose`, which nobody will use again.
    pub(crate) async fn forget(&self, whose: &Whose) {
        whose.session.iter().for_each(|session| self.pauses.forget(session));
        let slots: Vec<_> =
            lock(&self.slots).extract_if(|other, _| other.is_kin_of(whose)).map(|(_, slot)| slot).collect();
        for slot in slots {
            if let Some(running) = slot.lock().await.take() {
                running.pipe.close("its client has ended the session");
            }
        }
    }

    /// Ends all of them.
    pub(crate) async fn stop(&self) {
        self.stopped.cancel();
        let slots: Vec<_> = lock(&self.slots).drain().map(|(_, slot)| slot).collect();
        for slot in slots {
            if let Some(running) = slot.lock().await.take() {
                running.pipe.close("Portolan no longer uses it");
            }
        }
    }

    async fn start(&self, whose: &Whose, signs: &Signs) -> Result<Running, CallError> {
        let running = self.begin.begin(&self.shared, whose, signs).await?;
        self.shared.knows(&running.link);
        self.shared.temper.is_of(running.link.discovered.info.as_deref());
        Ok(running)
    }

    fn may_start(&self, whose: &Whose) -> Result<(), CallError> {
        let Some(Pausing { left, failures, error }) = self.pauses.of(whose.session.as_ref()) else {
            return Ok(());
        };
        tracing::debug!(upstream = self.shared.plan.name, ?left, failures, "not started yet");
        // The same words as when it failed: nothing else has happened.
        Err(error.unwrap_or_else(|| self.shared.unreachable("it has failed to start")))
    }

    fn failed(&self, whose: &Whose, error: &CallError) {
        // The server runs and answers, and has let others in: it is what this one says of itself.
        let is_ones_own =
            matches!(error, CallError::InvalidAnswer { .. }) && self.shared.eras.speaks(whose.era);
        self.pauses.failed(whose.session.as_ref().filter(|_| is_ones_own), error);
    }
}

/// Keeps a place for as long as a start may keep it.
async fn hold(place: Option<OwnedSemaphorePermit>) -> Infallible {
    tokio::time::sleep(HOLDS_PLACE).await;
    drop(place);
    std::future::pending().await
}

impl NewPipe {
    pub(crate) fn new(pipe: Pipe, unread: Option<Unread>) -> Self {
        Self { pipe, kept: false, unread }
    }

    /// Whether it has certainly not read what it was asked first: then it was not that which ended it.
    pub(crate) fn was_deaf(&self) -> bool {
        self.pipe.is_deaf() || self.unread.as_ref().is_some_and(Unread::is_any)
    }

    pub(crate) fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    pub(crate) fn keep(mut self) -> Pipe {
        self.kept = true;
        self.pipe.begun();
        self.pipe.clone()
    }
}

impl Drop for NewPipe {
    fn drop(&mut self) {
        if !self.kept {
            self.pipe.close("it did not say what it is");
        }
    }
}

impl Running {
    pub(crate) fn new(pipe: Pipe, link: Link) -> Self {
        Self {
            pipe,
            link,
            level: Arc::default(),
            served: Arc::default(),
            looked: Arc::default(),
            watches: Arc::default(),
        }
    }

    /// Makes a legacy server log from `level` on. Its level is one for all calls, so it is only ever lowered, and
    /// each call's messages are filtered on their way out.
    pub(crate) fn lower_level(&self, level: LogLevel, id: u64) {
        if self.link.era() == Era::Modern || !self.link.discovered.capabilities.logging {
            return;
        }
        let mut current = lock(&self.level);
        if current.is_none_or(|current| level < current) {
            *current = Some(level);
            let params = format!(r#"{{"level":"{level}"}}"#);
            self.pipe.say(answer::request_message(&Id::number(id), "logging/setLevel", Some(&params)));
        }
    }

    fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether any client has used it.
    fn was_used(&self) -> bool {
        self.looked.load(Ordering::Relaxed) || self.has_served()
    }

    /// Somebody uses it.
    pub(crate) fn serves(&self, call: &Call, need: Need) {
        match need {
            Need::Own => {
                let watches = call.method().is_some_and(|method| method.name == "resources/subscribe");
                self.watches.fetch_or(watches, Ordering::Relaxed);
                return;
            }
            Need::Look => self.looked.store(true, Ordering::Relaxed),
            Need::Call => {}
        }
        if call.method().is_none_or(|method| method.may_ask || method.name == "resources/subscribe") {
            self.served.store(true, Ordering::Relaxed);
        }
    }

    /// Which of the server's messages belong to a call.
    pub(crate) fn wants(logs: bool, listens: bool, asked: Asked) -> Wants {
        Wants { logs, listens, asked }
    }
}
