//! Finding out who calls.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::principal::{Credentials, Identity};
use crate::refusal::Refusal;

/// Finds out who sends a request.
pub trait Identify: fmt::Debug + Send + Sync {
    /// Who it is. Cancel safe.
    fn identify<'a>(&'a self, credentials: Credentials<'a>) -> Identified<'a>;
}

/// Who sends a request, or how that is found out. What is known already costs no allocation.
pub enum Identified<'a> {
    /// It is known.
    Now(Result<Identity, Refusal>),
    /// Somebody must be asked, or much be reckoned.
    Later(Pin<Box<dyn Future<Output = Result<Identity, Refusal>> + Send + 'a>>),
}

impl Identified<'_> {
    /// Waits, if there is something to wait for.
    ///
    /// # Errors
    /// When the credentials do not say who it is.
    pub async fn outcome(self) -> Result<Identity, Refusal> {
        match self {
            Self::Now(outcome) => outcome,
            Self::Later(outcome) => outcome.await,
        }
    }
}

impl fmt::Debug for Identified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Now",
            Self::Later(_) => "Later",
        })
    }
}
