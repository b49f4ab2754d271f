//! A server's pins and the store: what one process knows, the others must.

use std::sync::{Arc, OnceLock};

use base::sync::lock;
use store::{Store, StoreFault};

use super::{ServerPins, State, Unsent};
use crate::book::Book;
use crate::waiting::{AllSeen, Seen};
use crate::words;

/// So much is kept for the store while it is away.
const MOST_UNSENT: usize = 4_000;

impl ServerPins {
    pub(super) fn keep_for_store(&self, more: Vec<Unsent>) {
        let mut unsent = lock(&self.unsent);
        let room = MOST_UNSENT.saturating_sub(unsent.len());
        unsent.extend(more.into_iter().take(room));
    }

    /// Reads what the store has.
    pub(crate) async fn read(&self, store: &Store) -> Result<(), StoreFault> {
        let is_locked = self.state.load().is_locked;
        let stored = if is_locked { None } else { store.pins_of(&self.server).await? };
        let waiting = store.waiting_of(&self.server).await?;
        let version = stored.as_ref().map_or(0, |stored| stored.version);
        let book = match stored.as_ref().map(|stored| Book::parse(&stored.pins)) {
            None => Some(Book::default()),
            Some(Ok(book)) => Some(book),
            Some(Err(fault)) => {
                tracing::error!(
                    upstream = self.server,
                    "what is pinned of it cannot be read, so that nothing is shown: {fault}"
                );
                None
            }
        };
        let mut seen = AllSeen::default();
        waiting.iter().filter_map(Seen::of_stored).for_each(|one| {
            seen.add(one);
        });
        for one in &*lock(&self.unsent) {
            match one {
                Unsent::Seen(one) => {
                    seen.add(one.clone());
                }
                Unsent::Settled(kind, name) => {
                    seen = seen.without(&Book::default(), |of, other| (of, other) == (*kind, name));
                }
            }
        }
        let (mut is_news, mut is_decided) = (false, false);
        self.change(|state| {
            // A reload came between.
            if state.is_locked != is_locked {
                return None;
            }
            let mut next = State { is_read: true, ..state.copy() };
            // What the store is yet to get stays until it is there, or somebody else's is.
            let is_ahead = state.is_unsaved && version == state.stored;
            if !is_locked && !is_ahead {
                next.book = book.map(|book| match &state.book {
                    Some(same) if **same == book => Arc::clone(same),
                    _ => Arc::new(book),
                });
                (next.stored, next.is_unsaved) = (version, false);
            }
            let nothing = Book::default();
            next.waiting = Arc::new(seen.without(next.book.as_deref().unwrap_or(&nothing), |_, _| false));
            is_decided = next.book != state.book;
            is_news = next.waiting != state.waiting;
            next.says = OnceLock::new();
            Some(next)
        });
        if is_decided {
            self.tell_others();
            self.decided();
        } else if is_news {
            self.renew();
        }
        Ok(())
    }

    /// Tells the store what it is yet to be told.
    pub(crate) async fn send(&self, store: &Store) -> Result<(), StoreFault> {
        self.save(store).await?;
        loop {
            let Some(next) = lock(&self.unsent).first().cloned() else { return Ok(()) };
            match &next {
                Unsent::Seen(seen) => {
                    store.note_waiting(&self.server, &seen.stored()).await?;
                }
                Unsent::Settled(kind, name) => {
                    store.settle_waiting(&self.server, words::one(*kind), name).await?;
                }
            }
            // Told twice, by two who have begun at once, it is told once.
            let mut unsent = lock(&self.unsent);
            if !unsent.is_empty() {
                unsent.remove(0);
            }
        }
    }

    /// Keeps what was pinned as it was first seen.
    async fn save(&self, store: &Store) -> Result<(), StoreFault> {
        let state = self.state.load_full();
        let Some(book) = state.book.as_ref().filter(|_| state.is_unsaved) else { return Ok(()) };
        if store.put_pins(&self.server, state.stored, &book.render(0)).await? {
            self.change(|now| {
                let is_same = now.stored == state.stored && now.is_unsaved;
                is_same.then(|| State {
                    stored: state.stored + 1,
                    is_unsaved: now.book != state.book,
                    ..now.copy()
                })
            });
            return Ok(());
        }
        // Another process was there before: what it has pinned counts.
        self.change(|now| Some(State { is_unsaved: false, ..now.copy() }));
        self.read(store).await
    }

    /// Whether there is anything to tell the store.
    pub(crate) fn has_unsent(&self) -> bool {
        self.state.load().is_unsaved || !lock(&self.unsent).is_empty()
    }
}
