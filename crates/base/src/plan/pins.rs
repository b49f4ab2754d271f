//! Which servers are held to what was pinned of their tools, prompts and resource templates.

use std::path::PathBuf;
use std::sync::Arc;

/// All that is said of pins. A change of it restarts no server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinsPlan {
    /// The lock file that has the pins; without it, the store has them.
    pub file: Option<LockText>,
    /// The servers that are held to pins.
    pub servers: Vec<PinRule>,
}

/// A lock file, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockText {
    /// Where it is.
    pub path: PathBuf,
    /// What stands in it; nothing, if it is not there yet.
    pub text: Arc<str>,
}

/// What becomes of a server's tools and prompts that are not as they were pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRule {
    /// The server's name in the configuration.
    pub server: String,
    /// Whether they are held.
    pub mode: PinMode,
    /// What becomes of those that are held.
    pub quarantined: Quarantined,
    /// What becomes of one that is odd when it is first seen.
    pub suspicious: Suspicious,
}

/// Whether what is not as it was pinned is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinMode {
    /// It is said, and it goes on as it is.
    Warn,
    /// It is held until somebody approves it.
    Quarantine,
}

/// What becomes of something that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quarantined {
    /// It is not shown, and may not be used.
    #[default]
    Withheld,
    /// It is shown as it was pinned, and may be used so. What was never pinned is withheld.
    AsPinned,
}

/// What becomes of something that is odd when it is first seen. Of what was pinned, another definition is held whether it is odd or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suspicious {
    /// It is said, and it is pinned as all others.
    #[default]
    Report,
    /// It is not pinned, so that it is held until somebody approves it.
    Withhold,
}
