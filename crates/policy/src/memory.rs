//! What was decided lately.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

/// What is remembered, with a bound: when it is reached, all that was not asked for since the last time is forgotten.
#[derive(Debug)]
pub(crate) struct Memory<K, V> {
    of: RwLock<Generations<K, V>>,
    most: usize,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq + Clone, V: Clone> Memory<K, V> {
    /// For so many at least, and twice as many at most.
    pub(crate) fn new(most: usize) -> Self {
        Self { of: RwLock::new(Generations { young: HashMap::new(), old: HashMap::new() }), most }
    }

    /// What is remembered, or what is made now. Two who ask at once may both make it.
    pub(crate) fn get_or(&self, key: &K, make: impl FnOnce() -> V) -> V {
        let old = {
            let of = self.of.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(value) = of.young.get(key) {
                return value.clone();
            }
            of.old.get(key).cloned()
        };
        let value = old.unwrap_or_else(make);
        let mut of = self.of.write().unwrap_or_else(PoisonError::into_inner);
        if of.young.len() >= self.most {
            of.old = std::mem::take(&mut of.young);
        }
        of.young.insert(key.clone(), value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let memory = Memory::new(2);
        let made = Cell::new(0);
        let get = |key: u8| memory.get_or(&key, || made.replace(made.get() + 1));
        for key in [1, 2, 1, 2] {
            get(key);
        }
        assert_eq!(made.get(), 2);
        get(3);
        get(1);
        assert_eq!(made.get(), 3, "what is old is remembered, too");
        get(4);
        get(2);
        assert_eq!(made.get(), 5, "what was not asked for is forgotten");
        assert!(memory.of.read().unwrap().young.len() <= 2);
    }
}
