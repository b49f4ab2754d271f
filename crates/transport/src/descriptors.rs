//! File descriptors: how many this process may have, and what it means that one more was refused. A lack of them is our own
//! fault, never that of whoever we wanted to speak to.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::time::Instant;

/// A spell is over when nothing was lacking for so long.
const SPELL: Duration = Duration::from_secs(30);

/// How often one was lacking. There is one table of descriptors for the whole process, and so one count.
static LACKS: AtomicU64 = AtomicU64::new(0);
static LAST: Mutex<Option<Instant>> = Mutex::new(None);

/// The limits of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What it was started with.
    pub before: u64,
    /// What holds now.
    pub now: u64,
}

/// Raises the soft limit as far as it goes.
///
/// # Errors
/// When the system does not tell the limits, or refuses to raise.
pub fn raise() -> io::Result<Limit> {
    let (before, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // «Unlimited» is more than some systems take for this.
    match setrlimit(Resource::RLIMIT_NOFILE, most, most) {
        Ok(()) => Ok(Limit { before, now: most }),
        Err(_) if before == most => Ok(Limit { before, now: before }),
        Err(error) => Err(error.into()),
    }
}

/// Lowers the soft limit, for a program that was written for one and is started from here.
///
/// # Errors
/// When the system refuses.
pub fn lower(soft: u64) -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft.min(most), most)?)
}

/// How many are open now, where the system tells.
#[must_use]
pub fn open() -> Option<usize> {
    let entries = std::fs::read_dir("/dev/fd").ok()?;
    // The directory that is read is one of them.
    Some(entries.count().saturating_sub(1))
}

/// Whether something failed because we, or the whole system, have no descriptor left.
fn is_lack(error: &io::Error) -> bool {
    let code = |code: Option<i32>| {
        code.is_some_and(|code| matches!(Errno::from_raw(code), Errno::EMFILE | Errno::ENFILE))
    };
    if error.raw_os_error().is_some() {
        return code(error.raw_os_error());
    }
    // It does not say: looking up a host and reading certificates need descriptors, too, and report it as they like.
    File::open("/dev/null").is_err_and(|error| code(error.raw_os_error()))
}

/// Whether something failed because of a lack of ours. Then it is counted, and said if nothing was said of it for a while.
pub fn are_lacking(error: &io::Error) -> bool {
    if !is_lack(error) {
        return false;
    }
    LACKS.fetch_add(1, Ordering::Relaxed);
    let now = Instant::now();
    let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
    if last.is_none_or(|last| now.saturating_duration_since(last) > SPELL) {
        tracing::error!(
            %error,
            "out of file descriptors: what needs a new connection, a process or a file fails until others are closed; \
             raise the limit (LimitNOFILE, ulimit -n) or lower limits.connections"
        );
    }
    true
}

/// How often one was lacking.
pub fn lacks() -> u64 {
    LACKS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_is_told_from_what_others_do() {
        let before = lacks();
        for code in [Errno::EMFILE, Errno::ENFILE] {
            assert!(are_lacking(&io::Error::from_raw_os_error(code as i32)));
        }
        for code in [Errno::ECONNREFUSED, Errno::ENOENT, Errno::ENOMEM] {
            assert!(!are_lacking(&io::Error::from_raw_os_error(code as i32)));
        }
        assert!(!are_lacking(&io::Error::other("no such host")));
        assert_eq!(lacks() - before, 2);
    }

    #[test]
    fn the_limit_is_known_and_so_is_what_is_open() {
        let limit = raise().unwrap();
        assert!(limit.before <= limit.now);
        let before = open().unwrap();
        let _one = File::open("/dev/null").unwrap();
        assert!(open().unwrap() > before && before > 2);
    }
}
