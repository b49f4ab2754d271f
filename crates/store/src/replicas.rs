//! Who is there. A replica lives as long as its last heartbeat is younger than the lease, by the database's clock: the
//! clocks of many machines differ, and one that is an hour ahead would otherwise bury all others.

use std::time::Duration;

use crate::fault::StoreFault;
use crate::seal::turns::{Millis, millis};
use crate::sql::{Row, cells};
use crate::store::Store;

/// What a replica says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its id: no two processes, and no two runs of one, have the same.
    pub id: String,
    /// Which version of the program it runs.
    pub version: String,
    /// Where other replicas reach it, if anywhere.
    pub forward: Option<String>,
    /// What else it says, for people and other replicas.
    pub facts: String,
}

/// A replica that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// What it says of itself.
    pub said: Registration,
    /// When it registered.
    pub started_at: Millis,
    /// How long ago it registered.
    pub age: Duration,
    /// How long ago its last heartbeat was.
    pub silent: Duration,
    /// Whether it has been asked to drain.
    pub draining: bool,
}

/// What a replica learns from its heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// It lives.
    Alive,
    /// Somebody asks it to drain.
    Drain,
    /// It was silent for so long that it was taken for dead. It is to register again, under another id: what it held under
    /// this one may be another's.
    Forgotten,
}

impl Store {
    /// Registers a replica, or replaces what it said of itself.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn register(&self, replica: &Registration) -> Result<(), StoreFault> {
        let text = "INSERT INTO portolan_replica (id, started_at, beat_at, version, forward, facts, draining) \
                    VALUES ($1, {now}, {now}, $2, $3, $4, 0) ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at, \
                    version = excluded.version, forward = excluded.forward, facts = excluded.facts";
        let forward = replica.forward.as_deref();
        let parameters =
            cells![replica.id.as_str(), replica.version.as_str(), forward, replica.facts.as_str()];
        self.query(text, parameters).await.map(drop)
    }

    /// A sign of life, and what the replica says of itself now. One that comes later than the lease is no sign of life any
    /// more: others may have taken over what the replica held.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn beat(&self, id: &str, facts: &str, lease: Duration) -> Result<Beat, StoreFault> {
        let text = "UPDATE portolan_replica SET beat_at = {now}, facts = $2 \
                    WHERE id = $1 AND beat_at > {now} - CAST($3 AS {integer}) RETURNING draining";
        Ok(match self.one(text, cells![id, facts, millis(lease)]).await? {
            None => Beat::Forgotten,
            Some(mut row) => {
                if row.flag()? {
                    Beat::Drain
                } else {
                    Beat::Alive
                }
            }
        })
    }

    /// Those that gave a sign of life within the lease, the eldest first.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn living(&self, lease: Duration) -> Result<Vec<Replica>, StoreFault> {
        let text = "SELECT id, version, COALESCE(forward, ''), facts, started_at, {now} - started_at, {now} - beat_at, \
                    draining FROM portolan_replica WHERE beat_at > {now} - CAST($1 AS {integer}) ORDER BY started_at, id";
        self.query(text, cells![millis(lease)]).await?.into_iter().map(replica).collect()
    }

    /// Asks a replica to drain; it hears so at its next heartbeat. False if nobody knows it.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn ask_to_drain(&self, id: &str) -> Result<bool, StoreFault> {
        let text = "UPDATE portolan_replica SET draining = 1 WHERE id = $1 RETURNING draining";
        Ok(self.one(text, cells![id]).await?.is_some())
    }

    /// Takes a replica for dead before its lease is over, because nobody listens where it was and it has been silent for
    /// `silent`. False if it has given a sign of life since, or is not known.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn bury(&self, id: &str, silent: Duration) -> Result<bool, StoreFault> {
        let text = "DELETE FROM portolan_replica WHERE id = $1 AND beat_at <= {now} - CAST($2 AS {integer}) RETURNING id";
        Ok(self.one(text, cells![id, millis(silent)]).await?.is_some())
    }

    /// A replica says good-bye.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn leave(&self, id: &str) -> Result<(), StoreFault> {
        self.query("DELETE FROM portolan_replica WHERE id = $1", cells![id]).await.map(drop)
    }
}

fn replica(mut row: Row) -> Result<Replica, StoreFault> {
    let said = Registration {
        id: row.text()?,
        version: row.text()?,
        forward: Some(row.text()?).filter(|forward| !forward.is_empty()),
        facts: row.text()?,
    };
    let started_at = row.integer()?;
    // A database's clock may be set back.
    let ago = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    let (age, silent) = (ago(row.integer()?), ago(row.integer()?));
    Ok(Replica { said, started_at, age, silent, draining: row.flag()? })
}
