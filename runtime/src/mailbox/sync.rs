//! Atomics, locks and cells of the mailbox: those of `std`, or those of the model checkers `loom` and `shuttle`.
//!
//! Everything in this folder that two threads share goes through here, so that `--cfg treewarden_loom` or
//! `--cfg treewarden_shuttle` swaps the whole mailbox at once. (The names are our own because tokio reacts to a plain
//! `cfg(loom)`.) Wakers stay those of `std`.

#[cfg(treewarden_loom)]
pub(super) use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(treewarden_shuttle)]
pub(super) use shuttle::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(any(treewarden_loom, treewarden_shuttle)))]
pub(super) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(treewarden_loom)]
pub(super) use loom::cell::UnsafeCell;

/// `std`'s cell with the interface of loom's, which checks each access.
#[cfg(not(treewarden_loom))]
pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(treewarden_loom))]
impl<T> UnsafeCell<T> {
    pub(super) fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    pub(super) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Locks and ignores poison: no user code runs under the mailbox's locks, so a panic cannot leave them half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// Stands between the write and the read of Dekker's pattern, whose operations are all `SeqCst`. That suffices in the
/// memory model of the language; loom treats `SeqCst` loads and stores as acquire and release and needs the fence.
#[inline(always)]
pub(super) fn dekker() {
    #[cfg(treewarden_loom)]
    atomic::fence(atomic::Ordering::SeqCst);
}

/// Stores a word that others change by read-modify-writes alone. Each of those continues the value right before it, so
/// none can bring back what this store has replaced; loom does not know that of stores, but of swaps.
#[inline(always)]
pub(super) fn store_among_changes(
    word: &atomic::AtomicU64,
    value: u64,
    ordering: atomic::Ordering,
) {
    #[cfg(not(treewarden_loom))]
    word.store(value, ordering);
    #[cfg(treewarden_loom)]
    {
        let _ = ordering;
        word.swap(value, atomic::Ordering::SeqCst);
    }
}

/// Waits for another thread that is a few instructions from done: spins, then yields the thread, because the other one may
/// need this core.
pub(super) struct Backoff {
    #[cfg(not(any(treewarden_loom, treewarden_shuttle)))]
    spins: u32,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(not(any(treewarden_loom, treewarden_shuttle)))]
            spins: 0,
        }
    }

    #[cfg(not(any(treewarden_loom, treewarden_shuttle)))]
    pub(super) fn wait(&mut self) {
        const SPINS_BEFORE_YIELD: u32 = 64;
        if self.spins < SPINS_BEFORE_YIELD {
            self.spins += 1;
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }

    #[cfg(treewarden_loom)]
    pub(super) fn wait(&mut self) {
        loom::thread::yield_now();
    }

    #[cfg(treewarden_shuttle)]
    pub(super) fn wait(&mut self) {
        shuttle::thread::yield_now();
    }
}
