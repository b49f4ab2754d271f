//! What ledgers have signed, kept where those who can write their files cannot. What a checkpoint says is nothing to the store.

use std::time::Duration;

use crate::fault::StoreFault;
use crate::seal::turns::{Millis, millis};
use crate::sql::{Row, cells};
use crate::store::Store;

/// A checkpoint of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Whose chain it is in.
    pub replica: String,
    /// Its place there.
    pub seq: i64,
    /// Its line.
    pub line: String,
}

impl Store {
    /// Keeps a checkpoint. Of several for one place the first stays: whoever writes a chain anew does not change what was seen.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn keep_checkpoint(&self, replica: &str, seq: i64, line: &str) -> Result<(), StoreFault> {
        let text = "INSERT INTO portolan_checkpoint (replica, seq, line, kept_at) \
                    VALUES ($1, CAST($2 AS {integer}), $3, {now}) ON CONFLICT (replica, seq) DO NOTHING";
        self.query(text, cells![replica, seq, line]).await.map(drop)
    }

    /// The place of the last one of a replica.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn last_checkpoint(&self, replica: &str) -> Result<Option<i64>, StoreFault> {
        let text = "SELECT seq FROM portolan_checkpoint WHERE replica = $1 ORDER BY seq DESC LIMIT 1";
        self.one(text, cells![replica]).await?.map(|mut row| row.integer()).transpose()
    }

    /// What time the database has: who compares a ledger looks at what was kept before.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn checkpoints_time(&self) -> Result<Millis, StoreFault> {
        let row = self.one("SELECT {now}", Vec::new()).await?;
        row.map_or(Ok(0), |mut row| row.integer())
    }

    /// Those that were kept before a time, by replica and place, behind one of them: at most so many.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn checkpoints(
        &self,
        before: Millis,
        (replica, seq): (&str, i64),
        most: usize,
    ) -> Result<Vec<StoredCheckpoint>, StoreFault> {
        let text = "SELECT replica, seq, line FROM portolan_checkpoint WHERE kept_at < CAST($1 AS {integer}) \
                    AND (replica > $2 OR (replica = $2 AND seq > CAST($3 AS {integer}))) \
                    ORDER BY replica, seq LIMIT CAST($4 AS {integer})";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.query(text, cells![before, replica, seq, most]).await?;
        let checkpoint = |mut row: Row| {
            Ok(StoredCheckpoint { replica: row.text()?, seq: row.integer()?, line: row.text()? })
        };
        rows.into_iter().map(checkpoint).collect()
    }

    /// Forgets those of a replica that were kept longer ago than that, but never the last one: it says where the chain ends at least, however
    /// long ago it did.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn forget_checkpoints(&self, replica: &str, age: Duration) -> Result<(), StoreFault> {
        let text = "DELETE FROM portolan_checkpoint WHERE replica = $1 AND kept_at < {now} - CAST($2 AS {integer}) \
                    AND seq < (SELECT MAX(seq) FROM portolan_checkpoint WHERE replica = $1)";
        self.query(text, cells![replica, millis(age)]).await.map(drop)
    }
}
