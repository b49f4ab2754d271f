//! What is known of a session's own stream (GET), and who reads it now.

use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex};

use base::sync::lock;
use tokio::sync::watch;

/// What is known of a session's own stream.
#[derive(Debug)]
pub(super) struct GetStream {
    /// How many of them are open.
    open: watch::Sender<usize>,
    /// Whether one was open since the server was last asked what its refusal means.
    pub(super) was_open: AtomicBool,
    pub(super) refused: AtomicU32,
    /// Whether there is none, and it is not asked for again.
    pub(super) never: AtomicBool,
    /// The newest event's id, from which the server may be able to go on.
    pub(super) newest: Mutex<Option<String>>,
    /// Held while a request that is answered there opens it.
    pub(super) opening: tokio::sync::Mutex<()>,
}

impl GetStream {
    pub(super) fn new() -> Self {
        Self {
            open: watch::Sender::new(0),
            was_open: AtomicBool::new(false),
            refused: AtomicU32::new(0),
            never: AtomicBool::new(false),
            newest: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// Whether it is being read now.
    pub(super) fn is_open(&self) -> bool {
        *self.open.borrow() > 0
    }

    /// Becomes ready when none is open.
    pub(super) async fn closed(&self) {
        // Its sender is here.
        drop(self.open.subscribe().wait_for(|open| *open == 0).await);
    }
}

/// One open stream, as long as it is kept.
#[derive(Debug)]
pub(super) struct OpenGetStream(Arc<GetStream>);

impl OpenGetStream {
    pub(super) fn new(stream: &Arc<GetStream>) -> Self {
        stream.open.send_modify(|open| *open += 1);
        Self(Arc::clone(stream))
    }

    /// It has ended, with that event.
    pub(super) fn ended(&self, newest: Option<String>) {
        *lock(&self.0.newest) = newest;
    }
}

impl Drop for OpenGetStream {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}
