//! What was said on one stream, what of it is kept, and how far its reader is. Knows no clock and waits for nobody.
//!
//! A *position* counts the events before it: a client that has got event number 3 goes on at position 3.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;

/// How many events wait for a slow reader before the call is made to wait.
const MOST_UNREAD: usize = 64;

/// One stream.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    events: VecDeque<Kept>,
    /// The position of the first event that is kept.
    first: u64,
    bytes: usize,
    /// Nothing will be added.
    is_over: bool,
    /// Up to where any reader was.
    read_to: u64,
    reader: Option<Seat>,
    /// How many readers there have been.
    readers: u64,
}

#[derive(Debug)]
struct Kept {
    message: Bytes,
    since: Instant,
}

/// The one who reads.
#[derive(Debug)]
struct Seat {
    number: u64,
    at: u64,
    /// It has taken nothing for so long that nobody waits for it any more.
    is_stalled: bool,
}

/// What there is for a reader.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextEvent {
    /// The next event, and the position after it.
    Event(u64, Bytes),
    /// Nothing yet.
    Wait,
    /// Nothing any more.
    Over,
    /// What came next is not kept any more.
    Lost,
    /// Another reader has taken over.
    Replaced,
}

/// How much of a stream is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The most events.
    pub(crate) events: usize,
    /// The most bytes.
    pub(crate) bytes: usize,
    /// No event from before this.
    pub(crate) since: Instant,
}

impl Recording {
    /// One of which nothing is kept up to a position.
    pub(crate) fn beginning_at(position: u64) -> Self {
        Self { first: position, read_to: position, ..Self::default() }
    }

    /// The position after the last event.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// The bytes of all events that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Up to where any reader was, or what is left after that.
    pub(crate) fn unread(&self) -> u64 {
        self.read_to.max(self.first)
    }

    /// Whether nothing will be added.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether somebody reads.
    pub(crate) fn is_read(&self) -> bool {
        self.reader.is_some()
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, message: Bytes, now: Instant) {
        self.bytes += message.len();
        self.events.push_back(Kept { message, since: now });
    }

    /// Nothing more is coming.
    pub(crate) fn close(&mut self) {
        self.is_over = true;
    }

    /// Forgets all events.
    pub(crate) fn clear(&mut self) {
        self.first = self.end();
        self.events.clear();
        self.bytes = 0;
    }

    /// A new reader at a position, in the place of the one before; none if that is not a position of what is kept.
    pub(crate) fn attach(&mut self, at: u64) -> Option<u64> {
        if at < self.first || at > self.end() {
            return None;
        }
        self.readers += 1;
        self.reader = Some(Seat { number: self.readers, at, is_stalled: false });
        Some(self.readers)
    }

    /// A reader leaves. Whether it was the one who reads now.
    pub(crate) fn detach(&mut self, number: u64) -> bool {
        let was_current = self.reader.as_ref().is_some_and(|seat| seat.number == number);
        if was_current {
            self.reader = None;
        }
        was_current
    }

    /// What comes next for a reader.
    pub(crate) fn read(&mut self, number: u64) -> NextEvent {
        let end = self.end();
        let Some(seat) = self.reader.as_mut().filter(|seat| seat.number == number) else {
            return NextEvent::Replaced;
        };
        let Some(ahead) = seat.at.checked_sub(self.first) else { return NextEvent::Lost };
        seat.is_stalled = false;
        let next = usize::try_from(ahead).ok().and_then(|ahead| self.events.get(ahead));
        match next {
            Some(kept) => {
                seat.at += 1;
                self.read_to = self.read_to.max(seat.at);
                NextEvent::Event(seat.at, kept.message.clone())
            }
            None if self.is_over && seat.at == end => NextEvent::Over,
            None => NextEvent::Wait,
        }
    }

    /// Whether an event may be added now, rather than when the reader has taken some.
    pub(crate) fn has_room(&self, most_bytes: usize) -> bool {
        let unread = self.protected();
        let bytes: usize = self.events.iter().rev().take(unread).map(|kept| kept.message.len()).sum();
        unread < MOST_UNREAD && bytes < most_bytes.max(1)
    }

    /// The reader takes nothing any more: nobody waits for it, and what it has not read is kept like everything else.
    pub(crate) fn give_up_reader(&mut self) {
        if let Some(seat) = &mut self.reader {
            seat.is_stalled = true;
        }
    }

    /// Drops the oldest events until the rest is within bounds. What a reader is about to get is not dropped.
    pub(crate) fn trim(&mut self, bounds: Bounds) {
        let protected = self.protected();
        while self.events.len() > protected {
            let within = self.events.len() <= bounds.events && self.bytes <= bounds.bytes;
            let Some(oldest) = self.events.front() else { return };
            if within && oldest.since >= bounds.since {
                return;
            }
            self.bytes -= oldest.message.len();
            self.events.pop_front();
            self.first += 1;
        }
    }

    /// How many of the newest events a reader is about to get.
    fn protected(&self) -> usize {
        let reading = self.reader.as_ref().filter(|seat| !seat.is_stalled);
        let unread = reading.map_or(0, |seat| self.end().saturating_sub(seat.at));
        usize::try_from(unread).unwrap_or(usize::MAX).min(self.events.len())
    }
}

#[cfg(test)]
mod tests;
