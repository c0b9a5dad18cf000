//! A place for one message that has left its queue, and is looked at before it is handled.
//!
//! # Rules
//!
//! * A place is used by the consumer of its queue alone, of whom there is one at a time; the methods are unsafe because
//!   nothing but that stands between two threads.
//! * It owns the message for as long as `full` is set.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::sync::UnsafeCell;
use super::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// See the [module](self).
pub(super) struct Place<T> {
    message: UnsafeCell<MaybeUninit<T>>,
    full: AtomicBool,
}

// SAFETY: a message goes from thread to thread with the right to consume. Through a shared reference it is reached by unsafe
// methods alone.
unsafe impl<T: Send> Sync for Place<T> {}

impl<T> Place<T> {
    pub(super) fn new() -> Self {
        Self {
            message: UnsafeCell::new(MaybeUninit::uninit()),
            full: AtomicBool::new(false),
        }
    }

    /// Puts a message into an empty place.
    ///
    /// # Safety
    ///
    /// The caller is the consumer.
    pub(super) unsafe fn put(&self, message: T) {
        debug_assert!(!self.full.load(Relaxed));
        // SAFETY: nobody else is here, and there is nothing in it.
        self.message
            .with_mut(|place| unsafe { (*place).write(message) });
        self.full.store(true, Relaxed);
    }

    /// Where the message lies, which is the caller's from now on, and stays until the next [`put`](Self::put).
    ///
    /// # Safety
    ///
    /// The caller is the consumer.
    pub(super) unsafe fn pass(&self) -> Option<NonNull<T>> {
        if !self.full.load(Relaxed) {
            return None;
        }
        self.full.store(false, Relaxed);
        self.message.with_mut(|place| NonNull::new(place.cast()))
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else is left.
        if let Some(message) = unsafe { self.pass() } {
            // SAFETY: it is ours, and read once.
            drop(unsafe { message.read() });
        }
    }
}
