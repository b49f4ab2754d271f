//! What is left of a process, told by a mark on its command line.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::program::eventually;

/// A word that stands on no other command line of this machine.
pub(crate) struct Mark(String);

impl Mark {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        Self(format!("mark-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The processes that have it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let entry = entry.ok()?;
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let words = std::fs::read(entry.path().join("cmdline")).ok()?;
            words.split(|byte| *byte == 0).any(|word| word == self.0.as_bytes()).then_some(id)
        });
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        all
    }

    /// Waits until there are none.
    pub(crate) fn is_gone(&self) {
        eventually("its processes are gone", || self.processes().is_empty());
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
