//! Short messages between replicas: that something has changed, and its id, never the thing itself.
//!
//! A notice may be missed: nothing keeps it for who is not there. Therefore a subscriber hears of the times at which it may
//! have missed some, beginning with the moment at which it can first hear any. Whoever keeps a copy of something that
//! notices tell of subscribes, and at each [`Heard::Missed`] throws the copy away.

use tokio::sync::{broadcast, watch};

use crate::fault::StoreFault;
use crate::sql::cells;
use crate::store::{Backend, Store};

/// The channel of PostgreSQL.
pub(crate) const CHANNEL: &str = "portolan";
/// The most bytes of topic and id together. PostgreSQL takes 8000 with the quotes around them.
pub const NOTICE_BYTES: usize = 1024;

/// That something has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What kind of thing. Without line breaks.
    pub topic: String,
    /// Which one.
    pub id: String,
}

impl Notice {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (topic, id) = text.split_once('\n')?;
        Some(Self { topic: topic.to_owned(), id: id.to_owned() })
    }
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Something has changed.
    Notice(Notice),
    /// Anything may have changed. From here on nothing is missed until this is heard again.
    Missed,
}

impl Store {
    /// Tells all subscribers on all replicas, this one included. When it is answered, they hear it soon, or that they missed
    /// something.
    ///
    /// # Errors
    /// When the store is away, or the notice is too long.
    pub async fn publish(&self, topic: &str, id: &str) -> Result<(), StoreFault> {
        if topic.contains('\n') || topic.len() + id.len() > NOTICE_BYTES {
            return Err(StoreFault::Broken(format!(
                "a notice of {topic:?} is too long, or its topic is wrong"
            )));
        }
        match &self.backend {
            Backend::Sqlite(sqlite) => {
                let notice = Notice { topic: topic.to_owned(), id: id.to_owned() };
                // Nobody may be there to hear it.
                drop(sqlite.notices.send(notice));
                Ok(())
            }
            Backend::Postgres(_) => {
                let payload = format!("{topic}\n{id}");
                let text = "SELECT CAST(pg_notify($1, $2) AS TEXT)";
                self.query(text, cells![CHANNEL, payload.as_str()]).await.map(drop)
            }
        }
    }

    /// Begins to hear notices.
    pub async fn subscribe(&self) -> Notices {
        match &self.backend {
            Backend::Sqlite(sqlite) => {
                // It hears everything from now on: listening has begun once and for all.
                let (begun, begins) = watch::channel(1);
                Notices { heard: sqlite.notices.subscribe(), begins, _begun: Some(begun), seen: 0 }
            }
            Backend::Postgres(postgres) => {
                let (heard, begins) = postgres.listening.join().await;
                Notices { heard, begins, _begun: None, seen: 0 }
            }
        }
    }
}

/// What a subscriber hears, from when it subscribed.
#[derive(Debug)]
pub struct Notices {
    heard: broadcast::Receiver<Notice>,
    /// How often listening has begun.
    begins: watch::Receiver<u64>,
    _begun: Option<watch::Sender<u64>>,
    seen: u64,
}

impl Notices {
    /// The next. None when the store is dropped. Nothing is lost if it is not waited for to the end.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let begun = *self.begins.borrow_and_update();
            if begun != self.seen {
                self.seen = begun;
                return Some(Heard::Missed);
            }
            tokio::select! {
                heard = self.heard.recv() => return match heard {
                    Ok(notice) => Some(Heard::Notice(notice)),
                    Err(broadcast::error::RecvError::Lagged(_)) => Some(Heard::Missed),
                    Err(broadcast::error::RecvError::Closed) => None,
                },
                changed = self.begins.changed() => if changed.is_err() { return None },
            }
        }
    }
}
