//! One small helper: a mutex whose poison is ignored. Whatever panics inside a lock of this crate is caught or is user
//! code that the lock does not protect.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) trait MutexExt<T: ?Sized> {
    fn locked(&self) -> MutexGuard<'_, T>;
}

impl<T: ?Sized> MutexExt<T> for Mutex<T> {
    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
