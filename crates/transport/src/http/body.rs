//! Bodies of responses: one buffer, or chunks as they come.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};

use crate::memory::Memory;

/// A body that is here as a whole, in one buffer or in several that follow each other: what was patched in a few places
/// need not be copied to be sent.
#[derive(Debug, Default, Clone)]
pub struct Pieces {
    first: Option<Bytes>,
    rest: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl Pieces {
    fn pop(&mut self) -> Option<Bytes> {
        let piece = self.first.take().or_else(|| self.rest.next())?;
        self.left -= piece.len() as u64;
        Some(piece)
    }

    /// What is still to be sent, as one text.
    #[must_use]
    pub fn text(&self) -> Bytes {
        match (&self.first, self.rest.as_slice()) {
            (None, []) => Bytes::new(),
            (Some(only), []) => only.clone(),
            (first, rest) => {
                let mut text = Vec::with_capacity(usize::try_from(self.left).unwrap_or_default());
                first.iter().chain(rest).for_each(|piece| text.extend_from_slice(piece));
                text.into()
            }
        }
    }

    /// The same, counted as held until the last of it is dropped where a new text had to be made.
    #[must_use]
    pub fn counted_text(&self, memory: &Memory) -> Bytes {
        let is_new = usize::from(self.first.is_some()) + self.rest.as_slice().len() > 1;
        if is_new { memory.own(self.text()) } else { self.text() }
    }

    /// What is still to be sent, one piece after the other.
    pub fn into_pieces(mut self) -> impl Iterator<Item = Bytes> {
        std::iter::from_fn(move || self.pop())
    }

    /// How many bytes are still to be sent.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.left
    }

    /// Whether all was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        let left = bytes.len() as u64;
        Self { first: (left > 0).then_some(bytes), rest: Vec::new().into_iter(), left }
    }
}

impl From<Vec<Bytes>> for Pieces {
    fn from(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { first: None, rest: pieces.into_iter(), left }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pop().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A response's body.
pub enum ReplyBody {
    /// All of it is here.
    Whole(Pieces),
    /// Chunks as they come. Dropped when the client is gone.
    Stream(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl ReplyBody {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::Whole(Pieces::default())
    }
}

impl<P: Into<Pieces>> From<P> for ReplyBody {
    fn from(pieces: P) -> Self {
        Self::Whole(pieces.into())
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(pieces) => Pin::new(pieces).poll_frame(cx),
            Self::Stream(stream) => {
                stream.as_mut().poll_next(cx).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(pieces) if pieces.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(pieces) => pieces.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(pieces) => f.debug_tuple("Whole").field(pieces).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn pieces_are_one_body_of_a_known_length() {
        let pieces = |texts: &[&'static str]| {
            Pieces::from(texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect::<Vec<_>>())
        };
        let body = pieces(&["ab", "", "c"]);
        assert_eq!((body.len(), body.is_end_stream()), (3, false));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert!(pieces(&["", ""]).is_end_stream() && Pieces::from(Bytes::new()).is_end_stream());
        let mut body = ReplyBody::from(Bytes::from_static(b"ab"));
        assert_eq!(body.size_hint().exact(), Some(2));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(body.is_end_stream());
    }
}
