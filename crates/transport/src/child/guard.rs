//! The guard: a small process between Portolan and a stdio server that outlives Portolan by a moment.
//!
//! It is the leader of the server's process group and passes its own streams on. When the server ends, it ends with
//! the server's status, however long that takes: as long as Portolan is there, it is Portolan that ends the group, and
//! what it sends to the group reaches the guard as well. When Portolan is gone, the kernel sends the guard SIGTERM
//! (`PR_SET_PDEATHSIG`), and it ends the whole group: first by SIGTERM, then by SIGKILL.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getpgrp, getppid};
use tokio::signal::unix::{SignalKind, signal};

use crate::descriptors;

/// How long the group of a Portolan that is gone may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// How long after the end of its pipes it is certain whether Portolan is gone.
const MOMENT: Duration = Duration::from_millis(200);
/// How soon it is looked again whether the group has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Runs `command` (a program and its arguments) as its guard, and gives the status to end with. Runs a current-thread
/// runtime of its own. `parent` is the process that starts the guard, as it told: asked for here, it could be the one
/// that has inherited us already. The command gets the soft limit of `descriptors` that its parent had, which has raised its own:
/// programs that use `select` cannot do with more than 1024.
///
/// # Errors
/// When the command cannot be started.
pub fn run(parent: i32, descriptors: Option<u64>, command: &[OsString]) -> std::io::Result<ExitCode> {
    let parent = Pid::from_raw(parent);
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
    if getppid() != parent {
        // It was gone before the kernel was told to watch it.
        return Ok(ExitCode::FAILURE);
    }
    if let Some(most) = descriptors {
        descriptors::lower(most)?;
    }
    let Some((program, args)) = command.split_first() else {
        return Err(std::io::Error::other("no command to guard"));
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut asked = signal(SignalKind::terminate())?;
        let mut child = Command::new(program);
        child.args(args);
        let mut child = tokio::process::Command::from(child).spawn()?;
        let orphaned = orphaned(parent);
        tokio::pin!(orphaned);
        loop {
            tokio::select! {
                status = child.wait() => {
                    let status = status?;
                    // Its stdin ends when Portolan does, and what it has started must not be left. That Portolan is gone is seen a
                    // moment later.
                    if has_others() {
                        drop(tokio::time::timeout(MOMENT, asked.recv()).await);
                    }
                    if getppid() == parent {
                        return Ok(code_of(status));
                    }
                    break;
                }
                // While Portolan lives it was Portolan, and the server has heard it itself.
                _ = asked.recv() => if getppid() != parent { break },
                () = &mut orphaned => break,
            }
        }
        signal_group(Signal::SIGTERM);
        let end = tokio::time::Instant::now() + GRACE;
        let status = tokio::time::timeout_at(end, child.wait()).await;
        // A wrapper ends at once, and what it has started may still have something to put away.
        while tokio::time::Instant::now() < end && has_others() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        signal_group(Signal::SIGKILL);
        status.map_or(Ok(ExitCode::FAILURE), |status| status.map(code_of))
    })
}

/// Ends when the parent is gone: for systems without a signal for it, and for a signal that came too early.
async fn orphaned(parent: Pid) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    while getppid() == parent {
        tick.tick().await;
    }
}

/// Whether there is anything in the group beside the guard, as far as the system tells.
fn has_others() -> bool {
    super::lives_in(getpgrp(), std::process::id())
}

fn signal_group(signal: Signal) {
    // The guard is in the group, too: SIGKILL ends it here, which is what is wanted.
    if let Err(error) = killpg(getpgrp(), signal) {
        tracing::debug!(%error, "cannot signal the group");
    }
}

fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
