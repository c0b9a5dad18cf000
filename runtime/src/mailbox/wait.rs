//! The line of senders that wait for room.
//!
//! A waiter leaves its message in the line. The consumer moves messages from the line into the queue itself, first come,
//! first served, and wakes only those senders: there are no permits to lose, no herd, and a sender that is dropped while
//! it waits takes its message out in place.
//!
//! # Rules
//!
//! * The line belongs to a lock of its queue. Nothing here runs foreign code: messages and wakers that leave the line are
//!   handed out, to be dropped or woken after the lock is released.
//! * Keys are increasing numbers, so `key - first_key` is the index, and a key below `first_key` has been served.
//! * The first entry of the line is never a hole.
//! * When the queue closes, messages in the line are set aside until their senders fetch them. Those are not counted as
//!   waiting.
//!
//! It does not know about capacity: the queues decide who is served when.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Poll, Waker};

/// Names one sender's place in the line of one queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WaitKey(u64);

/// A waiting sender.
pub(super) struct Waiter<T> {
    pub(super) value: T,
    pub(super) waker: Waker,
}

/// See the [module](self).
pub(super) struct WaitList<T> {
    /// Key of the first entry in the line.
    first_key: u64,
    /// Only there once somebody has waited.
    entries: Option<Box<Entries<T>>>,
}

struct Entries<T> {
    /// `None`: a sender that gave up.
    line: VecDeque<Option<Waiter<T>>>,
    /// How many of the line are `Some`.
    waiting: usize,
    /// Messages whose queue closed, by key.
    returned: BTreeMap<u64, T>,
}

impl<T> WaitList<T> {
    pub(super) fn new() -> Self {
        Self {
            first_key: 0,
            entries: None,
        }
    }

    /// Senders that wait.
    pub(super) fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| entries.waiting)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Joins the end of the line.
    pub(super) fn join(&mut self, value: T, waker: &Waker) -> WaitKey {
        let entries = self.entries.get_or_insert_with(|| {
            Box::new(Entries {
                line: VecDeque::new(),
                waiting: 0,
                returned: BTreeMap::new(),
            })
        });
        let key = self.first_key + entries.line.len() as u64;
        entries.line.push_back(Some(Waiter {
            value,
            waker: waker.clone(),
        }));
        entries.waiting += 1;
        WaitKey(key)
    }

    /// The message that is next.
    pub(super) fn front(&self) -> Option<&T> {
        self.entries
            .as_ref()?
            .line
            .front()?
            .as_ref()
            .map(|waiter| &waiter.value)
    }

    /// Takes the first sender out of the line; its key counts as served.
    pub(super) fn pop_front(&mut self) -> Option<Waiter<T>> {
        let entries = self.entries.as_mut()?;
        let waiter = entries.line.pop_front()??;
        self.first_key += 1;
        entries.waiting -= 1;
        self.skip_holes();
        Some(waiter)
    }

    /// Where the sender with this key stands: served, still waiting, or its message handed back because the queue closed.
    /// The second value is the waker that was replaced, to be dropped outside the lock.
    pub(super) fn poll(
        &mut self,
        key: &WaitKey,
        waker: &Waker,
    ) -> (Poll<Result<(), T>>, Option<Waker>) {
        let Some(entries) = self.entries.as_mut() else {
            return (Poll::Ready(Ok(())), None);
        };
        if let Some(value) = entries.returned.remove(&key.0) {
            return (Poll::Ready(Err(value)), None);
        }
        match slot(self.first_key, &mut entries.line, key) {
            Some(Some(waiter)) if waiter.waker.will_wake(waker) => (Poll::Pending, None),
            Some(Some(waiter)) => (
                Poll::Pending,
                Some(std::mem::replace(&mut waiter.waker, waker.clone())),
            ),
            Some(None) | None => (Poll::Ready(Ok(())), None),
        }
    }

    /// The sender gives up: takes its message out, unless it has been served.
    pub(super) fn cancel(&mut self, key: &WaitKey) -> Option<(T, Option<Waker>)> {
        let entries = self.entries.as_mut()?;
        if let Some(value) = entries.returned.remove(&key.0) {
            return Some((value, None));
        }
        let waiter = slot(self.first_key, &mut entries.line, key)?.take()?;
        entries.waiting -= 1;
        self.skip_holes();
        Some((waiter.value, Some(waiter.waker)))
    }

    /// The queue closed: sets all messages aside for their senders, which are to be woken.
    pub(super) fn return_all(&mut self) -> Vec<Waker> {
        let Some(entries) = self.entries.as_mut() else {
            return Vec::new();
        };
        let mut wakers = Vec::with_capacity(entries.waiting);
        for (key, waiter) in (self.first_key..).zip(entries.line.drain(..)) {
            self.first_key = key + 1;
            if let Some(Waiter { value, waker }) = waiter {
                entries.returned.insert(key, value);
                wakers.push(waker);
            }
        }
        entries.waiting = 0;
        wakers
    }

    /// Gives memory back if nobody needs it.
    pub(super) fn trim(&mut self) {
        if self
            .entries
            .as_ref()
            .is_some_and(|e| e.line.is_empty() && e.returned.is_empty())
        {
            self.entries = None;
        }
    }

    fn skip_holes(&mut self) {
        let Some(entries) = self.entries.as_mut() else {
            return;
        };
        while let Some(None) = entries.line.front() {
            entries.line.pop_front();
            self.first_key += 1;
        }
    }
}

fn slot<'a, T>(
    first_key: u64,
    line: &'a mut VecDeque<Option<Waiter<T>>>,
    key: &WaitKey,
) -> Option<&'a mut Option<Waiter<T>>> {
    let index = key.0.checked_sub(first_key)?;
    line.get_mut(usize::try_from(index).ok()?)
}
