//! The calls that a session has in flight, by the ids that its client gave them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base::sync::lock;
use mcp::jsonrpc::Id;
use tokio_util::sync::CancellationToken;

/// Calls in flight.
#[derive(Debug, Default)]
pub(crate) struct CallsInFlight(Mutex<HashMap<Id, CancellationToken>>);

/// A call in flight, until dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    all: Arc<CallsInFlight>,
    id: Id,
    /// Cancelled when its client cancels it.
    pub(crate) cancel: CancellationToken,
}

impl CallsInFlight {
    /// A call begins. None if one with that id is in flight.
    pub(crate) fn begin(self: &Arc<Self>, id: &Id) -> Option<InFlight> {
        let id = id.canonical();
        let mut calls = lock(&self.0);
        if calls.contains_key(&id) {
            return None;
        }
        let cancel = CancellationToken::new();
        calls.insert(id.clone(), cancel.clone());
        drop(calls);
        Some(InFlight { all: Arc::clone(self), id, cancel })
    }

    /// The client cancels a call.
    pub(crate) fn cancel(&self, id: &Id) {
        if let Some(cancel) = lock(&self.0).get(&id.canonical()) {
            cancel.cancel();
        }
    }

    /// All of them are cancelled.
    pub(crate) fn cancel_all(&self) {
        for (_, cancel) in lock(&self.0).drain() {
            cancel.cancel();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        lock(&self.all.0).remove(&self.id);
    }
}
