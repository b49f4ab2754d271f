//! What carries a legacy server's notifications that belong to no call, as long as it lasts. They go to all who listen
//! while it does.

use crate::http::HttpStream;
use crate::pipe::Pipe;

/// Where such notifications come from.
#[derive(Debug)]
pub struct NotificationStream(Carrier);

#[derive(Debug)]
enum Carrier {
    /// A stream that is there for nothing else.
    Stream(Box<HttpStream>),
    /// The one stream of HTTP+SSE, which somebody else reads.
    Pipe(Pipe),
}

impl NotificationStream {
    pub(crate) fn stream(stream: HttpStream) -> Self {
        Self(Carrier::Stream(Box::new(stream)))
    }

    pub(crate) fn pipe(pipe: Pipe) -> Self {
        Self(Carrier::Pipe(pipe))
    }

    /// Listens until it ends.
    pub async fn last(&mut self) {
        match &mut self.0 {
            Carrier::Stream(stream) => while stream.next().await.is_ok() {},
            Carrier::Pipe(pipe) => pipe.closed().await,
        }
    }
}
