//! Child processes that are MCP servers: each in a process group of its own, started with the environment it was
//! given and nothing else, and never left behind.
//!
//! A server's wrappers (shells, `npx`) start processes of their own, so it is always the group that is signalled. A
//! parent that is killed cannot signal anybody; for that case a *guard*, a second copy of this program, stands
//! between ([`guard`]).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

pub mod guard;

/// How soon it is looked again whether a group has ended, of which nobody tells.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What to start.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChildSpec {
    /// The program, found by `PATH` unless it is a path.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts; here if nowhere else.
    pub directory: Option<PathBuf>,
}

impl ChildSpec {
    /// Whether the program is there, where whoever starts it looks for it.
    ///
    /// # Errors
    /// Why it is not.
    fn find(&self) -> io::Result<()> {
        let start = self.directory.clone().unwrap_or_default();
        if self.program.contains('/') {
            // A path that may not be looked at may be one that can be started.
            return match start.join(&self.program).try_exists() {
                Ok(false) => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such program")),
                Ok(true) | Err(_) => Ok(()),
            };
        }
        // Without one, the system has its own.
        let Some(path) = self.env.get("PATH") else { return Ok(()) };
        let is_there =
            |directory: PathBuf| start.join(directory).join(&self.program).try_exists().unwrap_or(true);
        if std::env::split_paths(path).any(is_there) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "there is no such program in the PATH"))
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment holds secrets, and the command may.
        f.debug_struct("ChildSpec").field("args", &self.args.len()).finish_non_exhaustive()
    }
}

/// A running child and its three streams.
pub struct Child {
    /// Where it reads messages.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Where it writes messages.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Where it writes anything.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// The process.
    pub process: Box<dyn Process>,
    /// What it has not read yet of its stdin, where that can be told. It keeps that open.
    pub unread: Option<Unread>,
}

/// Tells what a process has not read yet of its stdin.
#[derive(Debug)]
pub struct Unread(OwnedFd);

impl Unread {
    /// Whether there is anything that was written and not read, also by a process that has ended. Where the system does not tell,
    /// there is not.
    #[must_use]
    pub fn is_any(&self) -> bool {
        rustix::io::ioctl_fionread(&self.0).is_ok_and(|bytes| bytes > 0)
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("process", &self.process).finish_non_exhaustive()
    }
}

/// A running process, to be waited for and ended. Dropping it kills its group.
pub trait Process: Send + fmt::Debug {
    /// The process id, for logs.
    fn id(&self) -> u32;
    /// Waits until it has ended.
    fn wait(&mut self) -> crate::net::BoxFuture<'_, io::Result<ExitStatus>>;
    /// Whether anything else is left of its group when it has ended.
    fn has_others(&self) -> bool {
        false
    }
    /// Asks the group to end (SIGTERM).
    fn terminate(&self);
    /// Ends the group (SIGKILL).
    fn kill(&self);
}

/// Starts processes. The seam for tests that have none.
pub trait Spawn: Send + Sync + fmt::Debug + 'static {
    /// Starts one.
    ///
    /// # Errors
    /// When it cannot be started.
    fn spawn(&self, spec: &ChildSpec) -> io::Result<Child>;
}

/// Starts processes of the operating system.
#[derive(Debug, Clone, Default)]
pub struct SystemSpawn {
    /// The program and first arguments of the guard to put between ([`guard::run`]), which is also told `--parent` with
    /// our process id and `--` before the command; without one, children of a parent that is killed end only if they
    /// notice that their stdin has ended.
    pub guard: Option<Vec<String>>,
}

impl Spawn for SystemSpawn {
    fn spawn(&self, spec: &ChildSpec) -> io::Result<Child> {
        // A guard would start, and its end would look like the program's.
        if self.guard.is_some() {
            spec.find()?;
        }
        let mut command = match self.guard.as_deref() {
            Some([program, first @ ..]) => {
                let mut command = Command::new(program);
                command.args(first).arg("--parent").arg(std::process::id().to_string());
                command.arg("--").arg(&spec.program);
                command
            }
            _ => Command::new(&spec.program),
        };
        command
            .args(&spec.args)
            .env_clear()
            .envs(&spec.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &spec.directory {
            command.current_dir(directory);
        }
        let mut child = command.spawn()?;
        let missing = || io::Error::other("the child has no pipes");
        let (stdin, stdout) =
            (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        let stderr = child.stderr.take().ok_or_else(missing)?;
        // One descriptor less to tell it by is no reason not to start it.
        let unread = stdin.as_fd().try_clone_to_owned().ok().map(Unread);
        let id = child.id().ok_or_else(|| io::Error::other("the child ended at once"))?;
        Ok(Child {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            process: Box::new(SystemProcess { id, child, reaped: false }),
            unread,
        })
    }
}

#[derive(Debug)]
struct SystemProcess {
    id: u32,
    child: tokio::process::Child,
    /// Whether the leader was waited for. Its id may be somebody else's from then on, but a group id stays taken as
    /// long as the group has members, and signalling an empty group does nothing.
    reaped: bool,
}

impl SystemProcess {
    fn signal(&self, signal: Signal) {
        let Ok(group) = i32::try_from(self.id) else { return };
        match killpg(Pid::from_raw(group), signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => tracing::warn!(pid = self.id, %signal, %error, "cannot signal a process group"),
        }
    }
}

impl Process for SystemProcess {
    fn id(&self) -> u32 {
        self.id
    }

    fn wait(&mut self) -> crate::net::BoxFuture<'_, io::Result<ExitStatus>> {
        Box::pin(async move {
            let status = self.child.wait().await;
            self.reaped = status.is_ok();
            status
        })
    }

    fn has_others(&self) -> bool {
        let group = i32::try_from(self.id).ok().map(Pid::from_raw);
        self.reaped && group.is_some_and(|group| killpg(group, None).is_ok() && lives_in(group, self.id))
    }

    fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }
}

impl Drop for SystemProcess {
    fn drop(&mut self) {
        // Also after the leader has ended: what it started may still be there.
        self.signal(Signal::SIGKILL);
    }
}

/// Whether anything lives in a group beside one process, as far as the system tells. What has ended and was not waited for does not:
/// where no init is, nobody ever does that.
fn lives_in(group: Pid, beside: u32) -> bool {
    let (beside, group) = (beside.to_string(), group.to_string());
    let Ok(all) = std::fs::read_dir("/proc") else { return false };
    let is_other = |name: &str| {
        if name == beside || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        // proc(5): after the name, which may hold anything, come state, parent and group.
        let stat = std::fs::read_to_string(format!("/proc/{name}/stat")).unwrap_or_default();
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let is_alive = fields.next().is_some_and(|state| !matches!(state, "Z" | "X"));
        is_alive && fields.nth(1) == Some(&*group)
    };
    all.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_other))
}

/// Ends a child whose stdin was closed: waits, asks (SIGTERM), and kills, each after `grace`. Whatever is left of the
/// group is asked, too, and killed at the end in any case.
pub async fn end(mut process: Box<dyn Process>, grace: Duration) {
    let ended = timeout(grace, process.wait()).await.is_ok();
    if !ended || process.has_others() {
        process.terminate();
        let asked = Instant::now();
        if !ended && timeout(grace, process.wait()).await.is_err() {
            process.kill();
            if let Err(error) = process.wait().await {
                tracing::warn!(pid = process.id(), %error, "cannot wait for a child process");
            }
        }
        // A wrapper ends at once, and what it has started may still have something to put away.
        while process.has_others() && asked.elapsed() < grace {
            sleep(LOOK_AGAIN).await;
        }
    }
    process.kill();
}
