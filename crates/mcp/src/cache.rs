//! Caching hints of results: how long they are fresh, and for whom.
//!
//! Source: MCP 2026-07-28 `server/utilities/caching`.

use std::time::Duration;

use crate::json::{self, JsonFault, Object};

/// Who may be served a cached result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everyone.
    Public,
    /// Only the authorization context that it was made for.
    Private,
}

impl Scope {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// What a result says of its caching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints {
    /// How long it is fresh from its receipt on.
    pub ttl: Duration,
    /// For whom.
    pub scope: Scope,
}

impl Hints {
    /// Fresh for nobody: what a result without hints means.
    pub const NONE: Self = Self { ttl: Duration::ZERO, scope: Scope::Private };

    /// Reads a result's hints. An absent or negative `ttlMs` is 0, and an absent or unknown scope is private, because
    /// to share a result that was not meant to be shared is the worse mistake.
    ///
    /// # Errors
    /// When a member stands twice.
    pub fn read(result: &Object<'_>) -> Result<Self, JsonFault> {
        let ttl_ms = result.get("ttlMs")?.and_then(json::integer).unwrap_or(0);
        let public =
            result.get("cacheScope")?.is_some_and(|raw| json::string(raw).is_ok_and(|s| s == "public"));
        Ok(Self {
            ttl: Duration::from_millis(u64::try_from(ttl_ms).unwrap_or(0)),
            scope: if public { Scope::Public } else { Scope::Private },
        })
    }

    /// The hints of a result made from two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { ttl: self.ttl.min(other.ttl), scope: self.scope.max(other.scope) }
    }

    /// The two members as they stand in a result.
    #[must_use]
    pub fn members(self) -> String {
        format!(r#""ttlMs":{},"cacheScope":"{}""#, self.ttl.as_millis(), self.scope.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(text: &str) -> Hints {
        Hints::read(&Object::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn doubt_is_private_and_stale() {
        assert_eq!(hints("{}"), Hints::NONE);
        assert_eq!(hints(r#"{"ttlMs":-5,"cacheScope":"PUBLIC"}"#), Hints::NONE);
        let public = Hints { ttl: Duration::from_secs(1), scope: Scope::Public };
        assert_eq!(hints(r#"{"ttlMs":1000.0,"cacheScope":"public"}"#), public);
        assert_eq!(public.and(Hints::NONE), Hints::NONE);
        assert_eq!(public.members(), r#""ttlMs":1000,"cacheScope":"public""#);
    }
}
