//! What servers' tools were approved as, and what was seen of them since. Every process keeps a copy, and asks now and then whether
//! it is the last ([`Store::pins_mark`]). What the texts say is nothing to the store.

use crate::fault::StoreFault;
use crate::seal::turns::Millis;
use crate::sql::{Row, cells};
use crate::store::Store;

/// The most things that may wait of one server of which nothing is pinned: who lists others each time fills nothing.
pub const MOST_WAITING: usize = 2_000;
/// The most definitions that may wait of one thing that is pinned.
const MOST_OF_ONE: i64 = 8;
/// The most characters of definitions that may wait of one server: of what is seen beyond, the digest alone is kept.
pub const MOST_TEXT: usize = 16 * 1024 * 1024;

/// The pins of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPins {
    /// Counts the changes, from 1.
    pub version: i64,
    /// What is pinned.
    pub pins: String,
}

/// Something that was seen and is not pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWaiting {
    /// What kind of thing it is.
    pub kind: String,
    /// What it is kept under.
    pub name: String,
    /// Stands for its definition.
    pub digest: String,
    /// Its definition; empty where it was too much to keep.
    pub definition: String,
    /// What is not as it was pinned.
    pub why: String,
    /// When it was first seen, in milliseconds since 1970 by the database's clock; not looked at when one is added.
    pub seen_at: Millis,
}

/// What became of something that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It waits.
    New,
    /// It has waited before.
    Known,
    /// Too much waits already. Where something is pinned of that name, enough waits of it to hold it.
    Full,
}

/// Changes with the pins and with what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinsMark(i64);

