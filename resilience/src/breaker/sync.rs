//! Atomics and locks of the breaker: those of `std`, or those of the model checker `loom`.
//!
//! What two threads share in the word, the round and the count window goes through here, so that `--cfg treewarden_loom` swaps all of
//! it at once. (The name is our own because tokio reacts to a plain `cfg(loom)`.) The time window stays with `std`.

#[cfg(treewarden_loom)]
pub(super) use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(treewarden_loom))]
pub(super) use std::sync::{Mutex, MutexGuard, atomic};

/// Locks and ignores poison: no user code runs under the breaker's lock.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
