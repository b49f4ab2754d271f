//! Deletes what has expired. What has expired is never seen, so this only keeps the store small; any replica may do it at
//! any time, and all of them at once.

use std::time::Duration;

use crate::fault::StoreFault;
use crate::seal::turns::millis;
use crate::sql::cells;
use crate::store::Store;

/// What is deleted of each table, at most `$1` rows.
const EXPIRED: &[&str] = &[
    "DELETE FROM portolan_event WHERE (stream, sequence) IN (SELECT stream, sequence FROM portolan_event \
     WHERE expires_at <= {now} ORDER BY expires_at LIMIT $1) RETURNING sequence",
    "DELETE FROM portolan_fact WHERE (session, name) IN (SELECT session, name FROM portolan_fact WHERE expires_at <= {now} \
     ORDER BY expires_at LIMIT $1) RETURNING version",
    "DELETE FROM portolan_hold WHERE session IN (SELECT session FROM portolan_hold WHERE expires_at <= {now} \
     ORDER BY expires_at LIMIT $1) RETURNING session",
    "DELETE FROM portolan_ended WHERE session IN (SELECT session FROM portolan_ended WHERE expires_at <= {now} \
     ORDER BY expires_at LIMIT $1) RETURNING session",
    "DELETE FROM portolan_api_key WHERE digest IN (SELECT digest FROM portolan_api_key WHERE expires_at <= {now} \
     ORDER BY expires_at LIMIT $1) RETURNING id",
    "DELETE FROM portolan_revocation WHERE (issuer, kind, name) IN (SELECT issuer, kind, name FROM portolan_revocation \
     WHERE expires_at <= {now} ORDER BY expires_at LIMIT $1) RETURNING name",
    "DELETE FROM portolan_approval WHERE id IN (SELECT id FROM portolan_approval WHERE forgotten_at <= {now} \
     ORDER BY forgotten_at LIMIT $1) RETURNING id",
    "DELETE FROM portolan_limit WHERE name IN (SELECT name FROM portolan_limit WHERE expires_at <= {now} \
     ORDER BY expires_at LIMIT $1) RETURNING name",
];

impl Store {
    /// Deletes what has expired, at most `most` rows of a kind, and replicas that have been silent for `buried`. Gives how
    /// many rows; if it is `most` or more, there may be more.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn sweep(&self, most: usize, buried: Duration) -> Result<usize, StoreFault> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut count = 0;
        for text in EXPIRED {
            count += self.query(text, cells![most]).await?.len();
        }
        let text = "DELETE FROM portolan_replica WHERE beat_at <= {now} - CAST($1 AS {integer}) RETURNING id";
        count += self.query(text, cells![millis(buried)]).await?.len();
        Ok(count)
    }
}
