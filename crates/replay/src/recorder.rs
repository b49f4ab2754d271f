//! Who writes down what the calls of a session are answered.

use std::sync::Arc;

use base::plan::Limits;
use bytes::Bytes;
use futures_util::Stream;
use mcp::jsonrpc::Id;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::memory::Memory;

use crate::recordings::Recordings;
use crate::stored::StoredStreams;
use crate::stream::StreamReader;

/// Records what legacy clients are told, so that they can come back for it.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// Those of the client's session.
    pub recordings: Arc<Recordings>,
    /// How much is kept of a stream, and for how long.
    pub limits: Limits,
    /// What is written down is held.
    pub memory: Memory,
    /// Where a stream goes on while nobody reads it.
    pub tasks: TaskTracker,
    /// Cancelled when what is over is not kept any more.
    pub drain: CancellationToken,
    /// Whether the client takes an event without data for what it is (since 2025-11-25).
    pub primes: bool,
    /// Where its streams outlive this replica, if they do, and the requests that this one answers.
    pub stored: Option<(StoredStreams, Vec<Id>)>,
}

impl Recorder {
    /// Records a stream of messages, and gives who reads it; the stream itself when too much is recorded already.
    pub fn record(
        &self,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<StreamReader, impl Stream<Item = Bytes> + Send + 'static> {
        let around = (&self.tasks, self.drain.clone());
        self.recordings.answer(messages, &self.limits, around, self.stored.clone())
    }
}
