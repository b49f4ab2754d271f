//! Servers that are child processes: what such a conversation begins with, and how it and its process end together.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::error::CallError;
use base::fault::{Absence, Why};
use base::plan::StdioReach;
use base::withheld::Withheld;
use mcp::version::Era;
use tokio::io::AsyncRead;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use transport::child::{self, Process};
use transport::descriptors;
use transport::lines::LineReader;
use transport::wire::WireEvent;

use crate::last_words::LastWords;
use crate::link::{Health, Link, Whose};
use crate::pipe::ends::Ends;
use crate::pipe::handshake;
use crate::pipe::pool::{Begin, NewPipe, PipePool, Running, Signs, TooLate};
use crate::pipe::{LAST_WORDS, Pipe};
use crate::shared::Shared;

/// How long a process may say nothing before another one is begun beside it in another way.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of one line of stderr.
const STDERR_LINE: usize = 16 * 1024;

/// The processes of one server.
pub(crate) type StdioWire = PipePool<Processes>;

/// Starts processes of one program.
#[derive(Debug)]
pub(crate) struct Processes {
    reach: StdioReach,
    /// Whether it was seen to bear nothing before `initialize`.
    minds_questions: AtomicBool,
}

impl Begin for Processes {
    const IS_COSTLY: bool = true;

    fn era_for(shared: &Shared, client: Era) -> Era {
        shared.eras.of_link(client)
    }

    async fn begin(&self, shared: &Arc<Shared>, whose: &Whose, signs: &Signs) -> Result<Running, CallError> {
        let detects = handshake::detects(shared);
        if detects && whose.era == Era::Legacy {
            return self.begin_legacy(shared, whose, signs).await;
        }
        if detects && self.minds_questions.load(Ordering::Relaxed) {
            let fresh = self.launch(shared, whose, signs)?;
            let link = handshake::converse(shared, fresh.pipe(), handshake::Opener::Initialize, whose).await;
            // It may be another program by now.
            self.minds_questions.store(link.is_ok(), Ordering::Relaxed);
            return ready(shared, fresh, link);
        }
        let first = self.launch(shared, whose, signs)?;
        let (first, link) = if detects {
            self.race(shared, (whose, signs), first).await
        } else {
            detect(shared, whose, first).await
        };
        match link {
            // Some legacy servers end themselves at anything before `initialize`.
            Err(CallError::BrokeOff { .. }) if detects && !first.was_deaf() => {
                let second = self.launch(shared, whose, signs)?;
                let link =
                    handshake::converse(shared, second.pipe(), handshake::Opener::Initialize, whose).await;
                self.minds_questions.store(link.is_ok(), Ordering::Relaxed);
                ready(shared, second, link)
            }
            link => ready(shared, first, link),
        }
    }

    fn was_late(&self, why: TooLate) -> String {
        match why {
            TooLate::Silent(within) => format!("it said nothing within {within:?} (timeouts.connect)"),
            TooLate::Slow(within) => format!(
                "it has not started within {within:?}, though it went on writing to stderr (a longer timeouts.connect gives it \
                 longer)"
            ),
        }
    }

    fn idle_after(&self) -> Option<Duration> {
        self.reach.idle_after
    }
}

impl Processes {
    pub(crate) fn new(reach: StdioReach) -> Self {
        Self { reach, minds_questions: AtomicBool::new(false) }
    }

    /// Finds out what the first process is. Some say nothing any more after anything before `initialize`, which looks like one that
    /// is slow to start: so after a while another one is begun beside it with that, and who answers first is kept.
    async fn race(
        &self,
        shared: &Arc<Shared>,
        (whose, signs): (&Whose, &Signs),
        first: NewPipe,
    ) -> (NewPipe, Result<Link, CallError>) {
        let patience = PATIENCE.min(shared.plan.deadlines.connect / 2);
        let mut detecting = pin!(detect(shared, whose, first));
        if let Ok(found) = timeout(patience, &mut detecting).await {
            return found;
        }
        // What this one says as it starts says nothing of the first, as long as there is that.
        let its_signs = Signs::default();
        let Ok(second) = self.launch(shared, whose, &its_signs) else { return detecting.await };
        let opening = async {
            let link = handshake::converse(shared, second.pipe(), handshake::Opener::Initialize, whose).await;
            (second, link)
        };
        let mut opening = pin!(opening);
        tokio::select! {
            biased;
            found = &mut detecting => match found {
                // The second is there already: whatever ended the first, it may be good.
                (first, Err(CallError::BrokeOff { .. })) => {
                    drop(first);
                    signs.count(its_signs);
                    let (second, link) = opening.await;
                    self.minds_questions.store(link.is_ok(), Ordering::Relaxed);
                    (second, link)
                }
                found => found,
            },
            opened = &mut opening => match opened {
                (second, Ok(link)) => {
                    self.minds_questions.store(true, Ordering::Relaxed);
                    (second, Ok(link))
                }
                // Some programs can run only once, and a modern server opens no session.
                (second, Err(_)) => {
                    drop(second);
                    detecting.await
                }
            },
        }
    }

