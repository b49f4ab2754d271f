//! Keys that an issuer was asked for and does not have: whoever names one has it asked less and less often, and that holds up
//! nobody who names another.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use base::sync::lock;
use tokio::time::Instant;

use crate::jwk::sha256;

/// The most that are remembered. Of what is forgotten it is asked anew.
const MOST: usize = 1_000;
/// How long a key is believed not to be there; each time in a row doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// After so long it is as if it had never been asked for.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// What stands for a key's name, which may be long.
type Digest = [u8; 32];

/// The names of keys that are not there.
#[derive(Debug, Default)]
pub(crate) struct MissingKeys(Mutex<Missing>);

#[derive(Debug, Default)]
struct Missing {
    /// When it was last found missing, and how often in a row.
    names: HashMap<Digest, (Instant, u32)>,
    order: VecDeque<Digest>,
}

impl MissingKeys {
    /// Whether it need not be asked for yet. Without a name, it is the one that has none.
    pub(crate) fn is_lately(&self, name: Option<&str>) -> bool {
        let missing = lock(&self.0);
        missing.names.get(&digest(name)).is_some_and(|(last, times)| {
            let pause = FIRST_PAUSE.saturating_mul(1 << times.saturating_sub(1).min(5)).min(LAST_PAUSE);
            last.elapsed() < pause
        })
    }

    /// It was not there now. The oldest make room.
    pub(crate) fn put(&self, name: Option<&str>) {
        let (digest, now) = (digest(name), Instant::now());
        let mut missing = lock(&self.0);
        if let Some((last, times)) = missing.names.get_mut(&digest) {
            *times = if last.elapsed() > FORGOTTEN { 1 } else { *times + 1 };
            *last = now;
            return;
        }
        missing.names.insert(digest, (now, 1));
        missing.order.push_back(digest);
        if missing.order.len() > MOST
            && let Some(oldest) = missing.order.pop_front()
        {
            missing.names.remove(&oldest);
        }
    }
}

fn digest(name: Option<&str>) -> Digest {
    let begin: &[u8] = if name.is_some() { b"named " } else { b"" };
    sha256(&[begin, name.unwrap_or_default().as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_is_asked_for_less_and_less() {
        let missing = MissingKeys::default();
        assert!(!missing.is_lately(Some("a")));
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            missing.put(Some("a"));
            assert!(
                !missing.is_lately(Some("b")) && !missing.is_lately(None) && !missing.is_lately(Some(""))
            );
            tokio::time::advance(Duration::from_millis(pause * 1000 - 1)).await;
            assert!(missing.is_lately(Some("a")), "{pause}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!missing.is_lately(Some("a")), "{pause}");
        }
        for number in 0..3 * MOST {
            missing.put(Some(&number.to_string()));
        }
        let held = lock(&missing.0);
        assert_eq!((held.names.len(), held.order.len()), (MOST, MOST));
    }
}
