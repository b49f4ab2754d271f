//! Clients' sessions that have ended, for a while: what is still under way for one of them begins nothing for it that nobody would
//! ever end.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use base::sync::lock;
use tokio::time::{Duration, Instant};

use crate::link::Whose;

/// For so long. By then nothing goes on that was begun for one.
const WHILE: Duration = Duration::from_secs(15 * 60);

/// Sessions that have ended lately.
#[derive(Debug, Default)]
pub(crate) struct Departed(Mutex<Lately>);

#[derive(Debug, Default)]
struct Lately {
    names: HashSet<Arc<str>>,
    /// The same with when it was, in that order.
    order: VecDeque<(Instant, Arc<str>)>,
}

impl Departed {
    /// One has ended.
    pub(crate) fn add(&self, session: &Arc<str>) {
        let (mut lately, now) = (lock(&self.0), Instant::now());
        while let Some((_, old)) = lately.order.pop_front_if(|(at, _)| now - *at >= WHILE) {
            lately.names.remove(&old);
        }
        if lately.names.insert(Arc::clone(session)) {
            lately.order.push_back((now, Arc::clone(session)));
        }
    }

    /// Whether it is one's own who has gone.
    pub(crate) fn has(&self, whose: &Whose) -> bool {
        whose.session.as_ref().is_some_and(|session| lock(&self.0).names.contains(session))
    }
}

#[cfg(test)]
mod tests {
    use auth::Principal;
    use mcp::version::Era;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn they_are_known_for_a_while() {
        let departed = Departed::default();
        let of = |name: Option<&str>| Whose {
            era: Era::Legacy,
            principal: Principal::anonymous(),
            session: name.map(Into::into),
            client: None,
            declared: "{}".into(),
        };
        let has = |name: &str| departed.has(&of(Some(name)));
        departed.add(&"a".into());
        tokio::time::advance(WHILE / 2).await;
        departed.add(&"b".into());
        departed.add(&"b".into());
        assert!(has("a") && has("b") && !has("c") && !departed.has(&of(None)));
        tokio::time::advance(WHILE / 2).await;
        departed.add(&"c".into());
        assert!(!has("a") && has("b") && has("c"));
        assert_eq!(lock(&departed.0).order.len(), 2);
    }
}
