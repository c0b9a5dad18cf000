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
//!   belongs to the queue; a queue behind a lock has it for free.
//! * Several queues may share one signal (data and control lane): the consumer looks into all of them after `park`.
//! * A wake-up may be spurious, never lost.

use std::task::Waker;

use super::sync::atomic::{AtomicBool, Ordering::SeqCst};
use super::sync::{Mutex, lock};

/// See the [module](self).
pub(crate) struct Signal {
    parked: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self {
            parked: AtomicBool::new(false),
            waker: Mutex::new(None),
        }
    }

    /// Consumer: who is to be woken from now on. Costs no clone if that is still the same task.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut slot = lock(&self.waker);
        if !slot
            .as_ref()
            .is_some_and(|registered| registered.will_wake(waker))
        {
            *slot = Some(waker.clone());
        }
    }

    /// Consumer: "wake me from now on". Must come before the last check for emptiness.
    pub(crate) fn park(&self) {
        self.parked.store(true, SeqCst);
    }

    /// Consumer: "I am running, spare the wake-up".
    pub(crate) fn unpark(&self) {
        self.parked.store(false, SeqCst);
    }

    /// Sender, after its message is visible: wakes the consumer if it is parked.
    pub(crate) fn notify(&self) {
        if self.parked.load(SeqCst) && self.parked.swap(false, SeqCst) {
            self.wake();
        }
    }

    /// Wakes the consumer's task whether parked or not: for control that must reach a consumer whose handler is
    /// suspended.
    pub(crate) fn wake(&self) {
        // Cloned, because a waker may run its task on the spot, and that would lock again.
        let waker = lock(&self.waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
