//! What replicas must agree on about a session. A session has no row until something of it must be remembered: its id, which
//! is sealed, says the rest.
//!
//! Where two replicas may race, a change says what it was made of: a fact that somebody else has changed in the meantime is
//! left as it is, and the loser hears so.

use std::time::Duration;

use aws_lc_rs::rand;

use crate::fault::StoreFault;
use crate::seal::turns::millis;
use crate::sql::cells;
use crate::store::Store;

/// Which state of a fact it is. No two states have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(i64);

impl Version {
    fn new() -> Result<Self, StoreFault> {
        let mut bytes = [0; 8];
        rand::fill(&mut bytes).map_err(|_unspecified| StoreFault::Broken("no random numbers".to_owned()))?;
        Ok(Self(i64::from_be_bytes(bytes)))
    }
}

/// A small fact about a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Which state of it this is.
    pub version: Version,
    /// What it says.
    pub value: Vec<u8>,
}

/// What must be so for a fact to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum If {
    /// Nothing.
    Any,
    /// It is not there.
    Absent,
    /// It is as it was.
    Is(Version),
}

/// The condition that a session has not ended. `$1` is its id.
macro_rules! unless_ended {
    () => {
        "NOT EXISTS (SELECT 1 FROM portolan_ended WHERE session = $1 AND expires_at > {now})"
    };
}

impl Store {
    /// Ends a session everywhere. It is remembered for `keep`, which must be as long as its id is good.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn end_session(&self, session: &str, keep: Duration) -> Result<(), StoreFault> {
        let text = "INSERT INTO portolan_ended (session, expires_at) VALUES ($1, {now} + CAST($2 AS {integer})) \
                    ON CONFLICT (session) DO UPDATE SET expires_at = excluded.expires_at \
                    WHERE excluded.expires_at > portolan_ended.expires_at";
        self.query(text, cells![session, millis(keep)]).await?;
        // Nobody sees these any more; that they go with it only saves room.
        for text in
            ["DELETE FROM portolan_fact WHERE session = $1", "DELETE FROM portolan_hold WHERE session = $1"]
        {
            self.query(text, cells![session]).await?;
        }
        Ok(())
    }

    /// Whether it was ended.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn session_ended(&self, session: &str) -> Result<bool, StoreFault> {
        let text = "SELECT expires_at FROM portolan_ended WHERE session = $1 AND expires_at > {now}";
        Ok(self.one(text, cells![session]).await?.is_some())
    }

    /// Remembers a fact for `keep`. None if what must be so is not, or the session has ended.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn put_fact(
        &self,
        (session, name): (&str, &str),
        value: &[u8],
        keep: Duration,
        only_if: If,
    ) -> Result<Option<Version>, StoreFault> {
        let version = Version::new()?;
        let mut parameters = cells![session, name, version.0, value, millis(keep)];
        let text = match only_if {
            If::Any => concat!(
                "INSERT INTO portolan_fact (session, name, version, value, expires_at) \
                 SELECT $1, $2, CAST($3 AS {integer}), CAST($4 AS {bytes}), {now} + CAST($5 AS {integer}) WHERE ",
                unless_ended!(),
                " ON CONFLICT (session, name) DO UPDATE SET version = excluded.version, value = excluded.value, \
                 expires_at = excluded.expires_at RETURNING version"
            ),
            If::Absent => concat!(
                "INSERT INTO portolan_fact (session, name, version, value, expires_at) \
                 SELECT $1, $2, CAST($3 AS {integer}), CAST($4 AS {bytes}), {now} + CAST($5 AS {integer}) WHERE ",
                unless_ended!(),
                " ON CONFLICT (session, name) DO UPDATE SET version = excluded.version, value = excluded.value, \
                 expires_at = excluded.expires_at WHERE portolan_fact.expires_at <= {now} RETURNING version"
            ),
            If::Is(Version(before)) => {
                parameters.push(before.into());
                concat!(
                    "UPDATE portolan_fact SET version = $3, value = $4, expires_at = {now} + CAST($5 AS {integer}) \
                     WHERE session = $1 AND name = $2 AND version = $6 AND expires_at > {now} AND ",
                    unless_ended!(),
                    " RETURNING version"
                )
            }
        };
        Ok(self.one(text, parameters).await?.map(|_row| version))
    }

    /// A fact, if it is there and the session has not ended.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn fact(&self, (session, name): (&str, &str)) -> Result<Option<Fact>, StoreFault> {
        let text = concat!(
            "SELECT version, value FROM portolan_fact WHERE session = $1 AND name = $2 AND expires_at > {now} AND ",
            unless_ended!()
        );
        let row = self.one(text, cells![session, name]).await?;
        row.map(|mut row| Ok(Fact { version: Version(row.integer()?), value: row.bytes()? })).transpose()
    }

    /// All facts of a session with their names, unless it has ended.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn facts(&self, session: &str) -> Result<Vec<(String, Fact)>, StoreFault> {
        let text = concat!(
            "SELECT name, version, value FROM portolan_fact WHERE session = $1 AND expires_at > {now} AND ",
            unless_ended!(),
            " ORDER BY name"
        );
        let rows = self.query(text, cells![session]).await?;
        rows.into_iter()
            .map(|mut row| Ok((row.text()?, Fact { version: Version(row.integer()?), value: row.bytes()? })))
            .collect()
    }

    /// Forgets a fact. False if it is not there, or is another than it was.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn forget_fact(
        &self,
        (session, name): (&str, &str),
        version: Version,
    ) -> Result<bool, StoreFault> {
        let text =
            "DELETE FROM portolan_fact WHERE session = $1 AND name = $2 AND version = $3 RETURNING version";
        Ok(self.one(text, cells![session, name, version.0]).await?.is_some())
    }

    /// Makes a replica the holder of a session for `keep`, or keeps it so. It stays another's as long as that one lives by
    /// the lease. Gives who holds it then: `replica`, or another; None if the session has ended.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn hold_session(
        &self,
        session: &str,
        replica: &str,
        keep: Duration,
        lease: Duration,
    ) -> Result<Option<String>, StoreFault> {
        let text = concat!(
            "INSERT INTO portolan_hold (session, replica, expires_at) \
             SELECT $1, $2, {now} + CAST($3 AS {integer}) WHERE ",
            unless_ended!(),
            " ON CONFLICT (session) DO UPDATE SET replica = excluded.replica, expires_at = excluded.expires_at \
             WHERE portolan_hold.replica = excluded.replica OR portolan_hold.expires_at <= {now} OR NOT EXISTS \
             (SELECT 1 FROM portolan_replica WHERE id = portolan_hold.replica \
             AND beat_at > {now} - CAST($4 AS {integer})) RETURNING replica"
        );
        let parameters = cells![session, replica, millis(keep), millis(lease)];
        match self.one(text, parameters).await? {
            Some(mut row) => row.text().map(Some),
            None => self.holder(session).await,
        }
    }

    /// Which replica holds a session, be it alive or not. None if none does, or the session has ended.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn holder(&self, session: &str) -> Result<Option<String>, StoreFault> {
        let text = concat!(
            "SELECT replica FROM portolan_hold WHERE session = $1 AND expires_at > {now} AND ",
            unless_ended!()
        );
        self.one(text, cells![session]).await?.map(|mut row| row.text()).transpose()
    }

    /// A replica holds a session no longer. False if it did not.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn release_session(&self, session: &str, replica: &str) -> Result<bool, StoreFault> {
        let text = "DELETE FROM portolan_hold WHERE session = $1 AND replica = $2 RETURNING replica";
        Ok(self.one(text, cells![session, replica]).await?.is_some())
    }
}
