//! One item in the hands of a worker.
//!
//! Its drop says what became of it, so that a panic, a kill, an error and a message that never reached its handler are all seen, and nobody has to
//! watch the worker.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{Inner, Item, pull::Holder};

/// An item that a worker has. It is read and changed through this.
///
/// When the work is done, say [`done`](Self::done). If it is dropped before, the worker is taken to have crashed with it. One that nobody looked at, because
/// the worker ended first, goes back to the head of the queue and counts as nothing.
#[must_use = "dropping it counts as a crash: say when it is done"]
pub struct Work<T: Send + 'static> {
    /// `None`: it is settled.
    item: Option<Item<T>>,
    queue: Arc<Inner<T>>,
    holder: Option<Holder>,
    was_begun: AtomicBool,
}

impl<T: Send + 'static> Work<T> {
    pub(super) fn new(item: Item<T>, queue: Arc<Inner<T>>, holder: Option<Holder>) -> Self {
        Self {
            item: Some(item),
            queue,
            holder,
            was_begun: AtomicBool::new(false),
        }
    }

    /// It is done.
    pub fn done(self) {
        drop(self.take());
    }

    /// Takes the item out of the queue's care: for the queue it is done.
    #[must_use]
    pub fn take(mut self) -> T {
        let item = self.item.take().expect(SETTLED);
        self.queue.settle(|state| state.done += 1);
        item.value
    }

    /// Puts it back to the head of the queue, for another worker. It does not count as an attempt.
    pub fn give_back(mut self) {
        let item = self.item.take().expect(SETTLED);
        self.queue.settle(|state| state.items.push_front(item));
    }

    /// Which time it is given out; the first is 1. From the second on, a worker has crashed with it before, and may have done it in part.
    pub fn attempt(&self) -> u32 {
        self.item.as_ref().expect(SETTLED).attempt
    }
}

/// What settles it takes it.
const SETTLED: &str = "work is settled once";

impl<T: Send + 'static> Deref for Work<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.was_begun.store(true, Ordering::Relaxed);
        &self.item.as_ref().expect(SETTLED).value
    }
}

impl<T: Send + 'static> DerefMut for Work<T> {
    fn deref_mut(&mut self) -> &mut T {
        *self.was_begun.get_mut() = true;
        &mut self.item.as_mut().expect(SETTLED).value
    }
}

impl<T: Send + 'static> Drop for Work<T> {
    fn drop(&mut self) {
        if let Some(item) = self.item.take() {
            let was_begun = *self.was_begun.get_mut();
            self.queue.dropped(item, self.holder, was_begun);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Work<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempt = self.item.as_ref().map(|item| item.attempt);
        f.debug_struct("Work")
            .field("attempt", &attempt)
            .finish_non_exhaustive()
    }
}
