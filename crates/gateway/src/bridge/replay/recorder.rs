//! Who writes down what the calls of a session are answered.

use std::sync::Arc;

use base::plan::Limits;
use bytes::Bytes;
use futures_util::Stream;
use mcp::jsonrpc::Id;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::memory::Memory;

use super::{Recordings, StoredStreams, StreamReader};

/// Records what legacy clients are told, so that they can come back for it.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub(crate) recordings: Arc<Recordings>,
    pub(crate) limits: Limits,
    /// What is written down is held.
    pub(crate) memory: Memory,
    pub(crate) tasks: TaskTracker,
    pub(crate) drain: CancellationToken,
    /// Whether the client takes an event without data for what it is (since 2025-11-25).
    pub(crate) primes: bool,
    /// Where its streams outlive this replica, if they do, and the requests that this one answers.
    pub(crate) stored: Option<(StoredStreams, Vec<Id>)>,
}

impl Recorder {
    /// Records a stream of messages, and gives who reads it; the stream itself when too much is recorded already.
    pub(crate) fn record(
        &self,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<StreamReader, impl Stream<Item = Bytes> + Send + 'static> {
        let around = (&self.tasks, self.drain.clone());
        self.recordings.answer(messages, &self.limits, around, self.stored.clone())
    }
}
