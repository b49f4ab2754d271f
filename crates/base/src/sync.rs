//! Locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock whose holders never panic while they hold it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
