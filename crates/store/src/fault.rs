//! Why a store does not do what it was asked.

/// Why a store does not do what it was asked, told by what can be done about it.
///
/// After [`Away`](Self::Away) nobody knows whether a change was made. Every operation may therefore be asked for again:
/// it changes nothing that is already as it asks for, or says that somebody (perhaps the asker) was first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// It cannot be reached now, or does not answer in time. It may be back at any moment.
    #[error("the store is away: {0}")]
    Away(String),
    /// It is there and does not let us: credentials, rights, a database that does not exist.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// What it holds is not what it must be: a damaged file, a schema of another version; or a bug of ours.
    #[error("the store is broken: {0}")]
    Broken(String),
}

impl StoreFault {
    /// Whether to try again makes sense without anybody doing anything.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}
