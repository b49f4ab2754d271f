//! Servers that are child processes: started when needed, started again with a pause when they fail, ended when idle.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp::answer;
use mcp::call::Call;
use mcp::jsonrpc::Id;
use mcp::meta::LogLevel;
use mcp::version::Era;
use tokio::io::AsyncRead;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use transport::child::{self, Process};
use transport::lines::LineReader;
use transport::wire::WireEvent;

use crate::plan::StdioReach;
use crate::reply::CallError;
use crate::upstream::ask::Asked;
use crate::upstream::link::{Health, Link, Whose};
use crate::upstream::pipe::{Ends, LAST_WORDS, Pipe, Wants, lock};
use crate::upstream::shared::Shared;

mod open;

/// How many lines of a server's stderr are kept to explain its end.
const TAIL_LINES: usize = 20;
/// The most bytes of one line of stderr.
const STDERR_LINE: usize = 16 * 1024;
/// A process that lived this long has not failed to start.
const SETTLED: Duration = Duration::from_secs(30);
/// The first pause before a process is started again; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The processes of one server.
#[derive(Debug)]
pub(crate) struct StdioWire {
    shared: Arc<Shared>,
    reach: StdioReach,
    slots: Mutex<HashMap<Whose, Slot>>,
    pause: Mutex<Pause>,
    stopped: CancellationToken,
    /// The era that the server was last seen to speak.
    era: Mutex<Option<Era>>,
    /// Held while nobody knows its era: a modern server needs one process for all.
    first: Arc<AsyncMutex<()>>,
}

/// The process of one [`Whose`]; the lock is held while it is being started.
type Slot = Arc<AsyncMutex<Option<Running>>>;

/// A process that has said what it is.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) pipe: Pipe,
    pub(crate) link: Link,
    /// The log level that a legacy process was set to.
    level: Arc<Mutex<Option<LogLevel>>>,
    /// Whether a client has used it for more than to look around.
    served: Arc<AtomicBool>,
}

/// When a process may be started again.
#[derive(Debug, Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
    error: Option<CallError>,
}

impl StdioWire {
    pub(crate) fn new(shared: Arc<Shared>, reach: StdioReach) -> Self {
        Self {
            shared,
            reach,
            slots: Mutex::default(),
            pause: Mutex::default(),
            stopped: CancellationToken::new(),
            era: Mutex::default(),
            first: Arc::default(),
        }
    }

    /// The process for `whose`, started if it is not running. One that others are starting is waited for, and goes on starting
    /// when nobody waits any more: the next call finds it, where a program that is slow to start would never get there.
    pub(crate) async fn running(self: &Arc<Self>, whose: &Whose) -> Result<Running, CallError> {
        let era = *lock(&self.era);
        let first = if era.is_none() { Some(Arc::clone(&self.first).lock_owned().await) } else { None };
        // A legacy process is told once what its clients can be asked; a modern one hears it with each call. Whoever can
        // be asked nothing does not mind what a process was told.
        let whose = if *lock(&self.era) == Some(Era::Modern) { whose.bare() } else { whose.clone() };
        if whose.is_bare()
            && let Some(running) = self.current(&whose).await
        {
            return Ok(running);
        }
        let slot = Arc::clone(lock(&self.slots).entry(whose.clone()).or_default());
        let mut slot = slot.lock_owned().await;
        if let Some(running) = slot.as_ref().filter(|running| !running.pipe.is_closed()) {
            return Ok(running.clone());
        }
        let wire = Arc::clone(self);
        let starting = self.shared.world.tasks.spawn(async move {
            let _first = first;
            let alone = wire.kin(&whose).is_none();
            let running = wire.start_in_time(&whose.declared).await?;
            *slot = Some(running.clone());
            if !whose.is_bare() {
                wire.replace_unused(&whose);
            }
            if whose.is_shared() && alone {
                wire.shared.begun();
            }
            Ok(running)
        });
        starting.await.unwrap_or_else(|fault| Err(self.unreachable(&format!("starting it failed: {fault}"))))
    }

    /// Ends the process that was started to see what the server is, if nobody has used it yet: the new one serves all.
    fn replace_unused(&self, whose: &Whose) {
        let slot = lock(&self.slots).get(&whose.bare()).cloned();
        let Some(mut unused) = slot.as_ref().and_then(|slot| slot.try_lock().ok()) else { return };
        if let Some(running) =
            unused.take_if(|running| !running.has_served() && running.pipe.use_so_far().1 == 0)
        {
            running.pipe.close("another process, which knows what clients can be asked, has taken its place");
        }
    }