    /// For legacy clients `initialize` comes first: a server that speaks both eras is in the one of its first message from then
    /// on. One that refuses it is asked in the modern era.
    async fn begin_legacy(
        &self,
        shared: &Arc<Shared>,
        whose: &Whose,
        signs: &Signs,
    ) -> Result<Running, CallError> {
        let first = self.launch(shared, whose, signs)?;
        let refusal =
            match handshake::converse(shared, first.pipe(), handshake::Opener::Initialize, whose).await {
                Err(refusal @ (CallError::BrokeOff { .. } | CallError::InvalidAnswer { .. })) => refusal,
                link => return ready(shared, first, link),
            };
        // The other question waits for an answer in a process of its own where this one has ended itself.
        let next = match &refusal {
            CallError::BrokeOff { .. } if first.was_deaf() => return ready(shared, first, Err(refusal)),
            CallError::BrokeOff { .. } => self.launch(shared, whose, signs)?,
            _ => first,
        };
        let link = match handshake::converse_modern(shared, next.pipe()).await {
            Ok(link) => Ok(link),
            Err(_) => Err(refusal),
        };
        ready(shared, next, link)
    }

    /// Starts a process and the tasks that look after it.
    fn launch(&self, shared: &Arc<Shared>, whose: &Whose, signs: &Signs) -> Result<NewPipe, CallError> {
        let world = &shared.world;
        let place = Arc::clone(&world.children).try_acquire_owned().map_err(|_full| {
            CallError::Overloaded { what: "child processes".to_owned(), limit: shared.most_children }
        })?;
        let name = &shared.plan.name;
        let spec = &self.reach.child;
        let program = shared.masked(&spec.program);
        let child = world.spawn.spawn(spec).map_err(|error| {
            let why = format!("{program:?} cannot be started: {error}");
            if descriptors::are_lacking(&error) {
                return CallError::OutOfDescriptors { why };
            }
            shared.unreachable(&why)
        })?;
        tracing::info!(upstream = name, pid = child.process.id(), program, "started a child process");
        world.metrics.child_started(name);
        let ends = Ends::lines(
            child.stdout,
            child.stdin,
            (shared.plan.message_bytes, &shared.share),
            world.tap.clone(),
        );
        let words = LastWords::default();
        signs.listens(&words);
        let (pipe, run) = Pipe::open(shared, whose, (ends, words.clone()));
        world.tasks.spawn(run);
        let stderr =
            world.tasks.spawn(read_stderr(Arc::clone(shared), signs.heard_in(child.stderr), words.clone()));
        let with = Supervision {
            stderr,
            words,
            grace: self.reach.grace,
            withheld: self.reach.withheld.clone(),
            place,
        };
        world.tasks.spawn(supervise(Arc::clone(shared), child.process, pipe.clone(), with));
        Ok(NewPipe::new(pipe, child.unread))
    }
}

/// A conversation that goes on, if it could be begun.
fn ready(shared: &Shared, fresh: NewPipe, link: Result<Link, CallError>) -> Result<Running, CallError> {
    match link {
        Ok(link) => Ok(Running::new(fresh.keep(), link)),
        Err(CallError::BrokeOff { why, .. }) => Err(shared.not_there(*why)),
        Err(error) => Err(error),
    }
}

/// Finds out what a process is.
async fn detect(shared: &Arc<Shared>, whose: &Whose, first: NewPipe) -> (NewPipe, Result<Link, CallError>) {
    let link = handshake::converse(shared, first.pipe(), handshake::Opener::Detect, whose).await;
    (first, link)
}

struct Supervision {
    stderr: JoinHandle<()>,
    words: LastWords,
    grace: Duration,
    withheld: Withheld,
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
        let said = with.words.all();
        let hint = said.as_deref().and_then(|said| with.withheld.hint(said));
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        let what = format!("the process ended ({status}){hint}");
        tracing::debug!(upstream = name, pid, %status, "a child process ended");
        // Of one that has not begun whoever begins it takes note.
        if pipe.has_begun() {
            let error = shared.not_there(Why { how: Absence::Ended, what: what.clone(), said: said.clone() });
            let why = format!("{what}; it is started again when it is next needed");
            shared.set_health(Health::Down { why, said: said.clone(), error: error.into() });
        }
        pipe.close(Why { how: Absence::Ended, what, said });
    }
    child::end(process, with.grace).await;
    tracing::debug!(upstream = name, pid, "a child process is gone");
    shared.world.metrics.child_ended(name);
    drop(with.place);
}

async fn read_stderr(shared: Arc<Shared>, stderr: impl AsyncRead + Send + Unpin, words: LastWords) {
    let mut lines = LineReader::new(stderr, STDERR_LINE);
    while let Ok(Some(line)) = lines.next().await {
        let Ok(line) = line else { continue };
        // Whoever is told of it from here on is told no secret.
        let text = shared.masked(&String::from_utf8_lossy(&line));
        if let Some(tap) = &shared.world.tap {
            tap.saw(&WireEvent::Stderr(&text));
        }
        // Its last words are told when it fails.
        tracing::debug!(target: "portolan::stderr", upstream = shared.plan.name, "{text}");
        words.add(&text);
    }
}
