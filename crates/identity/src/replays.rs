//! Proofs that were used, so that none is used twice.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auth::Refusal;
use base::sync::lock;
use store::Store;
use store::sessions::If;

use crate::fault::ProofFault;
use crate::strict;

/// By how much the time of a proof may differ from ours, in either direction.
pub(crate) const WINDOW: Duration = Duration::from_secs(300);
/// The most proofs that are remembered of one stretch of time: more than three thousand requests a second.
const MOST: usize = 1_000_000;

/// Stands for a proof: whose it is and its name.
pub(crate) type ProofMark = [u8; 16];

/// Whether a proof is used for the first time, or how that is found out.
pub(crate) enum Uses {
    /// It is known.
    Now(Result<(), Refusal>),
    /// Others must be asked.
    Later(Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>),
}

/// Remembers proofs.
pub(crate) trait Replays: fmt::Debug + Send + Sync {
    /// Uses a proof. It could be used until then.
    fn first(&self, proof: ProofMark, now: SystemTime, until: SystemTime) -> Uses;
}

/// Those that this process was shown.
pub(crate) struct LocalReplays(Mutex<Windows>);

struct Windows {
    /// Of this stretch of time and the one before, each as long as a proof can be used.
    now: HashSet<ProofMark>,
    before: HashSet<ProofMark>,
    since: SystemTime,
    most: usize,
}

/// Those that all replicas were shown, which share a store.
#[derive(Debug)]
pub(crate) struct SharedReplays {
    local: LocalReplays,
    store: Arc<Store>,
}

impl LocalReplays {
    pub(crate) fn new() -> Self {
        Self::with_room(MOST)
    }

    fn with_room(most: usize) -> Self {
        let since = SystemTime::UNIX_EPOCH;
        Self(Mutex::new(Windows { now: HashSet::new(), before: HashSet::new(), since, most }))
    }

    fn take(&self, proof: ProofMark, now: SystemTime) -> Result<(), Refusal> {
        let mut windows = lock(&self.0);
        let age = now.duration_since(windows.since).unwrap_or_default();
        // From the time of a proof five minutes ahead to its end.
        let stretch = 2 * WINDOW;
        if age > stretch {
            let last = std::mem::take(&mut windows.now);
            windows.before = if age > 2 * stretch { HashSet::new() } else { last };
            windows.since = now;
        }
        if windows.before.contains(&proof) || windows.now.contains(&proof) {
            return Err(ProofFault::Replayed.into());
        }
        if windows.now.len() >= windows.most {
            return Err(Refusal::Unavailable { retry_after: Duration::from_secs(30) });
        }
        windows.now.insert(proof);
        Ok(())
    }
}

impl Replays for LocalReplays {
    fn first(&self, proof: ProofMark, now: SystemTime, _until: SystemTime) -> Uses {
        Uses::Now(self.take(proof, now))
    }
}

impl SharedReplays {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { local: LocalReplays::new(), store }
    }
}

impl Replays for SharedReplays {
    fn first(&self, proof: ProofMark, now: SystemTime, until: SystemTime) -> Uses {
        if let Err(refusal) = self.local.take(proof, now) {
            return Uses::Now(Err(refusal));
        }
        let store = Arc::clone(&self.store);
        Uses::Later(Box::pin(async move {
            let keep = until.duration_since(now).unwrap_or_default() + Duration::from_secs(1);
            let name = strict::to_base64url(&proof);
            match store.put_fact((&format!("dpop:{name}"), "used"), &[], keep, If::Absent).await {
                Ok(Some(_version)) => Ok(()),
                Ok(None) => Err(ProofFault::Replayed.into()),
                Err(fault) => {
                    tracing::warn!(
                        "whether a proof was used at another replica cannot be found out: {fault}"
                    );
                    Err(Refusal::Unavailable { retry_after: Duration::from_secs(2) })
                }
            }
        }))
    }
}

impl fmt::Debug for LocalReplays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = lock(&self.0);
        let proofs = windows.now.len() + windows.before.len();
        f.debug_struct("LocalReplays").field("proofs", &proofs).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_196_800 + seconds)
    }

    #[test]
    fn a_proof_is_used_once_as_long_as_it_could_be() {
        let seen = LocalReplays::new();
        // Made five minutes ahead, it can be used for ten; whenever the stretch began.
        for begin in [0, 599, 600, 601, 1200, 5000] {
            let proof = [u8::try_from(begin % 251).unwrap(); 16];
            seen.take(proof, at(begin)).unwrap();
            for later in [0, 1, 599, 600] {
                assert!(seen.take(proof, at(begin + later)).is_err(), "{begin} {later}");
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_comes_back() {
        let seen = LocalReplays::with_room(2);
        seen.take([1; 16], at(0)).unwrap();
        seen.take([2; 16], at(0)).unwrap();
        assert!(matches!(seen.take([3; 16], at(0)), Err(Refusal::Unavailable { .. })));
        assert_eq!(seen.take([2; 16], at(0)), Err(ProofFault::Replayed.into()));
        seen.take([3; 16], at(601)).unwrap();
    }
}
