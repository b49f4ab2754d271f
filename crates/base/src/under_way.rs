//! Asking once for what several want, which goes on when nobody waits for it any more.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::sync::lock;

/// What is being asked for, by what it is.
#[derive(Debug)]
pub struct UnderWay<K, V>(Arc<Mutex<HashMap<K, Asked<V>>>>);

/// Since when, and what comes of it.
type Asked<V> = (Instant, watch::Receiver<Option<V>>);

impl<K, V> Default for UnderWay<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Something that was asked for.
#[derive(Debug)]
pub enum Asking<V> {
    /// It lay here already.
    Done(V),
    /// It goes on.
    Goes(watch::Receiver<Option<V>>),
}

impl<K, V> UnderWay<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Since when something is being asked for.
    pub fn since(&self, key: &K) -> Option<Instant> {
        lock(&self.0).get(key).map(|(since, _)| *since)
    }

    /// Asks, unless somebody has asked already. It goes on by itself among those tasks, unless it lies here already.
    /// Whoever waits is told before `after` is called.
    pub fn begin<F>(
        &self,
        tasks: &TaskTracker,
        key: &K,
        ask: impl FnOnce() -> F,
        after: impl FnOnce(&V) + Send + 'static,
    ) -> Asking<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (tell, outcome) = watch::channel(None);
        {
            let mut all = lock(&self.0);
            if let Some((_, theirs)) = all.get(key).filter(|(_, theirs)| theirs.has_changed().is_ok()) {
                return Asking::Goes(theirs.clone());
            }
            all.insert(key.clone(), (Instant::now(), outcome.clone()));
        }
        let mut asking = Box::pin(ask());
        let (all, key) = (Arc::clone(&self.0), key.clone());
        let end = move |value: V| {
            lock(&all).remove(&key);
            tell.send_replace(Some(value.clone()));
            after(&value);
        };
        if let Poll::Ready(value) = asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            end(value.clone());
            return Asking::Done(value);
        }
        tasks.spawn(async move { end(asking.await) });
        Asking::Goes(outcome)
    }
}

/// It has not come in time.
#[derive(Debug)]
pub struct Late;

/// Waits for something that was asked for; nothing if it will never come.
///
/// # Errors
/// [`Late`], when that moment comes first.
pub async fn came_until<V: Clone>(
    outcome: &mut watch::Receiver<Option<V>>,
    until: Option<Instant>,
) -> Result<Option<V>, Late> {
    let came = async { outcome.wait_for(Option::is_some).await.ok().and_then(|came| came.clone()) };
    match until {
        None => Ok(came.await),
        Some(until) => timeout_at(until, came).await.map_err(|_elapsed| Late),
    }
}
