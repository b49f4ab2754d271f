//! What a session's streams said, so that a client whose connection broke gets the rest.
//!
//! Source: MCP 2025-11-25 `basic/transports` §Resumability and Redelivery. Each stream of a session has a name that
//! cannot be guessed, and an event's id is that name and the event's position. Ids mean something within their
//! session only, because only its own recordings are searched.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base::error::CallError;
use base::plan::Limits;
use base::random;
use base::sync::lock;
use bytes::Bytes;
use futures_util::{Stream as Messages, StreamExt as _};
use mcp::jsonrpc::Id;
use tokio::sync::MutexGuard;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::budget::{ReplayBudget, Slot};
use crate::stored::StoredStreams;
use crate::stream::{Stream, StreamReader};

/// The most streams of one session that are kept at once.
const MOST_STREAMS: usize = 64;

/// The recordings of one session.
#[derive(Debug)]
pub struct Recordings {
    /// What the names of its streams of notifications begin with, the same at every replica.
    mark: String,
    /// The answers to its calls, oldest first.
    answers: Mutex<Vec<Arc<Stream>>>,
    notices: Mutex<Notices>,
    /// Held while a stream of notifications is being opened.
    opening: tokio::sync::Mutex<()>,
    bytes: Arc<AtomicUsize>,
    budget: Arc<ReplayBudget>,
}

/// The stream of what belongs to no call.
#[derive(Debug, Default)]
struct Notices {
    stream: Option<Arc<Stream>>,
    /// Whether there was one before, so that something may have been missed since.
    was_open: bool,
}

/// Where a client wants to go on.
#[derive(Debug)]
pub enum ResumePoint {
    /// In the answer to a call.
    Answer(Arc<Stream>, u64),
    /// In the stream of notifications that is open.
    Notices(Arc<Stream>, u64),
    /// In a stream of notifications that is not kept any more.
    OldNotices,
}

