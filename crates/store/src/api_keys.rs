//! Keys by which callers without an identity provider show who they are. The store knows their digests and what they are
//! good for, never the keys.

use std::time::Duration;

use crate::fault::StoreFault;
use crate::seal::turns::{Millis, millis};
use crate::sql::{Row, cells};
use crate::store::Store;

/// What does not expire.
const NEVER: Millis = Millis::MAX;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyFacts {
    /// What people call it by; no secret.
    pub id: String,
    /// Whose it is.
    pub principal: String,
    /// Where it is good: the names of routes; everywhere when empty.
    pub routes: Vec<String>,
    /// What it is good for.
    pub scopes: Vec<String>,
    /// When it was made, in milliseconds since 1970 by the database's clock; not looked at when one is added.
    pub made_at: Millis,
    /// When it expires, likewise.
    pub expires_at: Option<Millis>,
}

impl Store {
    /// Adds a key, good for `keep` or for ever. False if one with that digest or that id is there.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn add_api_key(
        &self,
        digest: &str,
        facts: &ApiKeyFacts,
        keep: Option<Duration>,
    ) -> Result<bool, StoreFault> {
        let (routes, scopes) = (facts.routes.join("\n"), facts.scopes.join("\n"));
        let text = match keep {
            Some(_) => {
                "INSERT INTO portolan_api_key (digest, id, principal, routes, scopes, made_at, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, {now}, {now} + CAST($6 AS {integer})) \
                 ON CONFLICT DO NOTHING RETURNING id"
            }
            None => {
                "INSERT INTO portolan_api_key (digest, id, principal, routes, scopes, made_at, expires_at) \
                 VALUES ($1, $2, $3, $4, $5, {now}, CAST($6 AS {integer})) \
                 ON CONFLICT DO NOTHING RETURNING id"
            }
        };
        let expires = keep.map_or(NEVER, millis);
        let (id, principal) = (facts.id.as_str(), facts.principal.as_str());
        let parameters = cells![digest, id, principal, routes.as_str(), scopes.as_str(), expires];
        Ok(self.one(text, parameters).await?.is_some())
    }

    /// What is known of the key with that digest, unless it has expired.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn api_key(&self, digest: &str) -> Result<Option<ApiKeyFacts>, StoreFault> {
        let text = "SELECT id, principal, routes, scopes, made_at, expires_at FROM portolan_api_key \
                    WHERE digest = $1 AND expires_at > {now}";
        self.one(text, cells![digest]).await?.map(facts).transpose()
    }

    /// All keys that have not expired, the oldest first.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn api_keys(&self) -> Result<Vec<ApiKeyFacts>, StoreFault> {
        let text = "SELECT id, principal, routes, scopes, made_at, expires_at FROM portolan_api_key \
                    WHERE expires_at > {now} ORDER BY made_at, id";
        self.query(text, Vec::new()).await?.into_iter().map(facts).collect()
    }

    /// Takes a key back for good, and says so to those who let somebody in by it. False if there is none with that id.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn revoke_api_key(&self, id: &str) -> Result<bool, StoreFault> {
        if !self.key_revoked(id).await? {
            return Ok(false);
        }
        let text = "DELETE FROM portolan_api_key WHERE id = $1 RETURNING id";
        Ok(self.one(text, cells![id]).await?.is_some())
    }
}

fn facts(mut row: Row) -> Result<ApiKeyFacts, StoreFault> {
    let lines = |text: String| text.lines().map(str::to_owned).collect();
    Ok(ApiKeyFacts {
        id: row.text()?,
        principal: row.text()?,
        routes: lines(row.text()?),
        scopes: lines(row.text()?),
        made_at: row.integer()?,
        expires_at: Some(row.integer()?).filter(|at| *at != NEVER),
    })
}
