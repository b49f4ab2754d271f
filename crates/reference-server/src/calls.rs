//! The calls of one client that run now, so that it can cancel them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp::jsonrpc::Id;
use tokio_util::sync::CancellationToken;

use crate::answer::Refusal;

/// How many calls of one client run at once.
const MOST: usize = 256;

/// The running calls of one client.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<Id, CancellationToken>>);

/// The right to run, and how to be told to stop. Its place is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// Cancelled when the call shall stop.
    pub(crate) cancelled: CancellationToken,
    place: Option<(Arc<Calls>, Id)>,
}

impl Ticket {
    /// For a call that its client cannot name: only `cancelled` stops it.
    pub(crate) fn unnamed(cancelled: CancellationToken) -> Self {
        Self { cancelled, place: None }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((calls, id)) = self.place.take() {
            locked(&calls.0).remove(&id);
        }
    }
}

impl Calls {
    /// A place for the call of that id; `parent` stops it, too.
    pub(crate) fn enter(self: &Arc<Self>, id: &Id, parent: &CancellationToken) -> Result<Ticket, Refusal> {
        let id = id.canonical();
        let cancelled = parent.child_token();
        let mut running = locked(&self.0);
        if running.contains_key(&id) {
            return Err(Refusal::IdInUse);
        }
        if running.len() >= MOST {
            return Err(Refusal::Busy);
        }
        running.insert(id.clone(), cancelled.clone());
        Ok(Ticket { cancelled, place: Some((Arc::clone(self), id)) })
    }

    /// Cancels the call of that id; one that does not run any more is nobody's fault.
    pub(crate) fn cancel(&self, id: &Id) {
        if let Some(call) = locked(&self.0).get(&id.canonical()) {
            call.cancel();
        }
    }
}

/// A panic elsewhere leaves nothing half done behind the locks of this crate.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
