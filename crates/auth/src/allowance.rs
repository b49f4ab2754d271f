//! How often something is allowed that is allowed.

use std::sync::Arc;
use std::time::Duration;

/// How often whoever decides lets each caller do what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// What allows it: a policy. It is told to callers that come too often.
    pub by: Arc<str>,
    /// So many.
    pub times: u32,
    /// In this time.
    pub within: Duration,
}
