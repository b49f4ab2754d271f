//! Which key does what, and when.
//!
//! Keys take turns. A new one is first known (it *comes*: it opens, so that whoever has heard of it earlier may already
//! seal with it), then it seals, and when a later one seals it only opens, until the last token that it sealed has expired;
//! then it is retired. All of that is a pure function of the turns and the time, so replicas that read the same turns agree
//! without speaking to each other. Turns are never changed, only added, and dropped when they are retired.

use std::time::Duration;

use super::key::{Key, KeyId};
use super::ring::Ring;

/// Milliseconds since 1970 by the clock of who keeps the turns: a store's, or this machine's for a file.
pub type Millis = i64;

/// How often a replica looks for new turns.
pub const REFRESH: Duration = Duration::from_secs(10);

/// How long after it is known a new key seals, if nobody says otherwise: several times [`REFRESH`], so that every replica
/// that is not cut off has heard of it.
pub const LEAD: Duration = Duration::from_secs(60);

/// One key's turn.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Later keys have greater numbers.
    pub number: i64,
    /// The key.
    pub key: Key,
    /// When it was made; `None` for keys of before this was kept.
    pub made_at: Option<Millis>,
    /// From when on it seals.
    pub seals_from: Millis,
    /// Until when earlier keys open.
    pub earlier_until: Millis,
}

/// How a new key is brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// How long it is known before it seals.
    pub lead: Duration,
    /// The longest time for which a token is sealed: for that long earlier keys open after the new one has begun to seal.
    pub longest: Duration,
}

impl Rotation {
    /// The new key seals at once, and what earlier keys sealed is worthless: for a key that has become known to others.
    pub const REVOKE: Self = Self { lead: Duration::ZERO, longest: Duration::ZERO };

    /// The times of a turn that begins at `now`: when its key seals, and until when earlier ones open.
    #[must_use]
    pub fn times(self, now: Millis) -> (Millis, Millis) {
        let seals_from = now.saturating_add(millis(self.lead));
        // Who has not heard yet may seal with the old key for a lead's time more.
        (seals_from, seals_from.saturating_add(millis(self.longest)).saturating_add(millis(self.lead)))
    }
}

/// What a key does at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It opens, and will seal.
    Coming,
    /// It seals and opens.
    Sealing,
    /// It opens what it has sealed.
    Opening,
    /// Everything that it has sealed has expired, or was revoked.
    Retired,
}

impl KeyState {
    /// One word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coming => "coming",
            Self::Sealing => "sealing",
            Self::Opening => "opening",
            Self::Retired => "retired",
        }
    }
}

/// What may be shown of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its number.
    pub number: i64,
    /// Which one it is.
    pub id: KeyId,
    /// What it does.
    pub state: KeyState,
    /// When it was made, if that is known.
    pub made_at: Option<Millis>,
    /// From when on it seals, or sealed.
    pub seals_from: Millis,
    /// When it retires, if that is settled.
    pub opens_until: Option<Millis>,
}

/// What each key does at `now`, the latest first.
#[must_use]
pub fn facts(turns: &[Turn], now: Millis) -> Vec<KeyFacts> {
    let mut sorted: Vec<&Turn> = turns.iter().collect();
    sorted.sort_by_key(|turn| std::cmp::Reverse(turn.number));
    // If the clock says that no key seals yet, the earliest one does: it is the one that everybody knows.
    let sealing =
        sorted.iter().find(|turn| turn.seals_from <= now).or_else(|| sorted.last()).map(|turn| turn.number);
    // Until when every key that is earlier than those seen so far opens.
    let mut until: Option<Millis> = None;
    let mut found = Vec::with_capacity(sorted.len());
    for turn in sorted {
        let state = match until {
            _ if Some(turn.number) == sealing => KeyState::Sealing,
            Some(until) if until <= now => KeyState::Retired,
            _ if Some(turn.number) > sealing => KeyState::Coming,
            _ => KeyState::Opening,
        };
        found.push(KeyFacts {
            number: turn.number,
            id: turn.key.id(),
            state,
            made_at: turn.made_at,
            seals_from: turn.seals_from,
            opens_until: until,
        });
        // Never before a later key seals, or nobody could.
        let earlier_until = turn.earlier_until.max(turn.seals_from);
        until = Some(until.map_or(earlier_until, |until| until.min(earlier_until)));
    }
    found
}

/// The keys of `now`. None if there are none at all.
#[must_use]
pub fn ring(turns: &[Turn], now: Millis) -> Option<Ring> {
    let facts = facts(turns, now);
    let key = |number: i64| turns.iter().find(|turn| turn.number == number).map(|turn| &turn.key);
    let sealing = facts.iter().find(|fact| fact.state == KeyState::Sealing)?;
    let mut ring = Ring::of(key(sealing.number)?);
    for fact in &facts {
        if matches!(fact.state, KeyState::Coming | KeyState::Opening)
            && let Some(key) = key(fact.number)
        {
            ring = ring.and_opens(key);
        }
    }
    Some(ring)
}

pub(crate) fn millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
