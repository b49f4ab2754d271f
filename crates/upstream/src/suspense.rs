//! What is waited for that has not come: how a server is known to be one that nobody should wait for again.
//!
//! Each list and description that is being asked for is counted from its beginning on. A server that has left one of them
//! without an answer until its deadline is *sick* until it is seen to answer.

use std::collections::BTreeMap;
use std::sync::Mutex;

use base::error::CallError;
use base::sync::lock;
use tokio::time::Instant;

/// What is waited for, and what it came to.
#[derive(Debug, Default)]
pub(crate) struct Suspense(Mutex<Outstanding>);

#[derive(Debug, Default)]
struct Outstanding {
    /// When what is under way was begun, in that order.
    begun: BTreeMap<u64, Instant>,
    count: u64,
    /// Why it is sick, if it is.
    sick: Option<CallError>,
}

impl Suspense {
    /// Something is asked of the server that clients may wait for.
    pub(crate) fn waited(&self) -> Waited<'_> {
        let mut state = lock(&self.0);
        state.count += 1;
        let number = state.count;
        state.begun.insert(number, Instant::now());
        Waited { suspense: self, number }
    }

    /// Why nobody should wait for the server, if so.
    pub(crate) fn sick(&self) -> Option<CallError> {
        lock(&self.0).sick.clone()
    }

    /// It has answered.
    pub(crate) fn well(&self) {
        lock(&self.0).sick = None;
    }

    /// It has left something without an answer.
    pub(crate) fn ill(&self, error: &CallError) {
        lock(&self.0).sick = Some(error.clone());
    }

    /// Since when something is waited for.
    pub(crate) fn since(&self) -> Option<Instant> {
        lock(&self.0).begun.values().next().copied()
    }
}

/// Something that a server was asked for, until dropped.
#[derive(Debug)]
pub struct Waited<'u> {
    suspense: &'u Suspense,
    number: u64,
}

impl Drop for Waited<'_> {
    fn drop(&mut self) {
        lock(&self.suspense.0).begun.remove(&self.number);
    }
}

/// What is wanted of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// What it is and can do.
    Description,
    /// A list.
    List,
}
