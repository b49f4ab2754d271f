//! Rates that replicas share: of each who is counted, when the next would come if all came evenly, in nanoseconds since 1970 by the
//! database's clock. A replica takes a few at a time, in one statement.

use std::time::Duration;

use crate::fault::StoreFault;
use crate::seal::turns::millis;
use crate::sql::{Row, cells};
use crate::store::Store;

/// For how long it is kept of somebody that it has come, beyond the time for which it counts.
const KEEP: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// What one takes.
    pub every: Duration,
    /// How far ahead of time they may come.
    pub slack: Duration,
    /// The most that are wanted now.
    pub most: u32,
}

/// What is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leased {
    /// So many.
    pub given: u32,
    /// If there are none, when there will be one.
    pub wait: Duration,
}

/// The time, in nanoseconds.
macro_rules! now {
    () => {
        "({now} * 1000000)"
    };
}

/// How far ahead of time the next is.
macro_rules! ahead {
    () => {
        concat!(
            "(CASE WHEN portolan_limit.next_at > ",
            now!(),
            " THEN portolan_limit.next_at - ",
            now!(),
            " ELSE 0 END)"
        )
    };
}

/// The same of a rate, of which it is never further than all that may come at once: where it is, the database's clock was set
/// back, and nobody is to wait until it is as late again. (Who has waited for another asks at an earlier time than was counted by,
/// which is no more than a moment.)
macro_rules! early {
    () => {
        concat!(
            "(CASE WHEN portolan_limit.next_at <= ",
            now!(),
            " THEN 0 WHEN portolan_limit.next_at - ",
            now!(),
            " > CAST($3 AS {integer}) + CAST($2 AS {integer}) + 1000000000",
            " THEN CAST($3 AS {integer}) + CAST($2 AS {integer}) ELSE portolan_limit.next_at - ",
            now!(),
            " END)"
        )
    };
}

/// How many there are for somebody who is known, from 0 on, and may be more than are wanted.
macro_rules! left {
    () => {
        concat!(
            "(CASE WHEN ",
            early!(),
            " > CAST($3 AS {integer}) THEN 0 ELSE (CAST($3 AS {integer}) - ",
            early!(),
            ") / CAST($2 AS {integer}) + 1 END)"
        )
    };
}

/// How many are given.
macro_rules! given {
    () => {
        concat!(
            "(CASE WHEN ",
            left!(),
            " < CAST($4 AS {integer}) THEN ",
            left!(),
            " ELSE CAST($4 AS {integer}) END)"
        )
    };
}

/// `$1` is who is counted, `$2` what one takes, `$3` how far ahead of time they may come, `$4` how many are wanted.
const LEASE: &str = concat!(
    "INSERT INTO portolan_limit (name, next_at, given, expires_at) VALUES (CAST($1 AS TEXT), ",
    now!(),
    " + CAST($4 AS {integer}) * CAST($2 AS {integer}), CAST($4 AS {integer}), {now} + CAST($5 AS {integer})) ",
    "ON CONFLICT (name) DO UPDATE SET next_at = ",
    now!(),
    " + ",
    early!(),
    " + ",
    given!(),
    " * CAST($2 AS {integer}), given = ",
    given!(),
    ", expires_at = excluded.expires_at RETURNING given, next_at - ",
    now!()
);

/// `$1` is who is counted, `$2` what it takes, `$3` for how long it is kept that the next is due, in milliseconds.
const CHARGE: &str = concat!(
    "INSERT INTO portolan_limit (name, next_at, given, expires_at) VALUES (CAST($1 AS TEXT), ",
    now!(),
    " + CAST($2 AS {integer}), 0, {now} + CAST($2 AS {integer}) / 1000000 + CAST($3 AS {integer})) ",
    "ON CONFLICT (name) DO UPDATE SET next_at = ",
    now!(),
    " + ",
    ahead!(),
    " + CAST($2 AS {integer}), expires_at = (",
    now!(),
    " + ",
    ahead!(),
    " + CAST($2 AS {integer})) / 1000000 + CAST($3 AS {integer}) RETURNING next_at - ",
    now!()
);

impl Store {
    /// Counts something of somebody in any case, by the time that it takes: how far ahead of time the next is then.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn charge(&self, name: &str, takes: Duration) -> Result<Duration, StoreFault> {
        let takes = i64::try_from(takes.as_nanos()).unwrap_or(i64::MAX).min(i64::MAX / 8);
        let mut row = self.one(CHARGE, cells![name, takes, millis(KEEP)]).await?;
        let ahead = row.as_mut().map_or(Ok(0), Row::integer)?;
        Ok(Duration::from_nanos(u64::try_from(ahead).unwrap_or(0)))
    }

    /// Takes a few of a rate, as far as there are any. `name` is who is counted. Replicas that ask at once are given them one after
    /// the other.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn lease(&self, name: &str, asked: Lease) -> Result<Leased, StoreFault> {
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX / 4);
        let (every, slack) = (nanos(asked.every).max(1), nanos(asked.slack));
        // Who is new may have no more at once than anybody.
        let most = i64::from(asked.most).min(slack / every + 1);
        let keep = millis(asked.slack.saturating_add(asked.every).saturating_add(KEEP));
        let mut row = self.one(LEASE, cells![name, every, slack, most, keep]).await?;
        let mut next = || row.as_mut().map_or(Ok(0), Row::integer);
        let (given, ahead) = (next()?, next()?);
        let wait = Duration::from_nanos(u64::try_from(ahead - slack).unwrap_or(0));
        Ok(Leased { given: u32::try_from(given).unwrap_or(0), wait })
    }
}
