//! Keys of Portolan's own, for callers that no identity provider knows.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Claims, Identity, Principal, Refusal};
use base::bulkhead::Bulkhead;
use base::cache::{Bounds, Cache};
use base::random::{self, NoRandom};
use store::Store;
use store::api_keys::ApiKeyFacts;
use store::revocations::API_KEYS;
use tokio::time::{Instant, timeout};

use crate::fault::TokenFault;
use crate::jwk::sha256;

/// What every key begins with, so that whoever looks for secrets in texts knows it: `ptln_[0-9a-f]{72}`.
const PREFIX: &str = "ptln_";
/// The digits of its 256 random bits, and those of the check behind them: the first of SHA-256 of all that stands before.
const DIGITS: usize = 64;
const CHECK: usize = 8;
/// The digits of a digest that people call a key by.
const ID: usize = 12;
/// How long what the store has said is believed: a key that is taken back is refused within a second at every replica.
const FRESH: Duration = Duration::from_millis(900);
/// The most keys of which that is known; the most questions at once, the most who wait for their turn, and how long.
const MOST_KNOWN: usize = 1_000;
const MOST_AT_ONCE: usize = 32;
const MOST_WAITING: usize = 256;
const TURN: Duration = Duration::from_secs(1);
/// When to come again, if the store is away.
const RETRY: Duration = Duration::from_secs(1);

/// A new key. It is shown once and kept nowhere.
pub struct ApiKey(String);

impl ApiKey {
    /// Makes one.
    ///
    /// # Errors
    /// When there are no random numbers.
    pub fn random() -> Result<Self, NoRandom> {
        let text = format!("{PREFIX}{}", random::hex::<32>()?);
        let check = hex(&sha256(text.as_bytes()), CHECK);
        Ok(Self(text + &check))
    }

    /// One that somebody shows; none if a character of it is wrong.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        is_whole(text).then(|| Self(text.to_owned()))
    }

    /// Whether a text looks like one, whether or not it was ever made.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        is_api_key(text)
    }

    /// The key itself.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What the store knows it by.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.0)
    }

    /// What people call it by. It is a part of the digest, so that who has the key can find it.
    #[must_use]
    pub fn id(&self) -> String {
        self.digest().chars().take(ID).collect()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8], digits: usize) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().chars().take(digits).collect()
}

fn digest(text: &str) -> String {
    hex(&sha256(text.as_bytes()), 64)
}

/// Whether it is meant to be such a key: then nobody else is asked about it.
pub(crate) fn is_api_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// Whether it can be one. What was mistyped is not looked up.
fn is_whole(token: &str) -> bool {
    let at = PREFIX.len() + DIGITS;
    let (Some(digits), Some(check)) = (token.get(PREFIX.len()..at), token.get(at..)) else { return false };
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let before = token.get(..at).unwrap_or_default();
    digits.bytes().all(is_digit) && check == hex(&sha256(before.as_bytes()), CHECK)
}

/// What the store said of a key, and when.
#[derive(Debug, Clone)]
struct Heard {
    at: Instant,
    known: Option<Arc<ApiKeyFacts>>,
}

/// Looks keys up.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    store: Arc<Store>,
    heard: Cache<String, Heard, Refusal>,
    places: Bulkhead,
}

impl ApiKeys {
    pub(crate) fn new(store: Arc<Store>) -> Arc<Self> {
        let heard = Cache::new(Bounds { values: MOST_KNOWN, bytes: usize::MAX });
        let places = Bulkhead::new("questions about keys".to_owned(), MOST_AT_ONCE, MOST_WAITING);
        Arc::new(Self { store, heard, places })
    }

    /// Who has shown a key, if that was found out a moment ago.
    pub(crate) fn lately(
        &self,
        token: &str,
        route: &str,
        now: SystemTime,
    ) -> Option<Result<Identity, TokenFault>> {
        if !is_whole(token) {
            return Some(Err(TokenFault::UnknownKey));
        }
        let heard = self.heard.find(&digest(token), |heard| heard.at.elapsed() < FRESH)?;
        Some(heard.says(route, now))
    }

    /// Who has shown a key.
    pub(crate) async fn find(&self, token: &str, route: &str, now: SystemTime) -> Result<Identity, Refusal> {
        let digest = digest(token);
        let ask = async {
            let away = Refusal::Unavailable { retry_after: RETRY };
            let Ok(Ok(_place)) = timeout(TURN, self.places.take()).await else { return Err(away) };
            // What is said from now on may be known to others later.
            let at = Instant::now();
            match self.store.api_key(&digest).await {
                Ok(known) => Ok(Heard { at, known: known.map(Arc::new) }),
                Err(fault) => {
                    tracing::warn!("whether an API key is good cannot be found out: {fault}");
                    Err(away)
                }
            }
        };
        let heard = self.heard.single_flight(&digest, |heard| heard.at.elapsed() < FRESH, ask).await?;
        self.heard.put(digest.clone(), heard.clone(), 0);
        Ok(heard.says(route, now)?)
    }
}

impl Heard {
    fn says(&self, route: &str, now: SystemTime) -> Result<Identity, TokenFault> {
        let facts = self.known.as_ref().ok_or(TokenFault::UnknownKey)?;
        if !facts.routes.is_empty() && !facts.routes.iter().any(|one| one == route) {
            return Err(TokenFault::UnknownKey);
        }
        let at = |millis: i64| {
            let millis = u64::try_from(millis).unwrap_or_default();
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
        };
        let until = facts.expires_at.and_then(at);
        if until.is_some_and(|until| until <= now) {
            return Err(TokenFault::UnknownKey);
        }
        let claims = Claims {
            issuer: API_KEYS.to_owned(),
            subject: facts.principal.clone(),
            scopes: facts.scopes.clone(),
            jti: Some(facts.id.clone()),
            ..Claims::default()
        };
        Ok(Identity {
            principal: Principal::of_key(&facts.principal),
            until,
            claims: Some(Arc::new(claims)),
            address: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_looks() {
        let (key, other) = (ApiKey::random().unwrap(), ApiKey::random().unwrap());
        assert_ne!(key.text(), other.text());
        assert!(is_api_key(key.text()) && is_whole(key.text()));
        assert_eq!(key.text().len(), 77);
        assert_eq!(key.digest().len(), 64);
        assert!(key.digest().starts_with(&key.id()) && key.id().len() == 12);
        assert!(!format!("{key:?}").contains(key.text()));
        // One digit, whichever, is noticed, and so is whatever else.
        for at in PREFIX.len()..key.text().len() {
            let mut typed: Vec<char> = key.text().chars().collect();
            typed[at] = if typed[at] == '0' { '1' } else { '0' };
            assert!(!is_whole(&typed.iter().collect::<String>()), "{at}");
        }
        for typed in ["ptln_", "ptln_0", &format!("{}0", key.text()), &key.text().to_uppercase(), "ptln_ä"] {
            assert!(!is_whole(typed), "{typed}");
        }
    }
}
