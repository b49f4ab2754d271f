//! What carries a legacy server's notifications that belong to no call, as long as it lasts. They go to all who listen
//! while it does.

use super::pipe::Pipe;
use super::streamable::HttpStream;

/// Where such notifications come from.
#[derive(Debug)]
pub(crate) enum Overheard {
    /// A stream that is there for nothing else.
    Stream(Box<HttpStream>),
    /// The one stream of HTTP+SSE, which somebody else reads.
    Pipe(Pipe),
}

impl Overheard {
    /// Listens until it ends.
    pub(crate) async fn last(&mut self) {
        match self {
            Self::Stream(stream) => while stream.next().await.is_ok() {},
            Self::Pipe(pipe) => pipe.closed().await,
        }
    }
}
