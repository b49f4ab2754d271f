//! Answers of servers that may be given again: kept within bounds, and asked for once however many want one at the same
//! time.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;

use crate::sync::lock;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most values.
    pub values: usize,
    /// The most bytes of all values.
    pub bytes: usize,
}

/// Values by what was asked for, and the requests that are under way for more.
pub struct Cache<K, V, E> {
    inner: Mutex<Inner<K, V, E>>,
    bounds: Bounds,
}

struct Inner<K, V, E> {
    values: HashMap<K, Value<V>>,
    /// Of all values.
    bytes: usize,
    /// How many values were put here so far.
    count: u64,
    asking: HashMap<K, Outcome<V, E>>,
}

struct Value<V> {
    value: V,
    bytes: usize,
    /// The older, the lower.
    number: u64,
}

/// Tells those who wait how a request ended; closes without a word if who made it has gone away.
type Outcome<V, E> = watch::Receiver<Option<Result<V, E>>>;

impl<K: Clone + Eq + Hash, V: Clone, E: Clone> Cache<K, V, E> {
    /// Nothing kept yet.
    pub fn new(bounds: Bounds) -> Self {
        let inner = Inner { values: HashMap::new(), bytes: 0, count: 0, asking: HashMap::new() };
        Self { inner: Mutex::new(inner), bounds }
    }

    /// The value of a key, if it is still good for the caller.
    pub fn find(&self, key: &K, is_good: impl Fn(&V) -> bool) -> Option<V> {
        self.inner().values.get(key).map(|held| &held.value).filter(|value| is_good(value)).cloned()
    }

    /// Keeps a value; the oldest ones make room for it.
    pub fn put(&self, key: K, value: V, bytes: usize) {
        let mut inner = self.inner();
        inner.remove(&key);
        if bytes > self.bounds.bytes {
            return;
        }
        while inner.values.len() >= self.bounds.values || inner.bytes + bytes > self.bounds.bytes {
            let oldest = inner.values.iter().min_by_key(|(_, held)| held.number).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            inner.remove(&oldest);
        }
        inner.count += 1;
        inner.bytes += bytes;
        let number = inner.count;
        inner.values.insert(key, Value { value, bytes, number });
    }

    /// Asks by `ask`, or waits for one who is asking the same already: its value if it is good for the caller, too, or
    /// its failure. Nothing is kept of it here.
    pub async fn single_flight(
        &self,
        key: &K,
        is_good: impl Fn(&V) -> bool,
        ask: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let turn = loop {
            let mut outcome = match self.turn(key) {
                Turn::Mine(turn) => break turn,
                Turn::Theirs(outcome) => outcome,
            };
            // Who has gone away without an answer leaves the turn to the next one.
            let Ok(outcome) = outcome.wait_for(Option::is_some).await else { continue };
            match outcome.clone() {
                Some(Ok(value)) if !is_good(&value) => {}
                Some(outcome) => return outcome,
                None => {}
            }
        };
        let outcome = ask.await;
        turn.end(&outcome);
        outcome
    }

    fn turn(&self, key: &K) -> Turn<'_, K, V, E> {
        let mut inner = self.inner();
        if let Some(outcome) = inner.asking.get(key) {
            return Turn::Theirs(outcome.clone());
        }
        let (tell, outcome) = watch::channel(None);
        inner.asking.insert(key.clone(), outcome.clone());
        Turn::Mine(Fetching { kept: self, key: key.clone(), outcome, tell })
    }
}

impl<K, V, E> Cache<K, V, E> {
    fn inner(&self) -> MutexGuard<'_, Inner<K, V, E>> {
        lock(&self.inner)
    }
}

impl<K: Eq + Hash, V, E> Inner<K, V, E> {
    fn remove(&mut self, key: &K) {
        if let Some(held) = self.values.remove(key) {
            self.bytes -= held.bytes;
        }
    }
}

enum Turn<'k, K: Eq + Hash, V, E> {
    Mine(Fetching<'k, K, V, E>),
    Theirs(Outcome<V, E>),
}

/// One who asks; whoever wants the same waits for it.
struct Fetching<'k, K: Eq + Hash, V, E> {
    kept: &'k Cache<K, V, E>,
    key: K,
    outcome: Outcome<V, E>,
    tell: watch::Sender<Option<Result<V, E>>>,
}

impl<K: Eq + Hash, V: Clone, E: Clone> Fetching<'_, K, V, E> {
    /// Tells those who wait. Who comes from now on asks again.
    fn end(self, outcome: &Result<V, E>) {
        self.leave();
        self.tell.send_replace(Some(outcome.clone()));
    }
}

impl<K: Eq + Hash, V, E> Fetching<'_, K, V, E> {
    fn leave(&self) {
        let mut inner = self.kept.inner();
        if inner.asking.get(&self.key).is_some_and(|outcome| outcome.same_channel(&self.outcome)) {
            inner.asking.remove(&self.key);
        }
    }
}

impl<K: Eq + Hash, V, E> Drop for Fetching<'_, K, V, E> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<K, V, E> fmt::Debug for Cache<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        f.debug_struct("Cache")
            .field("values", &inner.values.len())
            .field("bytes", &inner.bytes)
            .field("asking", &inner.asking.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
