//! Recorded streams: numbered events of which the last ones are kept, for readers that come back.
//!
//! A reader hears everything after what it had, once and in order, or that something is lost. Who writes a stream numbers
//! its events from 1 without gaps, so a gap is a loss.

use std::time::Duration;

use crate::fault::StoreFault;
use crate::seal::turns::millis;
use crate::sql::{Row, cells};
use crate::store::Store;

/// How much of a stream is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The most events.
    pub events: usize,
    /// The most bytes, of all events together. The last event is kept in any case.
    pub bytes: usize,
    /// How long each event is kept.
    pub time: Duration,
}

/// An event and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The first has 1.
    pub sequence: i64,
    /// What it says.
    pub value: Vec<u8>,
}

/// What comes after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Events {
    /// These, perhaps none yet, perhaps not all yet; and whether the stream ends with the last of them.
    Next {
        /// What comes next.
        events: Vec<Event>,
        /// Whether nothing comes after these, ever.
        ended: bool,
    },
    /// Nobody knows: some of what came after it is not kept any more, or nothing of that stream is.
    Lost,
}

/// What became of an event that was to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is recorded.
    Yes,
    /// One with that number is there already: that of an earlier try, or of somebody else who writes the same stream.
    Already,
    /// The stream has ended.
    Ended,
}

impl Store {
    /// Records an event.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn append(&self, stream: &str, event: &Event, kept: Kept) -> Result<Appended, StoreFault> {
        let appended = self.record(stream, event, false, kept).await?;
        if appended == Appended::Yes {
            self.trim(stream, kept).await?;
        }
        Ok(appended)
    }

    /// Records the end of a stream behind its last event, whose number is given; 0 if there is none.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn end_stream(&self, stream: &str, last: i64, kept: Kept) -> Result<Appended, StoreFault> {
        self.record(stream, &Event { sequence: last + 1, value: Vec::new() }, true, kept).await
    }

    async fn record(
        &self,
        stream: &str,
        event: &Event,
        ends: bool,
        kept: Kept,
    ) -> Result<Appended, StoreFault> {
        let text = "INSERT INTO portolan_event (stream, sequence, value, size, ends, expires_at) \
                    SELECT $1, CAST($2 AS {integer}), CAST($3 AS {bytes}), CAST($4 AS {integer}), \
                    CAST($5 AS {integer}), {now} + CAST($6 AS {integer}) \
                    WHERE NOT EXISTS (SELECT 1 FROM portolan_event WHERE stream = $1 AND ends = 1) \
                    ON CONFLICT (stream, sequence) DO NOTHING RETURNING sequence";
        let size = i64::try_from(event.value.len()).unwrap_or(i64::MAX);
        let value = event.value.as_slice();
        let parameters = cells![stream, event.sequence, value, size, i64::from(ends), millis(kept.time)];
        if self.one(text, parameters).await?.is_some() {
            return Ok(Appended::Yes);
        }
        let text = "SELECT ends FROM portolan_event WHERE stream = $1 AND sequence = $2";
        let there = self.one(text, cells![stream, event.sequence]).await?;
        let is_the_same = there.map(|mut row| Ok::<_, StoreFault>(row.flag()? == ends)).transpose()?;
        Ok(if is_the_same == Some(true) { Appended::Already } else { Appended::Ended })
    }

    /// Drops what is over the bounds. Not in one with the append: until then there is one event too many.
    async fn trim(&self, stream: &str, kept: Kept) -> Result<(), StoreFault> {
        let text = "DELETE FROM portolan_event WHERE stream = $1 AND sequence IN (SELECT sequence FROM \
                    (SELECT sequence, ROW_NUMBER() OVER latest AS place, SUM(size) OVER latest AS total \
                    FROM portolan_event WHERE stream = $1 WINDOW latest AS (ORDER BY sequence DESC)) AS counted \
                    WHERE place > 1 AND (place > CAST($2 AS {integer}) OR total > CAST($3 AS {integer})))";
        let most = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.query(text, cells![stream, most(kept.events), most(kept.bytes)]).await.map(drop)
    }

    /// What comes after the event with this number; 0 for the beginning. At most `most` events.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn events_after(&self, stream: &str, after: i64, most: usize) -> Result<Events, StoreFault> {
        // The event itself is asked for, too: if neither it nor its successor is there, something is lost.
        let text = "SELECT sequence, ends, value FROM portolan_event WHERE stream = $1 AND sequence >= $2 \
                    AND expires_at > {now} ORDER BY sequence LIMIT $3";
        let limit = i64::try_from(most).unwrap_or(i64::MAX - 1).saturating_add(1);
        let rows = self.query(text, cells![stream, after, limit]).await?;
        follow(rows, after, most)
    }

    /// Forgets a stream.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn forget_stream(&self, stream: &str) -> Result<(), StoreFault> {
        self.query("DELETE FROM portolan_event WHERE stream = $1", cells![stream]).await.map(drop)
    }
}

fn follow(rows: Vec<Row>, after: i64, most: usize) -> Result<Events, StoreFault> {
    let (mut events, mut ended, mut next) = (Vec::new(), false, None);
    for mut row in rows {
        let (sequence, ends) = (row.integer()?, row.flag()?);
        if sequence != next.unwrap_or(if sequence == after { after } else { after + 1 }) {
            return Ok(Events::Lost);
        }
        next = Some(sequence + 1);
        ended |= ends;
        if sequence > after && !ends && events.len() < most {
            events.push(Event { sequence, value: row.bytes()? });
        }
    }
    // A stream of which there is nothing is one that nobody knows.
    Ok(if next.is_some() { Events::Next { events, ended } } else { Events::Lost })
}
