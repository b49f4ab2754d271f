//! Nonces of proofs of possession (RFC 9449 §9): a time under the seal that all replicas share, so that nobody need remember
//! any (MCP SEP-1932: a server may have a nonce that it can verify without state).

use std::time::{Duration, SystemTime};

use auth::{Refusal, Why};
use store::seal::{Bound, Seal};

use crate::strict;

/// How long one is good.
const GOOD: Duration = Duration::from_secs(300);
/// When to come again, if none can be made.
const RETRY: Duration = Duration::from_secs(1);

/// Looks whether a proof has a nonce that was made here for its key, and is still good.
///
/// # Errors
/// When it has not: the refusal has a new one.
pub(crate) fn check(
    seal: &Seal,
    key: &[u8; 32],
    nonce: Option<&str>,
    now: SystemTime,
) -> Result<(), Refusal> {
    let key = strict::to_base64url(key);
    let bound = || Bound { purpose: "dpop nonce", principal: &key };
    if nonce.is_some_and(|nonce| seal.open(bound(), now, nonce).is_ok()) {
        return Ok(());
    }
    let until = now.checked_add(GOOD).unwrap_or(now);
    Err(match seal.seal(bound(), until, &[]) {
        Ok(nonce) => Refusal::Unauthenticated(Why::Nonce(nonce.into())),
        Err(_no_random) => Refusal::Unavailable { retry_after: RETRY },
    })
}
