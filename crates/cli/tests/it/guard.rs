//! The guard between Portolan and a stdio server.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::processes::Mark;
use crate::program::{PORTOLAN, Running, command, eventually, finish};
use crate::serving::Gateway;

fn guard(parent: u32, script: &str, mark: &Mark) -> Command {
    let (parent, mark) = (parent.to_string(), mark.to_string());
    let mut command = command(&["guard", "--parent", &parent, "--", "sh", "-c", script, &mark]);
    command.process_group(0);
    command
}

/// Asked together with its server, it waits as long as the server takes, because it is Portolan that knows how long that
/// may be: longer than its own patience with a group that nobody looks after any more.
#[test]
fn a_guard_that_is_not_orphaned_waits_for_its_server() {
    let mark = Mark::new();
    let script = "trap 'sleep 3; exit 7' TERM; echo ready; while :; do sleep 0.1; done";
    let mut running = Running::spawn(&mut guard(std::process::id(), script, &mark));
    assert_eq!(running.stdout.next(), "ready");
    killpg(Pid::from_raw(i32::try_from(running.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(running.code(), Some(7));
    mark.is_gone();
}

/// Who started it may be gone before it can look: it was told who that was.
#[test]
fn a_guard_that_begins_as_an_orphan_starts_nothing() {
    let mark = Mark::new();
    let ended = finish(&mut guard(std::process::id() + 1, "echo started", &mark));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
}

/// What a server's wrapper has started may have something to put away, though the wrapper has ended: however Portolan ends, it is
/// asked first.
#[test]
fn what_a_server_has_started_is_asked_before_it_is_killed() {
    for how in [Signal::SIGTERM, Signal::SIGKILL] {
        let (mark, dir) = (Mark::new(), tempfile::tempdir().unwrap());
        let (ready, away) = (dir.path().join("ready"), dir.path().join("away"));
        let script = format!(
            "(trap 'sleep 0.3; echo > {}; exit' TERM; echo > {}; while :; do sleep 0.05; done) 2>/dev/null & exec {PORTOLAN} reference-server --stdio --name {mark}",
            away.display(),
            ready.display()
        );
        let path = dir.path().join("portolan.toml");
        std::fs::write(&path, format!("[upstream.up]\ncommand = [\"sh\", \"-c\", {script:?}, \"{mark}\"]\n"))
            .unwrap();
        let gateway = Gateway::serve(&path);
        eventually("it is there", || ready.exists());
        gateway.running.signal(how);
        eventually("it has put its things away", || away.exists());
        mark.is_gone();
    }
}
