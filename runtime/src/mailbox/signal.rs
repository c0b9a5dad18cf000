//! The wake-up flag of one consumer.
//!
//! A sender that finds its consumer awake pays one load; only the first sender after a park pays for the waker.
//!
//! # Rules
//!
//! * The consumer calls [`register`](Signal::register) at the beginning of each poll, [`unpark`](Signal::unpark) once it
//!   runs, and [`park`](Signal::park) *before* its last look at whatever it waits for. If that look finds something it
//!   calls `unpark` and goes on.
//! * A sender makes its message visible first and calls [`notify`](Signal::notify) afterwards.
//! * Both sides therefore write one word and then read the other's (Dekker's pattern). With sequentially consistent
//!   operations on both words at least one side sees the other, so no wake-up is lost. The data side of the pattern
//!   belongs to the queue: the FIFO's word is its tail; a queue behind a lock has the order from the lock.
//! * Several queues may share one signal (data and control lane): the consumer looks into all of them after `park`.
//! * A wake-up may be spurious, never lost.

use std::ptr;
use std::task::{RawWakerVTable, Waker};

use super::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed, Ordering::SeqCst};
use super::sync::{Mutex, dekker, lock};

/// See the [module](self).
// In this order: `parked` is read by every sender and belongs to the line of the queue's tail, which precedes the signal.
#[repr(C)]
pub(crate) struct Signal {
    parked: AtomicBool,
    /// Who is in `waker`, so that registering the same task again needs no lock. Written by the consumer alone. The
    /// registered waker is never taken out, only replaced, so it keeps its data pointer from being used by another.
    registered: (AtomicPtr<()>, AtomicPtr<RawWakerVTable>),
    waker: Mutex<Option<Waker>>,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self {
            parked: AtomicBool::new(false),
            registered: (
                AtomicPtr::new(ptr::null_mut()),
                AtomicPtr::new(ptr::null_mut()),
            ),
            waker: Mutex::new(None),
        }
    }

    /// Consumer: who is to be woken from now on. Two loads if that is still the same task.
    pub(crate) fn register(&self, waker: &Waker) {
        let (data, vtable) = (
            waker.data().cast_mut(),
            ptr::from_ref(waker.vtable()).cast_mut(),
        );
        let (registered_data, registered_vtable) = &self.registered;
        if registered_vtable.load(Relaxed) == vtable && registered_data.load(Relaxed) == data {
            return;
        }
        // Cloned before and dropped after the lock is held: both are foreign code.
        let clone = Some(waker.clone());
        let _replaced = std::mem::replace(&mut *lock(&self.waker), clone);
        registered_data.store(data, Relaxed);
        registered_vtable.store(vtable, Relaxed);
    }

    /// Consumer: "wake me from now on". Must come before the last check for emptiness.
    pub(crate) fn park(&self) {
        // A swap costs what a sequentially consistent store does, and puts us in line with the senders' swaps.
        self.parked.swap(true, SeqCst);
        dekker();
    }

    /// Consumer: "I am running, spare the wake-up".
    pub(crate) fn unpark(&self) {
        if self.parked.load(Relaxed) {
            // A sender that misses this only wakes in vain.
            self.parked.store(false, Relaxed);
        }
    }

    /// Sender, after its message is visible: wakes the consumer if it is parked.
    #[inline]
    pub(crate) fn notify(&self) {
        dekker();
        if self.parked.load(SeqCst) {
            self.notify_parked();
        }
    }

    #[cold]
    fn notify_parked(&self) {
        if self.parked.swap(false, SeqCst) {
            self.wake();
        }
    }

    /// Wakes the consumer's task whether parked or not: for control that must reach a consumer whose handler is
    /// suspended.
    pub(crate) fn wake(&self) {
        // Under the lock, which spares a clone and its drop. The task is tokio's or a parked thread's, and neither is polled
        // by its waker.
        if let Some(waker) = &*lock(&self.waker) {
            waker.wake_by_ref();
        }
    }
}
