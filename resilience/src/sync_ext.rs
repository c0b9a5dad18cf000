//! One small helper: a mutex whose poison is ignored.
//!
//! No lock of this crate is held while user code runs, so that a panic cannot leave half-changed state behind.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) trait MutexExt<T> {
    fn locked(&self) -> MutexGuard<'_, T>;
}

impl<T> MutexExt<T> for Mutex<T> {
    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