impl Recordings {
    /// None yet, for the session of that secret name.
    pub fn new(session: &str, budget: Arc<ReplayBudget>) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, session.as_bytes());
        Self {
            mark: hex(digest.as_ref().get(..8).unwrap_or_default()),
            answers: Mutex::default(),
            notices: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            bytes: Arc::default(),
            budget,
        }
    }

    /// Its client may have had a stream of notifications at another replica.
    pub fn begun_elsewhere(&self) {
        lock(&self.notices).was_open = true;
    }

    /// Whether anything is kept.
    pub fn is_busy(&self) -> bool {
        !lock(&self.answers).is_empty() || lock(&self.notices).stream.is_some()
    }

    /// Held while its stream of notifications is being opened, so that two connections get one.
    pub async fn opening(&self) -> MutexGuard<'_, ()> {
        self.opening.lock().await
    }

    /// Where a `Last-Event-ID` points to.
    ///
    /// # Errors
    /// When that event is of no stream of this session that is still kept.
    pub fn find(&self, id: &str) -> Result<ResumePoint, CallError> {
        let unknown = || CallError::NotResumable {
            why: "that event is of no stream of this session that is still kept".to_owned(),
        };
        let (name, position) = id.rsplit_once('-').ok_or_else(unknown)?;
        let position: u64 = position.parse().map_err(|_no_number| unknown())?;
        if let Some(stream) = lock(&self.answers).iter().find(|stream| stream.name() == name) {
            return Ok(ResumePoint::Answer(Arc::clone(stream), position));
        }
        if !name.starts_with(&self.mark) {
            return Err(unknown());
        }
        let notices = lock(&self.notices).stream.clone().filter(|stream| stream.name() == name);
        Ok(notices.map_or(ResumePoint::OldNotices, |stream| ResumePoint::Notices(stream, position)))
    }

    /// Records what is said in answer to a POST, until it ends and for as long as limits allow; none when too much is
    /// recorded already, and the stream cannot be resumed then.
    pub(crate) fn answer(
        self: &Arc<Self>,
        messages: impl Messages<Item = Bytes> + Send + 'static,
        limits: &Limits,
        (tasks, drain): (&TaskTracker, CancellationToken),
        stored: Option<(StoredStreams, Vec<Id>)>,
    ) -> Result<StreamReader, impl Messages<Item = Bytes> + Send + 'static> {
        let begun = self.begin(limits);
        let Some((stream, reader)) = begun else { return Err(messages) };
        let this = Arc::clone(self);
        tasks.spawn(async move {
            let mut messages = Box::pin(messages);
            let mut lasts = match &stored {
                Some((stored, asks)) => stored.begin(stream.name(), asks).await,
                None => false,
            };
            let (stored, mut said) = (stored.map(|(stored, _)| stored), 0);
            while let Some(message) = messages.next().await {
                said += 1;
                if let Some(stored) = stored.as_ref().filter(|_| lasts) {
                    lasts = stored.say(stream.name(), said, &message).await;
                }
                this.say(&stream, message).await;
            }
            drop(messages);
            if let Some(stored) = stored.as_ref().filter(|_| lasts) {
                stored.end(stream.name(), said).await;
            }
            stream.close();
            this.keep(&stream, drain).await;
        });
        Ok(reader)
    }

    /// Keeps a stream that is over, for as long as it is to be kept.
    async fn keep(&self, stream: &Arc<Stream>, drain: CancellationToken) {
        tokio::select! {
            () = stream.kept() => {}
            () = drain.cancelled() => {}
        }
        lock(&self.answers).retain(|kept| !Arc::ptr_eq(kept, stream));
    }

    /// A stream that a replica has written which is gone, from an event of it on. None if it did not last.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn recall(
        self: &Arc<Self>,
        event: &str,
        stored: &StoredStreams,
        (tasks, drain): (&TaskTracker, CancellationToken),
    ) -> Result<Option<ResumePoint>, CallError> {
        let Some((name, position)) = event.rsplit_once('-') else { return Ok(None) };
        let Ok(position) = position.parse::<u64>() else { return Ok(None) };
        // Two connections that come back at once get one stream.
        let _one = self.opening.lock().await;
        if let Ok(place) = self.find(event) {
            return Ok(Some(place));
        }
        let Some(recalled) = stored.recall(name, position).await? else { return Ok(None) };
        let slot = self.budget.slot(stored.limits.streams);
        let stream = self.stream(name.to_owned(), &stored.limits, slot);
        stream.restore(position, recalled.messages);
        lock(&self.answers).push(Arc::clone(&stream));
        let (this, kept) = (Arc::clone(self), Arc::clone(&stream));
        tasks.spawn(async move { this.keep(&kept, drain).await });
        Ok(Some(ResumePoint::Answer(stream, position)))
    }

    fn begin(&self, limits: &Limits) -> Option<(Arc<Stream>, StreamReader)> {
        let slot = self.budget.slot(limits.streams)?;
        let stream = self.stream(random::hex::<8>().ok()?, limits, Some(slot));
        let mut answers = lock(&self.answers);
        if answers.len() >= MOST_STREAMS {
            let idle = answers.iter().position(|stream| stream.is_idle())?;
            answers.remove(idle).end();
        }
        answers.push(Arc::clone(&stream));
        let reader = stream.read_from(0)?;
        Some((stream, reader))
    }

    fn stream(&self, name: String, limits: &Limits, slot: Option<Slot>) -> Arc<Stream> {
        Stream::new(name, *limits, (Arc::clone(&self.bytes), Arc::clone(&self.budget)), slot)
    }

    /// Adds an event to a stream, when its reader is ready for one.
    pub async fn say(&self, stream: &Stream, message: Bytes) {
        stream.ready().await;
        self.make_room(stream, message.len());
        stream.push(message);
    }

    /// Drops what is oldest of what is over, if a new event of another stream would not be kept otherwise.
    fn make_room(&self, stream: &Stream, size: usize) {
        let most = stream.limits().replay_bytes;
        if size > most {
            return;
        }
        let mut answers = lock(&self.answers);
        let others = || self.bytes.load(Ordering::Relaxed).saturating_sub(stream.bytes());
        while others() + size > most {
            let Some(idle) = answers.iter().position(|stream| stream.is_idle()) else { return };
            answers.remove(idle).end();
        }
    }

    /// The session's stream of notifications, if it is open, and where a client that names no event begins.
    pub fn notices(&self) -> Option<(Arc<Stream>, u64)> {
        let stream = lock(&self.notices).stream.clone()?;
        let unread = stream.unread();
        Some((stream, unread))
    }

    /// Opens the session's stream of notifications, and says whether there was one before.
    pub fn open_notices(&self, limits: &Limits) -> Option<(Arc<Stream>, bool)> {
        let name = format!("{}{}", self.mark, random::hex::<8>().ok()?);
        let stream = self.stream(name, limits, self.budget.slot(limits.streams));
        let mut notices = lock(&self.notices);
        notices.stream = Some(Arc::clone(&stream));
        Some((stream, std::mem::replace(&mut notices.was_open, true)))
    }

    /// The session's stream of notifications has come to its end.
    pub fn close_notices(&self, stream: &Arc<Stream>) {
        let mut notices = lock(&self.notices);
        if notices.stream.as_ref().is_some_and(|open| Arc::ptr_eq(open, stream)) {
            notices.stream = None;
        }
        drop(notices);
        stream.close();
    }

    /// The session has ended: nothing is kept, and who reads hears no more.
    pub fn end(&self) {
        let answers = std::mem::take(&mut *lock(&self.answers));
        let notices = lock(&self.notices).stream.take();
        for stream in answers.iter().chain(notices.iter()) {
            stream.end();
        }
    }
}

/// Reads on in a stream, or says why that cannot be; none when there is nothing more.
///
/// # Errors
/// When what came after that position is not kept any more.
pub fn resume(stream: &Arc<Stream>, position: u64) -> Result<Option<StreamReader>, CallError> {
    if stream.has_nothing_after(position) {
        return Ok(None);
    }
    let lost = || CallError::NotResumable {
        why: "what came after that event is not kept any more; the call itself was not cancelled".to_owned(),
    };
    stream.read_from(position).map(Some).ok_or_else(lost)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
