//! Tokens that are not good any more before they expire. Every process keeps a copy, and asks now and then whether it is the
//! last ([`Store::revocations_mark`]).

use std::time::Duration;

use crate::fault::StoreFault;
use crate::seal::turns::{Millis, millis};
use crate::sql::{Row, cells};
use crate::store::Store;

/// The most that there may be, so that a copy of all is small. There are other ways to refuse so many tokens.
pub const MOST_REVOCATIONS: usize = 10_000;
/// Who vouches for keys of Portolan's own: no issuer, whose names are URLs.
pub const API_KEYS: &str = "api-key";
/// How long it is known that a key was taken back: what was opened with it has ended long before.
const KEY_REVOKED: Duration = Duration::from_secs(24 * 3600);

/// What is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// The token of that name.
    Token,
    /// All tokens of that subject that were issued before.
    Subject,
}

/// That something is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Who vouches for it: `iss` of its tokens.
    pub issuer: String,
    /// What.
    pub what: Revoked,
    /// Which: the token's `jti`, or the subject.
    pub name: String,
    /// Since when, in milliseconds since 1970 by the database's clock.
    pub revoked_at: Millis,
    /// When it is forgotten, likewise.
    pub expires_at: Millis,
}

/// Changes with the revocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationsMark {
    version: i64,
    count: i64,
}

impl Revoked {
    fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Subject => "subject",
        }
    }
}

impl Store {
    /// Revokes something now, or anew if it was. It is forgotten after `keep`. False if there are too many already.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn revoke(
        &self,
        issuer: &str,
        (what, name): (Revoked, &str),
        keep: Duration,
    ) -> Result<bool, StoreFault> {
        // Keys that were taken back are forgotten soon, and leave no less room for what an operator revokes.
        // SQLite wants a WHERE before ON CONFLICT, and this one has something to say.
        let text = "INSERT INTO portolan_revocation (issuer, kind, name, revoked_at, expires_at) \
                    SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), {now}, {now} + CAST($4 AS {integer}) \
                    WHERE (SELECT COUNT(*) FROM portolan_revocation WHERE expires_at > {now} AND issuer <> CAST($6 AS TEXT)) < CAST($5 AS {integer}) \
                    OR EXISTS (SELECT 1 FROM portolan_revocation WHERE issuer = $1 AND kind = $2 AND name = $3) \
                    ON CONFLICT (issuer, kind, name) DO UPDATE \
                    SET revoked_at = excluded.revoked_at, expires_at = excluded.expires_at RETURNING name";
        let most = i64::try_from(MOST_REVOCATIONS).unwrap_or(i64::MAX);
        let parameters = cells![issuer, what.word(), name, millis(keep), most, API_KEYS];
        let is_there = self.one(text, parameters).await?.is_some();
        self.revocations_changed().await?;
        Ok(is_there)
    }

    /// Revokes it no longer. False if it was not revoked.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn allow(&self, issuer: &str, (what, name): (Revoked, &str)) -> Result<bool, StoreFault> {
        let text =
            "DELETE FROM portolan_revocation WHERE issuer = $1 AND kind = $2 AND name = $3 RETURNING name";
        let was = self.one(text, cells![issuer, what.word(), name]).await?.is_some();
        self.revocations_changed().await?;
        Ok(was)
    }

    /// All that is revoked, the oldest first.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn revocations(&self) -> Result<Vec<Revocation>, StoreFault> {
        let text = "SELECT issuer, kind, name, revoked_at, expires_at FROM portolan_revocation \
                    WHERE expires_at > {now} ORDER BY revoked_at, issuer, name";
        self.query(text, Vec::new()).await?.into_iter().map(revocation).collect()
    }

    /// What differs when [`Self::revocations`] may. It is read before them, so that no change is missed.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn revocations_mark(&self) -> Result<RevocationsMark, StoreFault> {
        let text = "SELECT (SELECT COALESCE(MAX(version), 0) FROM portolan_change WHERE what = 'revocation'), \
                    (SELECT COUNT(*) FROM portolan_revocation WHERE expires_at > {now})";
        let mut row = self.one(text, Vec::new()).await?;
        let mut next = || row.as_mut().map_or(Ok(0), Row::integer);
        Ok(RevocationsMark { version: next()?, count: next()? })
    }

    /// Notes that the key of that id is taken back, for those who let somebody in by it before. False if there is none.
    pub(crate) async fn key_revoked(&self, id: &str) -> Result<bool, StoreFault> {
        let text = "INSERT INTO portolan_revocation (issuer, kind, name, revoked_at, expires_at) \
                    SELECT CAST($1 AS TEXT), 'token', id, {now}, {now} + CAST($3 AS {integer}) \
                    FROM portolan_api_key WHERE id = $2 \
                    ON CONFLICT (issuer, kind, name) DO UPDATE SET expires_at = excluded.expires_at RETURNING name";
        let is_there = self.one(text, cells![API_KEYS, id, millis(KEY_REVOKED)]).await?.is_some();
        if is_there {
            self.revocations_changed().await?;
        }
        Ok(is_there)
    }

    /// After each change: should this fail, whoever has asked for the change hears so, and asks again.
    async fn revocations_changed(&self) -> Result<(), StoreFault> {
        let text = "INSERT INTO portolan_change (what, version) VALUES ('revocation', 1) \
                    ON CONFLICT (what) DO UPDATE SET version = portolan_change.version + 1 RETURNING version";
        self.one(text, Vec::new()).await.map(drop)
    }
}

fn revocation(mut row: Row) -> Result<Revocation, StoreFault> {
    Ok(Revocation {
        issuer: row.text()?,
        what: if row.text()? == Revoked::Token.word() { Revoked::Token } else { Revoked::Subject },
        name: row.text()?,
        revoked_at: row.integer()?,
        expires_at: row.integer()?,
    })
}
