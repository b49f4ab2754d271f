//! A server's pins and the store: what one process knows, the others must.

use std::sync::{Arc, OnceLock};

use base::sync::lock;
use store::pins::{Noted, StoredWaiting};
use store::{Store, StoreFault};

use super::{ServerPins, State, Unsent};
use crate::book::Book;
use crate::waiting::{AllSeen, Seen, key};
use crate::words;

/// So much of what is not pinned is kept for the store while it is away. Of what is, everything: there is a bound to that.
const MOST_UNSENT: usize = 4_000;
/// So much is remembered of what the store does not take.
const MOST_UNKEPT: usize = 4_000;

impl ServerPins {
    pub(super) fn keep_for_store(&self, more: impl IntoIterator<Item = Unsent>) {
        let mut unsent = lock(&self.unsent);
        for one in more {
            if !matches!(one, Unsent::Seen(_, false)) || unsent.len() < MOST_UNSENT {
                unsent.push_back(one);
            }
        }
    }

    /// Reads what the store has.
    pub(crate) async fn read(&self, store: &Store) -> Result<(), StoreFault> {
        let _alone = self.storing.lock().await;
        self.read_alone(store).await
    }

    async fn read_alone(&self, store: &Store) -> Result<(), StoreFault> {
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
            next.waiting = Arc::new(self.waiting_of(&waiting, next.book.as_deref()));
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

    /// What waits by what the store has and what it is yet to be told. Whoever notes more waits meanwhile, since the state is being
    /// changed; and nothing is told to the store while it is read.
    fn waiting_of(&self, stored: &[StoredWaiting], book: Option<&Book>) -> AllSeen {
        let nothing = Book::default();
        let book = book.unwrap_or(&nothing);
        let is_pinned = |seen: &Seen| book.get(seen.kind, &seen.name).is_some();
        let mut all = AllSeen::default();
        for seen in stored.iter().filter_map(Seen::of_stored).chain(lock(&self.unkept).iter().cloned()) {
            let is_pinned = is_pinned(&seen);
            all.add(seen, is_pinned);
        }
        for one in &*lock(&self.unsent) {
            match one {
                Unsent::Seen(seen, of_pinned) => {
                    all.add(seen.clone(), *of_pinned || is_pinned(seen));
                }
                Unsent::Settled(kind, name) => {
                    all = all.without(&nothing, |of, other| (of, other) == (*kind, name));
                }
            }
        }
        all.without(book, |_, _| false)
    }

    /// Tells the store what it is yet to be told. One does so at a time, so that what is taken away was told.
    pub(crate) async fn send(&self, store: &Store) -> Result<(), StoreFault> {
        let _alone = self.storing.lock().await;
        self.save(store).await?;
        loop {
            let Some(next) = lock(&self.unsent).front().cloned() else { return Ok(()) };
            match (self.tell(store, &next).await, next) {
                (Ok(()), _) => {}
                (Err(fault @ (StoreFault::Away(_) | StoreFault::Refused(_))), _) => return Err(fault),
                // What it will never take must not stand before what it takes.
                (Err(fault), next) => {
                    tracing::error!(
                        upstream = self.server,
                        "the store does not take what was seen of it, so that other processes do not know it: {fault}"
                    );
                    let mut unkept = lock(&self.unkept);
                    match next {
                        Unsent::Seen(seen, _) if unkept.len() < MOST_UNKEPT => unkept.push(seen),
                        Unsent::Seen(..) | Unsent::Settled(..) => {}
                    }
                }
            }
            lock(&self.unsent).pop_front();
        }
    }

    async fn tell(&self, store: &Store, what: &Unsent) -> Result<(), StoreFault> {
        match what {
            Unsent::Seen(seen, of_pinned) => {
                let noted = store.note_waiting(&self.server, &seen.stored(), *of_pinned).await?;
                if noted == Noted::Full {
                    tracing::debug!(upstream = self.server, "too much of it waits already");
                }
            }
            Unsent::Settled(kind, name) => {
                let of = (words::one(*kind), &*key(name));
                store.settle_waiting(&self.server, of, None).await?;
            }
        }
        Ok(())
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
        self.read_alone(store).await
    }

    /// Whether there is anything to tell the store.
    pub(crate) fn has_unsent(&self) -> bool {
        self.state.load().is_unsaved || !lock(&self.unsent).is_empty()
    }
}
