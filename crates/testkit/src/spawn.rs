//! Processes in memory: programs are async closures over three pipes, and what was done to them is written down.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use transport::child::{Child, ChildSpec, Process, Spawn};
use transport::net::BoxFuture;

const BUFFER: usize = 64 * 1024;
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// What a running program has.
#[derive(Debug)]
pub struct Stdio {
    /// Where messages come in.
    pub stdin: DuplexStream,
    /// Where messages go out.
    pub stdout: DuplexStream,
    /// Where anything goes out.
    pub stderr: DuplexStream,
    /// What it was started with.
    pub spec: ChildSpec,
}

type Program = Arc<dyn Fn(Stdio) -> Pin<Box<dyn Future<Output = i32> + Send>> + Send + Sync>;

/// Starts programs in memory. Cheap to clone; all clones share programs and log.
#[derive(Clone, Default)]
pub struct MemorySpawn {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    programs: Mutex<BTreeMap<String, Program>>,
    log: Mutex<Vec<Event>>,
    ids: AtomicU32,
}

/// Something that happened to a process, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was started.
    Started(u32),
    /// It ended by itself.
    Exited(u32),
    /// It was asked to end (SIGTERM), and did.
    Terminated(u32),
    /// It was killed, or its handle was dropped, while it was alive.
    Killed(u32),
}

impl MemorySpawn {
    /// From now on there is no such program.
    pub fn forget(&self, name: &str) {
        self.inner.programs.lock().unwrap().remove(name);
    }

    /// Makes a program known: what it returns is its exit code.
    pub fn program<F>(&self, name: &str, program: impl Fn(Stdio) -> F + Send + Sync + 'static)
    where
        F: Future<Output = i32> + Send + 'static,
    {
        let program: Program = Arc::new(move |stdio| Box::pin(program(stdio)));
        self.inner.programs.lock().unwrap().insert(name.to_owned(), program);
    }

    /// All that happened so far.
    #[must_use]
    pub fn log(&self) -> Vec<Event> {
        self.inner.log.lock().unwrap().clone()
    }

    /// How many processes were ever started.
    #[must_use]
    pub fn started(&self) -> usize {
        self.log().iter().filter(|event| matches!(event, Event::Started(_))).count()
    }

    /// How many processes are alive.
    #[must_use]
    pub fn live(&self) -> usize {
        2 * self.started() - self.log().len()
    }
}

impl Spawn for MemorySpawn {
    fn spawn(&self, spec: &ChildSpec) -> io::Result<Child> {
        let program = self.inner.programs.lock().unwrap().get(&spec.program).cloned();
        let program = program.ok_or(io::ErrorKind::NotFound)?;
        let id = 1 + self.inner.ids.fetch_add(1, Ordering::SeqCst);
        self.inner.log.lock().unwrap().push(Event::Started(id));
        let ((stdin, their_stdin), (stdout, their_stdout)) = (duplex(BUFFER), duplex(BUFFER));
        let (stderr, their_stderr) = duplex(BUFFER);
        let stdio =
            Stdio { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr, spec: spec.clone() };
        let (status, ended) = watch::channel(None);
        let end = Arc::new(End { id, inner: Arc::clone(&self.inner), status });
        let run = Arc::clone(&end);
        let task = tokio::spawn(async move {
            let code = program(stdio).await;
            run.mark(Event::Exited(id), ExitStatus::from_raw(code << 8));
        });
        let process = MemoryProcess { end, ended, task: task.abort_handle() };
        Ok(Child {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            process: Box::new(process),
            unread: None,
        })
    }
}

impl fmt::Debug for MemorySpawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySpawn").field("log", &self.log()).finish_non_exhaustive()
    }
}

/// How a process ended, once it has.
struct End {
    id: u32,
    inner: Arc<Inner>,
    status: watch::Sender<Option<ExitStatus>>,
}

impl End {
    /// A process ends once; whatever is done to it after that is nothing.
    fn mark(&self, event: Event, status: ExitStatus) {
        self.status.send_if_modified(|current| {
            if current.is_some() {
                return false;
            }
            *current = Some(status);
            self.inner.log.lock().unwrap().push(event);
            true
        });
    }
}

struct MemoryProcess {
    end: Arc<End>,
    ended: watch::Receiver<Option<ExitStatus>>,
    task: AbortHandle,
}

impl MemoryProcess {
    fn signal(&self, event: Event, signal: i32) {
        // An aborted task drops its pipes, as a process that ends closes its own.
        self.task.abort();
        self.end.mark(event, ExitStatus::from_raw(signal));
    }
}

impl Process for MemoryProcess {
    fn id(&self) -> u32 {
        self.end.id
    }

    fn wait(&mut self) -> BoxFuture<'_, io::Result<ExitStatus>> {
        Box::pin(async move {
            let status = self.ended.wait_for(Option::is_some).await.map_err(io::Error::other)?;
            Ok(status.unwrap_or_default())
        })
    }

    fn terminate(&self) {
        self.signal(Event::Terminated(self.end.id), SIGTERM);
    }

    fn kill(&self) {
        self.signal(Event::Killed(self.end.id), SIGKILL);
    }
}

impl Drop for MemoryProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Debug for MemoryProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryProcess").field("id", &self.end.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn spec(program: &str) -> ChildSpec {
        ChildSpec { program: program.to_owned(), args: vec![], env: BTreeMap::new(), directory: None }
    }

    #[tokio::test]
    async fn a_program_reads_writes_and_exits_when_its_input_ends() {
        let spawn = MemorySpawn::default();
        spawn.program("cat", |mut stdio: Stdio| async move {
            tokio::io::copy(&mut stdio.stdin, &mut stdio.stdout).await.map_or(1, |_| 0)
        });
        let mut child = spawn.spawn(&spec("cat")).unwrap();
        child.stdin.write_all(b"ahoy").await.unwrap();
        let mut seen = [0; 4];
        child.stdout.read_exact(&mut seen).await.unwrap();
        assert_eq!((&seen, spawn.live()), (b"ahoy", 1));
        drop(child.stdin);
        assert!(child.process.wait().await.unwrap().success());
        drop(child.process);
        assert_eq!((spawn.log(), spawn.live()), (vec![Event::Started(1), Event::Exited(1)], 0));
        assert_eq!(spawn.spawn(&spec("dog")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_killed_program_closes_its_pipes() {
        let spawn = MemorySpawn::default();
        spawn.program("deaf", |stdio: Stdio| async move {
            let _held = stdio;
            std::future::pending().await
        });
        let mut child = spawn.spawn(&spec("deaf")).unwrap();
        child.process.terminate();
        assert!(!child.process.wait().await.unwrap().success());
        assert_eq!(child.stdout.read(&mut [0]).await.unwrap(), 0);
        drop(child);
        assert_eq!(spawn.log(), [Event::Started(1), Event::Terminated(1)]);
    }
}
