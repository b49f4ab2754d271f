//! A legacy session's stream of notifications, and how a client comes back to a stream that broke.
//!
//! The stream goes on for a while when its client is away. What a client has missed for good it need not know one by
//! one: the notifications only ever say that something changed, so it is told that everything has.

use std::sync::Arc;

use base::error::CallError;
use bytes::Bytes;
use catalog::changes::subscription::StreamSlot;
use mcp::jsonrpc::Id;
use replay::{Recorder, Recordings, ResumePoint, StoredStreams, Stream, StreamReader};

use crate::bridge::endpoint::{Endpoint, Notifications};
use crate::bridge::session::SessionClaims;

/// Who reads a stream of a session; one of notifications is counted among the streams to clients until it is dropped.
#[derive(Debug)]
pub(crate) struct SeatedReader {
    reader: StreamReader,
    _seat: Option<StreamSlot>,
}

impl SeatedReader {
    fn on(reader: StreamReader, seat: StreamSlot) -> Self {
        Self { reader, _seat: Some(seat) }
    }

    /// The id of the event after which it began to read.
    pub(crate) fn began(&self) -> String {
        self.reader.began()
    }

    /// The next event and its id; none when there is no more for this reader. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<(String, Bytes)> {
        self.reader.next().await
    }
}

impl From<StreamReader> for SeatedReader {
    fn from(reader: StreamReader) -> Self {
        Self { reader, _seat: None }
    }
}

impl Endpoint {
    /// Who writes down what a session's calls are answered.
    pub(crate) fn recorder(&self, claims: &SessionClaims, asks: Vec<Id>) -> Recorder {
        Recorder {
            recordings: Arc::clone(&self.sessions.hold(claims, self.now()).recordings),
            limits: self.limits,
            memory: self.route.world.memory.clone(),
            tasks: self.route.world.tasks.clone(),
            drain: self.drain.clone(),
            primes: claims.revision.primes_streams,
            stored: self.stored_streams(claims).map(|stored| (stored, asks)),
        }
    }

    /// Where the streams of a session outlive this replica, if that was asked for.
    fn stored_streams(&self, claims: &SessionClaims) -> Option<StoredStreams> {
        if self.route.replica.is_none() || !self.route.durable_streams {
            return None;
        }
        // Whoever is a replica has a store.
        let store = self.route.world.store.clone()?;
        let (session, keep) = (Arc::clone(&claims.name), claims.left(self.now()));
        let lasts = !claims.homed().opener.is_empty();
        lasts.then(|| StoredStreams { store, session, keep, limits: self.limits })
    }

    /// Where a client wants to go on, be it in a stream that a replica has written which is gone.
    async fn place(
        &self,
        claims: &SessionClaims,
        recordings: &Arc<Recordings>,
        event: &str,
    ) -> Result<ResumePoint, CallError> {
        let unknown = match recordings.find(event) {
            Ok(place) => return Ok(place),
            Err(error) => error,
        };
        let Some(stored) = self.stored_streams(claims) else { return Err(unknown) };
        let around = (&self.route.world.tasks, self.drain.clone());
        recordings.recall(event, &stored, around).await?.ok_or(unknown)
    }

    /// The stream that a GET asks for: the one of the event that it names, or the session's stream of notifications.
    /// None when the client has had all of it.
    pub(crate) async fn read(
        self: Arc<Self>,
        claims: &SessionClaims,
        last_event: Option<&str>,
    ) -> Result<Option<SeatedReader>, CallError> {
        let recordings = Arc::clone(&self.sessions.hold(claims, self.now()).recordings);
        let place = match last_event {
            Some(event) => Some(self.place(claims, &recordings, event).await?),
            None => None,
        };
        match place {
            Some(ResumePoint::Answer(stream, position)) => {
                Ok(replay::resume(&stream, position)?.map(SeatedReader::from))
            }
            Some(ResumePoint::Notices(stream, position)) => {
                let seat = StreamSlot::take(&self.route.changes).await?;
                let Some(reader) = stream.read_from(position) else {
                    // It takes a seat of its own.
                    drop(seat);
                    return self.listen(claims, &recordings, true).await.map(Some);
                };
                self.comes_as(claims);
                Ok(Some(SeatedReader::on(reader, seat)))
            }
            Some(ResumePoint::OldNotices) => self.listen(claims, &recordings, true).await.map(Some),
            None => self.listen(claims, &recordings, false).await.map(Some),
        }
    }

    /// Whoever reads a stream that goes on may have come with a token that is good for other things.
    fn comes_as(&self, claims: &SessionClaims) {
        let held = self.sessions.hold(claims, self.now());
        held.comes_as.send_replace(claims.identity.claims.clone());
    }

    /// The session's stream of notifications from now on, and whatever nobody has got yet.
    async fn listen(
        self: Arc<Self>,
        claims: &SessionClaims,
        recordings: &Arc<Recordings>,
        has_missed: bool,
    ) -> Result<SeatedReader, CallError> {
        let seat = StreamSlot::take(&self.route.changes).await?;
        let _opening = recordings.opening().await;
        if let Some((stream, unread)) = recordings.notices()
            && let Some(reader) = stream.read_from(unread)
        {
            if has_missed {
                stream.tell_everything();
            }
            self.comes_as(claims);
            return Ok(SeatedReader::on(reader, seat));
        }
        let mut notifications = Arc::clone(&self).notifications(claims.clone()).await;
        let no_ids = || CallError::Internal("no random numbers".to_owned());
        let (stream, was_open) = recordings.open_notices(&self.limits).ok_or_else(no_ids)?;
        if has_missed || was_open {
            notifications.tell_everything();
        }
        let reader = stream.read_from(0).ok_or_else(no_ids)?;
        let tasks = self.route.world.tasks.clone();
        tasks.spawn(drive(notifications, stream, Arc::clone(recordings)));
        Ok(SeatedReader::on(reader, seat))
    }
}

/// Writes down what a session is to hear, until it is over or nobody has listened for too long.
async fn drive(mut notifications: Notifications, stream: Arc<Stream>, recordings: Arc<Recordings>) {
    loop {
        tokio::select! {
            told = notifications.next() => match told {
                Some(message) => recordings.say(&stream, message).await,
                None => break,
            },
            () = stream.has_missed() => notifications.tell_everything(),
            () = stream.abandoned() => break,
        }
    }
    recordings.close_notices(&stream);
}