    async fn start_in_time(&self, declared: &str) -> Result<Running, CallError> {
        let within = self.shared.plan.deadlines.connect;
        let started = tokio::select! {
            started = timeout(within, self.start(declared)) => started
                .unwrap_or_else(|_elapsed| Err(self.unreachable(&format!("it said nothing within {within:?}")))),
            () = self.stopped.cancelled() => return Err(self.unreachable("Portolan no longer uses it")),
        };
        if let Err(error @ (CallError::Unreachable { .. } | CallError::InvalidAnswer { .. })) = &started {
            self.failed(error);
        }
        started
    }

    /// A process that is running for `whose`, whatever was declared to it.
    pub(crate) async fn current(&self, whose: &Whose) -> Option<Running> {
        if let Some(running) = self.kin(whose) {
            return Some(running);
        }
        let slot = lock(&self.slots).get(whose).cloned()?;
        let running = slot.lock().await.clone();
        running.filter(|running| !running.pipe.is_closed())
    }

    /// A process that is running and not being started; for `whose`, whatever was declared to it.
    fn kin(&self, whose: &Whose) -> Option<Running> {
        let slots = lock(&self.slots);
        let kin = slots.iter().filter(|(other, _)| other.is_kin_of(whose));
        let running = |slot: &Slot| slot.try_lock().ok().and_then(|running| running.clone());
        kin.filter_map(|(_, slot)| running(slot)).find(|running| !running.pipe.is_closed())
    }

    /// Ends the processes of `whose`, which nobody will use again.
    pub(crate) async fn forget(&self, whose: &Whose) {
        let slots: Vec<_> =
            lock(&self.slots).extract_if(|other, _| other.is_kin_of(whose)).map(|(_, slot)| slot).collect();
        for slot in slots {
            if let Some(running) = slot.lock().await.take() {
                running.pipe.close("its client has ended the session");
            }
        }
    }

    /// Ends all processes.
    pub(crate) async fn stop(&self) {
        self.stopped.cancel();
        let slots: Vec<_> = lock(&self.slots).drain().map(|(_, slot)| slot).collect();
        for slot in slots {
            if let Some(running) = slot.lock().await.take() {
                running.pipe.close("Portolan no longer uses it");
            }
        }
    }

    async fn start(&self, declared: &str) -> Result<Running, CallError> {
        self.may_start()?;
        let first = self.launch().await?;
        match open::converse(&self.shared, first.pipe(), open::Opener::Detect, declared).await {
            // Some legacy servers end themselves at anything before `initialize`.
            Err(CallError::BrokeOff { .. }) if open::detects(&self.shared) => {
                let second = self.launch().await?;
                let link =
                    open::converse(&self.shared, second.pipe(), open::Opener::Initialize, declared).await;
                self.ready(second, link)
            }
            link => self.ready(first, link),
        }
    }

    fn ready(&self, fresh: Fresh, link: Result<Link, CallError>) -> Result<Running, CallError> {
        match link {
            Ok(link) => {
                *lock(&self.era) = Some(link.era());
                let pipe = fresh.keep();
                self.watch_idleness(&pipe);
                self.shared.begun();
                Ok(Running { pipe, link, level: Arc::default(), served: Arc::default() })
            }
            Err(CallError::BrokeOff { why, .. }) => Err(self.unreachable(&why)),
            Err(error) => Err(error),
        }
    }

    /// Starts a process and the tasks that look after it.
    async fn launch(&self) -> Result<Fresh, CallError> {
        let world = &self.shared.world;
        let place = Arc::clone(&world.children).try_acquire_owned().map_err(|_full| {
            CallError::Overloaded { what: "child processes".to_owned(), limit: self.shared.most_children }
        })?;
        let name = &self.shared.plan.name;
        let spec = &self.reach.child;
        let child = world
            .spawn
            .spawn(spec)
            .map_err(|error| self.unreachable(&format!("{:?} cannot be started: {error}", spec.program)))?;
        tracing::info!(
            upstream = name,
            pid = child.process.id(),
            program = spec.program,
            "started a child process"
        );
        world.metrics.child_started(name);
        let ends = Ends { reader: child.stdout, writer: child.stdin, tap: world.tap.clone() };
        let shared = Arc::clone(&self.shared);
        let (pipe, run) = Pipe::open(
            name,
            ends,
            shared.plan.message_bytes,
            shared.notices.clone(),
            Arc::clone(&world.metrics),
        );
        world.tasks.spawn(run);
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let stderr = world.tasks.spawn(read_stderr(Arc::clone(&shared), child.stderr, Arc::clone(&tail)));
        let with = Supervision { stderr, tail, grace: self.reach.grace, place };
        world.tasks.spawn(supervise(shared, child.process, pipe.clone(), with));
        Ok(Fresh { pipe, kept: false })
    }

