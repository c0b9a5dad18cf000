//! Atomics, locks and cells of the mailbox: those of `std`, or those of the model checker `loom`.
//!
//! Everything in this folder that two threads share goes through here, so that `--cfg treewarden_loom` swaps the whole
//! mailbox at once. (The name is our own because tokio reacts to a plain `cfg(loom)`.) Wakers stay those of `std`.

#[cfg(treewarden_loom)]
pub(super) use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(treewarden_loom))]
pub(super) use std::sync::{Mutex, MutexGuard, atomic};

/// Locks and ignores poison: no user code runs under the mailbox's locks, so a panic cannot leave them half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}
