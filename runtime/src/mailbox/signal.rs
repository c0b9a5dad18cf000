//! Who is to be woken: the waker of one consumer, for any number of threads to call.
//!
//! Whether a wake-up is *needed* is the business of the queue, which keeps a parked flag beside the word that its senders
//! read anyway; a sender that finds its consumer awake pays one load. What is here is called when there is somebody to wake.
//!
//! An actor is polled by one task for the whole of its life, as a rule: so the first waker is written once, and read from
//! then on without a lock. Whoever is polled by others as well (inside a `select`, or after it was rescued from a thread that
//! hangs) has its wakers behind a lock from then on.
//!
//! # Rules
//!
//! * The consumer calls [`register`](Signal::register) at the beginning of each poll, before it looks at whatever it waits
//!   for.
//! * Whoever has something for it makes that visible first and calls [`wake`](Signal::wake) afterwards.
//! * Both sides therefore write one word and then read the other's (Dekker's pattern): `state` is the consumer's word. All
//!   four operations are sequentially consistent, so at least one side sees the other, and no wake-up is lost.
//! * A wake-up may be spurious, never lost.
//!
//! | `state` | `first` | `later` | next |
//! |---|---|---|---|
//! | NOBODY | not written | empty | ONE |
//! | ONE | written, never touched again | empty | MANY |
//! | MANY | as it was | whom to wake | none |
//!
//! `state` changes under the lock of `later` alone. `first` is dropped with the signal: a thread that read ONE may still
//! be about to call it.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::task::Waker;

use super::sync::atomic::{AtomicU8, Ordering::Acquire, Ordering::Relaxed, Ordering::SeqCst};
use super::sync::{Mutex, UnsafeCell, dekker, lock};

const NOBODY: u8 = 0;
const ONE: u8 = 1;
const MANY: u8 = 2;

/// See the [module](self).
pub(crate) struct Signal {
    state: AtomicU8,
    first: UnsafeCell<MaybeUninit<Waker>>,
    later: Mutex<Option<Box<Waker>>>,
}

// SAFETY: `first` is written once, under the lock, before ONE is stored; it is read only after ONE or MANY was seen. Wakers
// may be called from any thread.
unsafe impl Sync for Signal {}

impl Signal {
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU8::new(NOBODY),
            first: UnsafeCell::new(MaybeUninit::uninit()),
            later: Mutex::new(None),
        }
    }

    /// Consumer: who is to be woken from now on. Three loads if that is the same task as ever.
    #[inline]
    pub(crate) fn register(&self, waker: &Waker) {
        // SAFETY: ONE was seen.
        if self.state.load(Acquire) != ONE || !unsafe { self.first(|first| first.will_wake(waker)) }
        {
            self.register_another(waker);
        }
    }

    #[cold]
    fn register_another(&self, waker: &Waker) {
        // Cloned before and dropped after the lock is held: both are foreign code.
        let waker = waker.clone();
        let mut later = lock(&self.later);
        let mut replaced = None;
        if self.state.load(Relaxed) == NOBODY {
            // SAFETY: nobody reads it before ONE is stored, and nobody else writes it, because we hold the lock.
            self.first
                .with_mut(|first| unsafe { (*first).write(waker) });
            self.state.store(ONE, SeqCst);
        } else {
            replaced = later.replace(Box::new(waker));
            self.state.store(MANY, SeqCst);
        }
        dekker();
        drop(later);
        drop(replaced);
    }

    /// Wakes the consumer's task, whatever it is doing.
    pub(crate) fn wake(&self) {
        dekker();
        match self.state.load(SeqCst) {
            NOBODY => {}
            // SAFETY: ONE was seen.
            ONE => unsafe { self.first(Waker::wake_by_ref) },
            // Under the lock, which spares a clone and its drop. The task is tokio's or a parked thread's, and neither is
            // polled by its waker.
            _ => {
                if let Some(waker) = &*lock(&self.later) {
                    waker.wake_by_ref();
                }
            }
        }
    }

    /// # Safety
    ///
    /// The caller has seen ONE or MANY in `state`, with acquire.
    #[inline]
    unsafe fn first<R>(&self, look: impl FnOnce(&Waker) -> R) -> R {
        // SAFETY: it was written before ONE was stored, which the caller has acquired, and is not written again.
        self.first
            .with(|first| look(unsafe { (*first).assume_init_ref() }))
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if self.state.load(Relaxed) != NOBODY {
            // SAFETY: it was written, and nobody else is left.
            self.first
                .with_mut(|first| unsafe { (*first).assume_init_drop() });
        }
    }
}
