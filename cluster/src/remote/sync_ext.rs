//! A mutex whose poison is ignored: no lock of links is held while user code runs.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) trait MutexExt<T> {
    fn locked(&self) -> MutexGuard<'_, T>;
}

impl<T> MutexExt<T> for Mutex<T> {
    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