impl Store {
    /// The pins of a server, if it has any.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn pins_of(&self, server: &str) -> Result<Option<StoredPins>, StoreFault> {
        let text = "SELECT version, pins FROM portolan_pins WHERE server = $1";
        let row = self.one(text, cells![server]).await?;
        row.map(|mut row| Ok(StoredPins { version: row.integer()?, pins: row.text()? })).transpose()
    }

    /// Puts the pins of a server in the place of those of a version; 0 where there are none yet. False if there are others by now.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn put_pins(&self, server: &str, version: i64, pins: &str) -> Result<bool, StoreFault> {
        let row = if version == 0 {
            let text = "INSERT INTO portolan_pins (server, version, pins, changed_at) VALUES ($1, 1, $2, {now}) \
                        ON CONFLICT (server) DO NOTHING RETURNING version";
            self.one(text, cells![server, pins]).await?
        } else {
            let text = "UPDATE portolan_pins SET version = version + 1, pins = $2, changed_at = {now} \
                        WHERE server = $1 AND version = CAST($3 AS {integer}) RETURNING version";
            self.one(text, cells![server, pins, version]).await?
        };
        self.pins_changed().await?;
        Ok(row.is_some())
    }

    /// What of a server waits, sorted.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn waiting_of(&self, server: &str) -> Result<Vec<StoredWaiting>, StoreFault> {
        let text = "SELECT kind, name, digest, definition, why, seen_at FROM portolan_pin_waiting \
                    WHERE server = $1 ORDER BY kind, name, seen_at, digest";
        self.query(text, cells![server]).await?.into_iter().map(waiting).collect()
    }

    /// Notes that something waits; `of_pinned` where something is pinned under its name.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn note_waiting(
        &self,
        server: &str,
        one: &StoredWaiting,
        of_pinned: bool,
    ) -> Result<Noted, StoreFault> {
        // SQLite wants a WHERE before ON CONFLICT, and this one has something to say.
        let text = "INSERT INTO portolan_pin_waiting (server, kind, name, digest, definition, why, of_pinned, seen_at) \
                    SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), \
                    CASE WHEN (SELECT COALESCE(SUM(LENGTH(definition)), 0) FROM portolan_pin_waiting WHERE server = $1) \
                    + LENGTH(CAST($5 AS TEXT)) <= CAST($9 AS {integer}) THEN CAST($5 AS TEXT) ELSE '' END, \
                    CAST($6 AS TEXT), CAST($7 AS {integer}), {now} \
                    WHERE (CAST($7 AS {integer}) = 1 AND (SELECT COUNT(*) FROM portolan_pin_waiting \
                    WHERE server = $1 AND kind = $2 AND name = $3) < CAST($10 AS {integer})) \
                    OR (CAST($7 AS {integer}) = 0 AND (SELECT COUNT(*) FROM portolan_pin_waiting \
                    WHERE server = $1 AND of_pinned = 0) < CAST($8 AS {integer})) \
                    ON CONFLICT (server, kind, name, digest) DO NOTHING RETURNING name";
        let most = i64::try_from(MOST_WAITING).unwrap_or(i64::MAX);
        let most_text = i64::try_from(MOST_TEXT).unwrap_or(i64::MAX);
        let StoredWaiting { kind, name, digest, definition, why, .. } = one;
        let (kind, name, digest) = (kind.as_str(), name.as_str(), digest.as_str());
        let parameters = cells![
            server,
            kind,
            name,
            digest,
            definition.as_str(),
            why.as_str(),
            i64::from(of_pinned),
            most,
            most_text,
            MOST_OF_ONE
        ];
        if self.one(text, parameters).await?.is_none() {
            let text = "SELECT digest FROM portolan_pin_waiting \
                        WHERE server = $1 AND kind = $2 AND name = $3 AND digest = $4";
            if self.one(text, cells![server, kind, name, digest]).await?.is_none() {
                return Ok(Noted::Full);
            }
            // Whoever has noted it may not have come as far as saying so.
            self.pins_changed().await?;
            return Ok(Noted::Known);
        }
        // What is new is held by everybody anyway, so nobody need hear of each name that a server makes up.
        if of_pinned {
            self.pins_changed().await?;
        }
        Ok(Noted::New)
    }

    /// Forgets what waits of a thing, or one definition of it, because somebody has said what it may be. Gives how much.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn settle_waiting(
        &self,
        server: &str,
        (kind, name): (&str, &str),
        digest: Option<&str>,
    ) -> Result<usize, StoreFault> {
        let text = "DELETE FROM portolan_pin_waiting WHERE server = $1 AND kind = $2 AND name = $3 \
                    AND (CAST($4 AS TEXT) = '' OR digest = CAST($4 AS TEXT)) RETURNING digest";
        let parameters = cells![server, kind, name, digest.unwrap_or_default()];
        let count = self.query(text, parameters).await?.len();
        // Also where nothing was left to forget: who has done so may not have come as far as saying so.
        self.pins_changed().await?;
        Ok(count)
    }

    /// What differs when the pins of any server may, or what waits of it. It is read before them, so that no change is missed.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn pins_mark(&self) -> Result<PinsMark, StoreFault> {
        let text = "SELECT COALESCE(MAX(version), 0) FROM portolan_change WHERE what = 'pin'";
        let row = self.one(text, Vec::new()).await?;
        row.map_or(Ok(PinsMark(0)), |mut row| Ok(PinsMark(row.integer()?)))
    }

    /// After each change: should this fail, whoever has asked for the change hears so, and asks again; and it is said again, though
    /// there is nothing left to change.
    async fn pins_changed(&self) -> Result<(), StoreFault> {
        let text = "INSERT INTO portolan_change (what, version) VALUES ('pin', 1) \
                    ON CONFLICT (what) DO UPDATE SET version = portolan_change.version + 1 RETURNING version";
        self.one(text, Vec::new()).await.map(drop)
    }
}

fn waiting(mut row: Row) -> Result<StoredWaiting, StoreFault> {
    Ok(StoredWaiting {
        kind: row.text()?,
        name: row.text()?,
        digest: row.text()?,
        definition: row.text()?,
        why: row.text()?,
        seen_at: row.integer()?,
    })
}
