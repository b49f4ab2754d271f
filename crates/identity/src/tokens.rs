//! Tokens that were verified lately: seen again, one costs a digest and a look-up.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base::sync::lock;

use crate::token::Verified;

/// The most tokens, and the most bytes of all of them. Ten thousand that are used in turn all stay, though not all shards are filled alike.
pub(crate) const MOST_TOKENS: usize = 12_000;
pub(crate) const MOST_BYTES: usize = 40 * 1024 * 1024;
/// So many who look at once do not wait for each other, mostly.
const SHARDS: usize = 16;

/// What stands for a token: SHA-256, so that nobody can make two that look alike, and the tokens themselves are not kept.
pub(crate) type TokenDigest = [u8; 32];

/// A token that was found good.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) verified: Arc<Verified>,
    /// From then on it is to be looked at anew: it expires, or its issuer is to be asked again.
    pub(crate) until: SystemTime,
    /// Whose it is, by its place among the issuers.
    pub(crate) issuer: usize,
    /// Of the issuer's keys, when it was verified by one; none where the issuer was asked.
    pub(crate) generation: Option<u64>,
}

/// Tokens by their digests.
pub(crate) struct Tokens {
    shards: Vec<Mutex<Shard>>,
    /// For each shard.
    most: usize,
    most_bytes: usize,
}

#[derive(Default)]
struct Shard {
    known: HashMap<TokenDigest, (u64, usize, Known)>,
    /// In the order in which they came; one that is gone already may stand here yet.
    order: VecDeque<(u64, TokenDigest)>,
    bytes: usize,
    count: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self::new(MOST_TOKENS, MOST_BYTES)
    }
}

impl Tokens {
    pub(crate) fn new(most: usize, most_bytes: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, most: most.div_ceil(SHARDS), most_bytes: most_bytes.div_ceil(SHARDS) }
    }

    /// A token that is known and still good by these two.
    pub(crate) fn find(
        &self,
        token: &TokenDigest,
        now: SystemTime,
        is_good: impl FnOnce(&Known) -> bool,
    ) -> Option<Known> {
        let mut shard = lock(self.shard(token)?);
        let (_, _, known) = shard.known.get(token)?;
        if known.until > now && is_good(known) {
            return Some(known.clone());
        }
        shard.remove(token);
        None
    }

    /// Keeps a token; those that came first make room.
    pub(crate) fn put(&self, token: TokenDigest, known: Known) {
        let Some(shard) = self.shard(&token) else { return };
        let mut shard = lock(shard);
        let claims = known.verified.identity.claims.as_ref().map_or(0, |claims| claims.bytes());
        let principal = known.verified.identity.principal.id().len();
        // The two maps' own room, at their fullest and their emptiest on average.
        let bytes = claims + principal + 3 * (size_of::<Known>() + size_of::<TokenDigest>());
        shard.remove(&token);
        shard.count += 1;
        let number = shard.count;
        shard.bytes += bytes;
        shard.order.push_back((number, token));
        shard.known.insert(token, (number, bytes, known));
        while shard.known.len() > self.most || shard.bytes > self.most_bytes {
            let Some((number, oldest)) = shard.order.pop_front() else { break };
            if shard.known.get(&oldest).is_some_and(|(its, ..)| *its == number) {
                shard.remove(&oldest);
            }
        }
        // What has gone in another way must not pile up there.
        if shard.order.len() > 2 * self.most + 16 {
            let Shard { known, order, .. } = &mut *shard;
            order.retain(|(number, token)| known.get(token).is_some_and(|(its, ..)| its == number));
        }
    }

    /// How many there are, and how many bytes they hold.
    pub(crate) fn held(&self) -> (usize, usize) {
        let each = self.shards.iter().map(|shard| {
            let shard = lock(shard);
            (shard.known.len(), shard.bytes)
        });
        each.fold((0, 0), |(all, total), (count, bytes)| (all + count, total + bytes))
    }

    fn shard(&self, token: &TokenDigest) -> Option<&Mutex<Shard>> {
        let first = token.first().copied().unwrap_or_default();
        self.shards.get(usize::from(first) % SHARDS)
    }
}

impl Shard {
    fn remove(&mut self, token: &TokenDigest) {
        if let Some((_, bytes, _)) = self.known.remove(token) {
            self.bytes -= bytes;
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tokens, bytes) = self.held();
        f.debug_struct("Tokens").field("tokens", &tokens).field("bytes", &bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use auth::{Claims, Identity, Principal};
    use proptest::prelude::*;

    use super::*;
    use crate::token::Binding;

    const MOST: usize = 32;
    const BYTES: usize = 64 * 1024;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn known(subject: &str, until: u64, generation: u64) -> Known {
        let claims = Claims { subject: subject.to_owned(), ..Claims::default() };
        let principal = Principal::of("issuer", subject, None);
        let identity =
            Identity { principal, until: Some(at(until)), claims: Some(Arc::new(claims)), address: None };
        let verified = Arc::new(Verified { identity, bound: Binding::default() });
        Known { verified, until: at(until), issuer: 0, generation: Some(generation) }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put {
            token: u8,
            size: usize,
            lives: u64,
        },
        Find(u8),
        Wait(u64),
        /// The issuer's keys change.
        Rotate,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<u8>(), 0..20_000_usize, 0..20_u64)
                .prop_map(|(token, size, lives)| Step::Put { token, size, lives }),
            6 => any::<u8>().prop_map(Step::Find),
            2 => (0..10_u64).prop_map(Step::Wait),
            1 => Just(Step::Rotate),
        ]
    }

    proptest! {
        /// Whatever happens, a token that is found is one that was put there last, is not over, and was verified by the keys
        /// of now; and there is never more than may be.
        #[test]
        fn nothing_is_found_that_is_not_good(steps in prop::collection::vec(step(), 1..400)) {
            let tokens = Tokens::new(MOST, BYTES);
            let (mut now, mut generation) = (100, 0);
            let mut last: HashMap<u8, (String, u64, u64)> = HashMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Put { token, size, lives } => {
                        let subject = format!("{number} {}", "a".repeat(size));
                        tokens.put([token; 32], known(&subject, now + lives, generation));
                        last.insert(token, (subject, now + lives, generation));
                    }
                    Step::Find(token) => {
                        let found = tokens.find(&[token; 32], at(now), |known| known.generation == Some(generation));
                        if let Some(found) = found {
                            let (subject, until, of) = last.get(&token).unwrap();
                            prop_assert_eq!(&found.verified.identity.claims.as_ref().unwrap().subject, subject);
                            prop_assert!(*until > now && *of == generation);
                        }
                    }
                    Step::Wait(seconds) => now += seconds,
                    Step::Rotate => generation += 1,
                }
                let (count, bytes) = tokens.held();
                prop_assert!(count <= MOST && bytes <= BYTES, "{} {}", count, bytes);
                for shard in &tokens.shards {
                    let shard = lock(shard);
                    let all: usize = shard.known.values().map(|(_, bytes, _)| bytes).sum();
                    prop_assert_eq!(all, shard.bytes);
                    prop_assert!(shard.order.len() <= 2 * tokens.most + 17);
                }
            }
        }
    }

    #[test]
    fn what_came_last_is_found() {
        let tokens = Tokens::new(MOST, BYTES);
        for token in 0..200_u8 {
            tokens.put([token; 32], known("alice", 200, 0));
            assert!(tokens.find(&[token; 32], at(100), |_| true).is_some(), "{token}");
        }
        assert_eq!(tokens.held().0, MOST);
    }
}
