//! What was found to be not good a moment ago, where to find that out again would trouble others.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use base::sync::lock;
use tokio::time::Instant;

use crate::fault::TokenFault;
use crate::tokens::TokenDigest;

/// The most that are remembered.
const MOST: usize = 1_000;

/// Tokens that are not good, for a short time.
pub(crate) struct RefusedTokens {
    good_for: Duration,
    lately: Mutex<Lately>,
}

#[derive(Default)]
struct Lately {
    faults: HashMap<TokenDigest, (Instant, TokenFault)>,
    order: VecDeque<TokenDigest>,
}

impl RefusedTokens {
    pub(crate) fn new(good_for: Duration) -> Self {
        Self { good_for, lately: Mutex::default() }
    }

    pub(crate) fn find(&self, token: &TokenDigest) -> Option<TokenFault> {
        let lately = lock(&self.lately);
        lately.faults.get(token).filter(|(since, _)| since.elapsed() < self.good_for).map(|(_, fault)| *fault)
    }

    /// Remembers one; the oldest make room.
    pub(crate) fn put(&self, token: TokenDigest, fault: TokenFault) {
        let mut lately = lock(&self.lately);
        if lately.faults.insert(token, (Instant::now(), fault)).is_none() {
            lately.order.push_back(token);
        }
        if lately.order.len() > MOST
            && let Some(oldest) = lately.order.pop_front()
        {
            lately.faults.remove(&oldest);
        }
    }
}

impl fmt::Debug for RefusedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = lock(&self.lately).faults.len();
        f.debug_struct("RefusedTokens").field("tokens", &tokens).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_forgotten_soon_and_bounded() {
        let refused = RefusedTokens::new(Duration::from_secs(10));
        let digest = |number: usize| crate::jwk::sha256(&number.to_be_bytes());
        for number in 0..3 * MOST {
            refused.put(digest(number), TokenFault::Inactive);
        }
        assert_eq!(refused.find(&digest(0)), None);
        assert_eq!(refused.find(&digest(3 * MOST - 1)), Some(TokenFault::Inactive));
        assert_eq!(lock(&refused.lately).faults.len(), MOST);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(refused.find(&digest(3 * MOST - 1)), None);
    }
}