    fn watch_idleness(&self, pipe: &Pipe) {
        let Some(after) = self.reach.idle_after else { return };
        let (pipe, name) = (pipe.clone(), self.shared.plan.name.clone());
        self.shared.world.tasks.spawn(async move {
            let mut last = pipe.use_so_far().0;
            loop {
                tokio::select! {
                    () = pipe.closed() => return,
                    () = tokio::time::sleep(after) => {}
                }
                let (uses, waiting) = pipe.use_so_far();
                if uses == last && waiting == 0 {
                    tracing::info!(upstream = name, "ended an idle child process");
                    pipe.close("it was idle");
                    return;
                }
                last = uses;
            }
        });
    }

    fn may_start(&self) -> Result<(), CallError> {
        let pause = lock(&self.pause);
        let left =
            pause.until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        if left.is_zero() {
            return Ok(());
        }
        tracing::debug!(
            upstream = self.shared.plan.name,
            ?left,
            failures = pause.failures,
            "not started yet"
        );
        // The same words as when it failed: nothing else has happened.
        Err(pause.error.clone().unwrap_or_else(|| self.unreachable("it has failed to start")))
    }

    fn failed(&self, error: &CallError) {
        let mut pause = lock(&self.pause);
        let now = Instant::now();
        if pause.until.is_some_and(|until| until > now) {
            return;
        }
        if pause.until.is_none_or(|until| until + SETTLED < now) {
            pause.failures = 0;
        }
        let length = FIRST_PAUSE.saturating_mul(1 << pause.failures.min(10)).min(LONGEST_PAUSE);
        pause.failures += 1;
        pause.until = Some(now + length);
        pause.error = Some(error.clone());
    }

    fn unreachable(&self, why: &str) -> CallError {
        CallError::Unreachable { upstream: self.shared.plan.name.clone(), why: why.to_owned() }
    }
}

/// A conversation with a process that has not said yet what it is. Whoever gives up waiting for that drops it, and ends
/// the process so.
struct Fresh {
    pipe: Pipe,
    kept: bool,
}

impl Fresh {
    fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    fn keep(mut self) -> Pipe {
        self.kept = true;
        self.pipe.clone()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept {
            self.pipe.close("it did not say what it is");
        }
    }
}

impl Running {
    /// Makes a legacy process log from `level` on. Its level is one for all calls, so it is only ever lowered, and
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

    /// Which of the server's messages belong to a call.
    fn has_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }

    /// A client uses it.
    pub(crate) fn serves(&self, call: &Call) {
        if call.method().is_none_or(|method| method.may_ask || method.name == "resources/subscribe") {
            self.served.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn wants(logs: bool, listens: bool, asked: Asked) -> Wants {
        Wants { logs, listens, asked }
    }
}

struct Supervision {
    stderr: JoinHandle<()>,
    tail: Arc<Mutex<VecDeque<String>>>,
    grace: Duration,
    place: OwnedSemaphorePermit,
}

/// Sees to it that conversation and process end together.
async fn supervise(shared: Arc<Shared>, mut process: Box<dyn Process>, pipe: Pipe, with: Supervision) {
    let (name, pid) = (&shared.plan.name, process.id());
    let status = tokio::select! {
        status = process.wait() => Some(status),
        () = pipe.closed() => None,
    };
    if let Some(status) = status {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        // What it wrote before its end is still to be read; a grandchild may hold its streams open for ever.
        let last_words = async { tokio::join!(pipe.drained(), with.stderr) };
        drop(timeout(LAST_WORDS, last_words).await);
        let tail: Vec<_> = lock(&with.tail).iter().cloned().collect();
        let said = if tail.is_empty() { String::new() } else { format!("; it said: {}", tail.join(" | ")) };
        tracing::warn!(upstream = name, pid, %status, "a child process ended");
        let why = format!("the process ended ({status}){said}");
        shared.set_health(Health::Down { why: format!("{why}; it is started again when it is next needed") });
        pipe.close(&why);
    }
    child::end(process, with.grace).await;
    tracing::debug!(upstream = name, pid, "a child process is gone");
    shared.world.metrics.child_ended();
    drop(with.place);
}

async fn read_stderr(
    shared: Arc<Shared>,
    stderr: Box<dyn AsyncRead + Send + Unpin>,
    tail: Arc<Mutex<VecDeque<String>>>,
) {
    let mut lines = LineReader::new(stderr, STDERR_LINE);
    while let Ok(Some(line)) = lines.next().await {
        let Ok(line) = line else { continue };
        let text = String::from_utf8_lossy(&line).into_owned();
        if let Some(tap) = &shared.world.tap {
            tap.saw(&WireEvent::Stderr(&text));
        }
        tracing::info!(target: "portolan::stderr", upstream = shared.plan.name, "{text}");
        let mut tail = lock(&tail);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text);
    }
}
