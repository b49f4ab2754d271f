//! Programs that are started here, and end with us however we end.

use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::fault::Fault;

/// Starts a program that is told to end when we are gone. What it says on stderr goes to the end of a file.
pub(super) fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Child, Fault> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
    let file = file.map_err(Fault::of(&log.display().to_string()))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).kill_on_drop(true);
    command.spawn().map_err(Fault::of(&format!("starting {}", program.display())))
}

/// What a program says on stdout; a fault with what it says on stderr if it fails.
pub(super) async fn output(program: &Path, arguments: &[&str]) -> Result<String, Fault> {
    let doing = format!("{} {}", program.display(), arguments.join(" "));
    let out = Command::new(program).args(arguments).stdin(Stdio::null()).output().await;
    let out = out.map_err(Fault::of(&doing))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(Fault::new(format!("{doing}: {}: {}", out.status, String::from_utf8_lossy(&out.stderr))))
}
