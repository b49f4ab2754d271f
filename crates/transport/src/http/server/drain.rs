//! What a client still sends when its answer is already there: it is read for a while and thrown away.
//!
//! A socket that is closed while something lies unread in it is reset, and most clients then tell their callers of the reset and
//! not of the answer. So what is left of a request goes on being read behind its answer, within bounds (RFC 9112 §9.6; RFC 9110 §9.3
//! lets a server answer early). Nothing of it is kept, so nothing of it counts as held.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::http::body::ReplyBody;
use crate::http::opening::Spoken;
use crate::net::BoxIo;

/// The most bytes that are thrown away behind one answer, and once more when the connection was closed for writing.
const MOST: usize = 32 * 1024 * 1024;
/// For so long they are, and once more: together as long as a request that is wanted may take.
const LONGEST: Duration = Duration::from_secs(15);
/// A client that sends nothing for so long has read its answer, or never will.
const SILENCE: Duration = Duration::from_secs(2);
/// For so long something is waited for that may be on its way when a connection ends.
const GRACE: Duration = Duration::from_millis(100);
/// What is announced as no longer than this is read to its end, so that the connection can stay.
const SHORT: u64 = 64 * 1024;

/// So many bodies are thrown away at once by HTTP/1, where each takes a buffer of up to 128 KiB that nobody counts, and it may be for
/// want of memory that they are thrown away. The connections of others end at once, and what they still send is read behind that
/// end ([`Lingering`]), which takes no buffer.
static PLACES: Semaphore = Semaphore::const_new(64);

/// A response, and what was not read of its request.
#[derive(Debug)]
pub(super) enum Answer {
    /// All was read.
    Plain(ReplyBody),
    /// Not all was.
    Early(Box<Early>),
}

/// The body of an answer that was there before all of the request was.
#[derive(Debug)]
pub(super) struct Early {
    reply: ReplyBody,
    unread: Option<Incoming>,
    /// Whether there must be a place for it.
    takes_place: bool,
}

/// The response with what is left of its request. Over HTTP/1 it is the last of its connection, unless little is left: to
/// announce that is better than to close without a word (RFC 9112 §9.6).
pub(super) fn with_rest(
    response: Response<ReplyBody>,
    rest: Option<Incoming>,
    spoken: Spoken,
) -> Response<Answer> {
    let Some(rest) = rest else { return response.map(Answer::Plain) };
    let short = rest.size_hint().upper().is_some_and(|left| left <= SHORT);
    // What is short fits into the buffer that the head came in, and HTTP/2 has a window.
    let takes_place = spoken == Spoken::Http1 && !short;
    let mut response =
        response.map(|reply| Answer::Early(Box::new(Early { reply, unread: Some(rest), takes_place })));
    if takes_place {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl Drop for Early {
    /// hyper is done with the answer: its head is written, so that a client which waits for leave to send its body
    /// (`Expect: 100-continue`) is not given it by our reading.
    fn drop(&mut self) {
        if let (Some(unread), Ok(runtime)) = (self.unread.take(), Handle::try_current()) {
            let place = match self.takes_place.then(|| PLACES.try_acquire()).transpose() {
                Ok(place) => place,
                // hyper closes a connection whose body nobody reads.
                Err(_none) => return,
            };
            runtime.spawn(throw_away(unread, place));
        }
    }
}

async fn throw_away(mut body: Incoming, _place: Option<SemaphorePermit<'static>>) {
    let all = async {
        let mut left = MOST;
        while let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(less) => left = less,
                None => break,
            }
        }
    };
    // Whichever ends it: hyper closes the connection, or resets the stream, where there is still more.
    drop(timeout(LONGEST, all).await);
}

impl Answer {
    fn reply(self: Pin<&mut Self>) -> Pin<&mut ReplyBody> {
        Pin::new(match self.get_mut() {
            Self::Plain(reply) => reply,
            Self::Early(early) => &mut early.reply,
        })
    }

    fn lent(&self) -> &ReplyBody {
        match self {
            Self::Plain(reply) => reply,
            Self::Early(early) => &early.reply,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.reply().poll_frame(cx)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.lent().is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.lent().size_hint()
    }
}

/// The end of a connection on which something may still come that nobody asked for: the rest of a head that was too large, say.
#[derive(Debug, Default)]
pub(super) struct Lingering(Option<Box<Rest>>);

#[derive(Debug)]
struct Rest {
    left: usize,
    ends: Pin<Box<Sleep>>,
    silence: Pin<Box<Sleep>>,
}

impl Rest {
    fn new() -> Self {
        Self { left: MOST, ends: Box::pin(sleep(LONGEST)), silence: Box::pin(sleep(GRACE)) }
    }
}

impl Lingering {
    /// Ready when the socket may be closed, which cannot be written to any more: soon, if nothing comes.
    pub(super) fn poll(&mut self, io: &mut BoxIo, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = [0; 8 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut room);
            let read = Pin::new(&mut *io).poll_read(cx, &mut buffer);
            let came = buffer.filled().len();
            if read.is_ready() && came == 0 {
                return Poll::Ready(());
            }
            let rest = self.0.get_or_insert_with(|| Box::new(Rest::new()));
            if read.is_pending() {
                if rest.ends.as_mut().poll(cx).is_pending() {
                    ready!(rest.silence.as_mut().poll(cx));
                }
                return Poll::Ready(());
            }
            let Some(left) = rest.left.checked_sub(came) else { return Poll::Ready(()) };
            rest.left = left;
            rest.silence.as_mut().reset(Instant::now() + SILENCE);
        }
    }
}
