//! The ledger: where what was done is written down, and what is promised of that.

use std::path::PathBuf;
use std::time::Duration;

use crate::globs::Globs;
use crate::redact::Redaction;

/// All that is said of the ledger.
#[derive(Debug, Clone)]
pub struct AuditPlan {
    /// Its directory.
    pub directory: PathBuf,
    /// What an accepted record outlives.
    pub durability: Durability,
    /// What becomes of calls whose record cannot be taken.
    pub on_full: OnFull,
    /// About how many bytes a file has.
    pub segment_bytes: u64,
    /// For how long records are kept; for ever, if not said.
    pub keep: Option<Duration>,
    /// The tools whose arguments are written down as they are: `SERVER/TOOL`.
    pub plain_arguments: Globs,
    /// What is taken out of what is written down as it is, or kept for whoever has the key.
    pub redaction: Redaction,
    /// What is kept for whoever has the key, if anything is.
    pub payloads: Option<PayloadPlan>,
    /// The file that checkpoints are kept in beside the ledger.
    pub witness: Option<PathBuf>,
}

impl AuditPlan {
    /// A ledger in that directory, as it is where nothing else is said.
    #[must_use]
    pub fn at(directory: PathBuf) -> Self {
        Self {
            directory,
            durability: Durability::default(),
            on_full: OnFull::default(),
            segment_bytes: 64 * 1024 * 1024,
            keep: None,
            plain_arguments: Globs::default(),
            redaction: Redaction::default(),
            payloads: None,
            witness: None,
        }
    }
}

/// What is kept of calls in files of their own, for whoever has the key.
#[derive(Debug, Clone)]
pub struct PayloadPlan {
    /// Of which tools: `SERVER/TOOL`.
    pub tools: Globs,
    /// Whether arguments are.
    pub arguments: bool,
    /// Whether results are.
    pub result: bool,
    /// The X25519 key that it is encrypted to.
    pub recipient: [u8; 32],
    /// For how long it is kept; for ever, if not said.
    pub keep: Option<Duration>,
}

/// What an accepted record outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// This process.
    #[default]
    Process,
    /// This machine's power.
    Disk,
}

/// What becomes of calls whose record cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFull {
    /// They are refused.
    #[default]
    Refuse,
    /// They go on, and that records are lacking is written when it can be.
    Drop,
}
