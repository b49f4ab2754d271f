//! The stdio side towards a client: one message a line.

use std::io;
use std::sync::Arc;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use transport::lines::{LineReader, write_line};

use crate::bridge::endpoint::Endpoint;
use crate::listener::conversation::Conversation;
use crate::listener::outbox;

/// Serves one client until its input ends, then lets calls finish that are about to be answered.
pub(crate) async fn serve(
    endpoint: Arc<Endpoint>,
    input: impl AsyncRead + Send + Unpin,
    mut output: impl AsyncWrite + Send + Unpin,
    limit: usize,
) -> io::Result<()> {
    let end = CancellationToken::new();
    // A process that does not read is waited for: nobody else suffers.
    let (out, lines) = outbox::new(end.clone(), None);
    let identity = endpoint.route.gate.local();
    let conversation = Conversation::new(endpoint, ("stdio".into(), identity), out, end.clone());
    let mut reader = LineReader::new(input, limit);
    let read = async {
        let read = loop {
            let line = tokio::select! {
                line = reader.next() => line,
                () = conversation.eof.cancelled() => break Ok(()),
                () = end.cancelled() => break Ok(()),
            };
            match line {
                Ok(Some(Ok(line))) => conversation.take_bytes(line, HeaderMap::new()).await,
                Ok(Some(Err(too_long))) => {
                    conversation.skipped(&too_long.to_string(), too_long.asks.as_ref()).await;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        conversation.finish().await;
        read
    };
    let write = async move {
        while let Some(line) = lines.next().await {
            // An error means that nobody reads any more; to drop the lines ends everything.
            write_line(&mut output, &line).await?;
        }
        Ok(())
    };
    let (read, written) = tokio::join!(read, write);
    match written {
        // A client that closed its end without waiting is no fault of ours.
        Err(error) if io::Error::kind(&error) == io::ErrorKind::BrokenPipe => read,
        Err(error) => Err(error),
        Ok(()) => read,
    }
}
