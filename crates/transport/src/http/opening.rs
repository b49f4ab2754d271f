//! The first bytes of a connection, read under a deadline before hyper sees it: hyper tells HTTP/1 from HTTP/2 by them
//! and has no timer for that, so a client that says nothing would hold its connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::net::BoxIo;

/// What opens HTTP/2 by prior knowledge (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Reads until it is plain which of the two it is; none if the client left without a word.
pub(super) async fn read(mut io: BoxIo) -> io::Result<Option<(BoxIo, Spoken)>> {
    // Most heads fit. hyper doubles its buffer for good when it gets a head in two parts.
    let mut head = BytesMut::with_capacity(4096);
    loop {
        if io.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
        let begun = head.len().min(PREFACE.len());
        let may_be_http2 = head.get(..begun) == PREFACE.get(..begun);
        if !may_be_http2 || head.len() >= PREFACE.len() {
            let spoken = if may_be_http2 { Spoken::Http2 } else { Spoken::Http1 };
            return Ok(Some((Box::new(Opened { head: head.freeze(), io }), spoken)));
        }
    }
}

/// A connection whose first bytes were read already.
struct Opened {
    head: Bytes,
    io: BoxIo,
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.head.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let fits = self.head.len().min(buf.remaining());
        buf.put_slice(self.head.get(..fits).unwrap_or_default());
        self.head.advance(fits);
        if self.head.is_empty() {
            // Also without a byte left it would hold its buffer, and a connection may stay for days.
            self.head = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Opened {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    async fn opened(first: &[&[u8]]) -> Option<(Vec<u8>, Spoken)> {
        let (mut client, server) = duplex(1024);
        let reading = tokio::spawn(read(Box::new(server)));
        for bytes in first {
            client.write_all(bytes).await.unwrap();
            tokio::task::yield_now().await;
        }
        drop(client);
        let (mut io, spoken) = reading.await.unwrap().unwrap()?;
        let mut all = Vec::new();
        io.read_to_end(&mut all).await.unwrap();
        Some((all, spoken))
    }

    #[tokio::test]
    async fn nothing_that_was_read_is_lost() {
        let http1 = |all: &[u8]| Some((all.to_vec(), Spoken::Http1));
        let http2 = Some(([PREFACE, b"x"].concat(), Spoken::Http2));
        assert_eq!(opened(&[b"P", b"OST / HTTP/1.1\r\n\r\n"]).await, http1(b"POST / HTTP/1.1\r\n\r\n"));
        assert_eq!(opened(&[PREFACE, b"x"]).await, http2);
        assert_eq!(opened(&[&[PREFACE, b"x"].concat()]).await, http2);
        assert_eq!(opened(&[b"PRI * HT", b"ML\r\n"]).await, http1(b"PRI * HTML\r\n"));
        assert_eq!(opened(&[]).await, None);
        assert_eq!(opened(&[b"PRI * HT"]).await, None);
    }
}
