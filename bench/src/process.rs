//! The processes that are started, and what the kernel says they cost.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::fault::Fault;

/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(3);

/// Makes this process end when the one that started it does, however that ends.
pub(crate) fn end_with_parent() -> Result<(), Fault> {
    prctl::set_pdeathsig(Signal::SIGTERM).map_err(Fault::of("PR_SET_PDEATHSIG"))
}

/// Allows as many open files as the system lets us, for this process and those that it starts.
pub(crate) fn raise_file_limit(wanted: u64) -> Result<u64, Fault> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(Fault::of("RLIMIT_NOFILE"))?;
    // Only root may go beyond the hard limit.
    if hard < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
        return Ok(wanted);
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(Fault::of("RLIMIT_NOFILE"))?;
    Ok(hard)
}

/// A process that was started here and ends with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it; what it says on stderr goes into a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, Fault> {
        let file = File::create(log).map_err(Fault::of("a log file"))?;
        let doing = format!("starting {}", command.get_program().display());
        let child = command.stdin(Stdio::null()).stderr(file).spawn().map_err(Fault::of(&doing))?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its stdout, line by line, if it was started with one.
    pub(crate) fn lines(&mut self) -> Option<impl Iterator<Item = std::io::Result<String>> + use<>> {
        Some(BufReader::new(self.child.stdout.take()?).lines())
    }

    /// An error if it has ended already, with what it said.
    pub(crate) fn check(&mut self) -> Result<(), Fault> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Fault::new(format!("it ended with {status}: {}", self.said()))),
            Err(error) => Err(Fault::new(error.to_string())),
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<(), Fault> {
        let status = self.child.wait().map_err(Fault::of("waiting"))?;
        if status.success() { Ok(()) } else { Err(Fault::new(self.said())) }
    }

    /// The end of what it said on stderr.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        // It may be gone already, which is what is wanted.
        kill(pid, Signal::SIGTERM).ok();
        let asked = Instant::now();
        while asked.elapsed() < GRACE {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a process and those below it have used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// User and system time of all that is not ours.
    pub(crate) cpu: Duration,
    /// The same of servers of ours that were started as its children.
    pub(crate) children: Duration,
}

impl Used {
    /// Reads the clocks of `pid` and all below it.
    pub(crate) fn by(pid: u32) -> Self {
        let ours = fs::read_link("/proc/self/exe").ok();
        let mut used = Self::default();
        for pid in tree(pid) {
            let is_ours = fs::read_link(format!("/proc/{pid}/exe")).ok() == ours;
            let part = if is_ours { &mut used.children } else { &mut used.cpu };
            *part += cpu(pid);
        }
        used
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, children: self.children + other.children }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            children: self.children.saturating_sub(before.children),
        }
    }
}

/// The clock of a process in nanoseconds: the sum of utime and stime of /proc/PID/stat, which counts in hundredths of a
/// second. Zero if the process has ended.
fn cpu(pid: u32) -> Duration {
    let now = clock_getcpuclockid(Pid::from_raw(pid.cast_signed())).and_then(|clock| clock.now());
    now.map_or(Duration::ZERO, Duration::from)
}

/// Memory of a process and those below it that are not ours, in bytes: now, and at most.
pub(crate) fn memory(pid: u32) -> (u64, u64) {
    let ours = fs::read_link("/proc/self/exe").ok();
    let all = tree(pid).into_iter().filter(|pid| fs::read_link(format!("/proc/{pid}/exe")).ok() != ours);
    let status = all.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok());
    status.fold((0, 0), |(now, most), text| {
        (now + kibibytes(&text, "VmRSS") * 1024, most + kibibytes(&text, "VmHWM") * 1024)
    })
}

fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A process and all that descend from it.
fn tree(root: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = pids
        .filter_map(|pid| Some((pid, parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect();
    let mut all = vec![root];
    let mut at = 0;
    while at < all.len() {
        let of = all[at];
        all.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
        at += 1;
    }
    all
}

/// The parent in /proc/PID/stat; the command before it may contain anything.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_the_kernel_writes_it() {
        assert_eq!(parent("12 (a) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent("12"), None);
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1000 kB\n";
        assert_eq!((kibibytes(status, "VmRSS"), kibibytes(status, "VmHWM")), (1000, 2048));
        assert_eq!(kibibytes(status, "VmSwap"), 0);
    }

    #[test]
    fn a_process_is_charged_for_what_it_did() {
        let before = cpu(std::process::id());
        let mut sum = 0_u64;
        while cpu(std::process::id()).saturating_sub(before) < Duration::from_millis(1) {
            sum = std::hint::black_box(sum + 1);
        }
        let mut ended = Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        assert_eq!(cpu(ended.id()), Duration::ZERO);
    }

    #[test]
    fn children_belong_to_the_tree_and_end_with_their_value() {
        let logs = tempfile::tempdir().unwrap();
        let running = Running::start(Command::new("sleep").arg("60"), &logs.path().join("log")).unwrap();
        let pid = running.pid();
        assert!(tree(std::process::id()).contains(&pid));
        let (now, most) = memory(pid);
        assert!(now > 0 && most >= now);
        drop(running);
        assert!(!tree(std::process::id()).contains(&pid));
    }
}
