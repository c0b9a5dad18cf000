//! Sending: reserving slots, writing them, and waiting in line.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::task::{Poll, Waker};

use super::super::queue::{Joined, apart};
use super::super::sync::atomic::Ordering::*;
use super::super::sync::{Backoff, dekker, lock};
use super::super::wait::WaitKey;
use super::block::{Block, SLOTS};
use super::position::{
    CLOSED, INSTALLING, NOBLOCK, ONE, PARKED, WAITERS, number, offset, position, taken_out,
};
use super::{Denied, Fifo};

/// How a send gets in.
#[derive(Clone, Copy)]
pub(super) enum Entry {
    /// If there is room and nobody waits.
    Ordinary,
    /// If there is room; only under the line's lock.
    FromLine,
    /// Into a slot reserved elsewhere.
    Reserved,
}

/// `count` slots of `block`, from `first` on, that the holder must write.
pub(super) struct Reserved<T> {
    pub(super) block: NonNull<Block<T>>,
    pub(super) first: usize,
    pub(super) count: usize,
}

impl<T> Fifo<T> {
    #[inline(always)]
    pub(in crate::mailbox) fn try_push(&self, value: T) -> Result<(), (Denied, T)> {
        match self.reserve_within_block() {
            // SAFETY: the one slot of the reservation, written once.
            Some(reserved) => unsafe { Block::write(reserved.block, reserved.first, value) },
            None => self.push(apart(value), Entry::Ordinary)?,
        }
        self.notify();
        Ok(())
    }

    pub(in crate::mailbox) fn force_push(&self, value: T) -> Result<(), T> {
        self.push(value, Entry::Reserved)
            .map_err(|(_closed, value)| value)?;
        self.notify();
        Ok(())
    }

    /// One reservation for each block that the messages reach. Returns how many were pushed, and why no more.
    pub(in crate::mailbox) fn push_all(&self, values: &mut VecDeque<T>) -> (usize, Option<Denied>) {
        let mut pushed = 0;
        let mut denied = None;
        while !values.is_empty() {
            match self.reserve(values.len(), Entry::Ordinary) {
                Ok(reserved) => {
                    pushed += reserved.count;
                    for (index, value) in (reserved.first..).zip(values.drain(..reserved.count)) {
                        // SAFETY: each index of the reservation is written once; `reserve` gives at most as many slots as
                        // there are values, so none is left unwritten.
                        unsafe { Block::write(reserved.block, index, value) };
                    }
                }
                Err(reason) => {
                    denied = Some(reason);
                    break;
                }
            }
        }
        if pushed > 0 {
            self.notify();
        }
        (pushed, denied)
    }

    /// Enters the line, unless there is room by now.
    pub(in crate::mailbox) fn join_wait(&self, value: T, waker: &Waker) -> Result<Joined, T> {
        {
            let mut line = lock(&self.line);
            self.tail.fetch_or(WAITERS, SeqCst);
            dekker();
            // With others in line, the rule about them holds for us too.
            let value = if line.is_empty() {
                let pushed = self.push(value, Entry::FromLine);
                if !matches!(pushed, Err((Denied::Full, _))) {
                    self.tail.fetch_and(!WAITERS, SeqCst);
                }
                match pushed {
                    Ok(()) => None,
                    Err((Denied::Full, value)) => Some(value),
                    Err((Denied::Closed, value)) => return Err(value),
                }
            } else {
                Some(value)
            };
            if let Some(value) = value {
                return Ok(Joined::Waiting(line.join(value, waker)));
            }
        }
        self.notify();
        Ok(Joined::Queued)
    }

    pub(in crate::mailbox) fn poll_wait(
        &self,
        key: &WaitKey,
        waker: &Waker,
    ) -> Poll<Result<(), T>> {
        let (poll, _replaced) = lock(&self.line).poll(key, waker);
        poll
    }

    pub(in crate::mailbox) fn cancel_wait(&self, key: &WaitKey) -> Option<T> {
        let (value, _waker) = {
            let mut line = lock(&self.line);
            let cancelled = line.cancel(key)?;
            if line.is_empty() {
                self.tail.fetch_and(!WAITERS, SeqCst);
            }
            cancelled
        };
        Some(value)
    }

    /// After a message was pushed: wakes the consumer if it is parked.
    #[inline]
    fn notify(&self) {
        dekker();
        if self.published.load(SeqCst) & PARKED != 0 {
            self.notify_parked();
        }
    }

    #[cold]
    fn notify_parked(&self) {
        if self.published.fetch_and(!PARKED, SeqCst) & PARKED != 0 {
            self.signal.wake();
        }
    }

    #[cold]
    fn push(&self, value: T, entry: Entry) -> Result<(), (Denied, T)> {
        match self.reserve(1, entry) {
            Ok(reserved) => {
                // SAFETY: the one slot of the reservation, written once.
                unsafe { Block::write(reserved.block, reserved.first, value) };
                Ok(())
            }
            Err(denied) => Err((denied, value)),
        }
    }

    /// The common case of [`reserve`](Self::reserve), at half its price: one slot, with room, not the last of its block, at
    /// the first attempt. `None`: anything else.
    #[inline(always)]
    fn reserve_within_block(&self) -> Option<Reserved<T>> {
        let tail = self.tail.load(Acquire);
        let first = offset(position(tail));
        if tail & (CLOSED | WAITERS | NOBLOCK) != 0 || first + 1 >= SLOTS {
            return None;
        }
        if number(position(tail)) >= taken_out(self.published.load(SeqCst)) + self.capacity {
            return None;
        }
        let block = self.tail_block.load(Acquire);
        self.tail
            .compare_exchange(tail, tail + ONE, SeqCst, Relaxed)
            .ok()?;
        // SAFETY: as in `reserve`.
        let block = unsafe { NonNull::new_unchecked(block) };
        Some(Reserved {
            block,
            first,
            count: 1,
        })
    }

    /// Reserves between 1 and `wanted` slots of one block.
    pub(super) fn reserve(&self, wanted: usize, entry: Entry) -> Result<Reserved<T>, Denied> {
        let stops = match entry {
            Entry::Ordinary => CLOSED | WAITERS,
            Entry::FromLine | Entry::Reserved => CLOSED,
        };
        let mut fresh = None;
        let mut backoff = Backoff::new();
        let mut tail = self.tail.load(Acquire);
        let denied = loop {
            if tail & stops != 0 {
                break if tail & CLOSED != 0 {
                    Denied::Closed
                } else {
                    Denied::Full
                };
            }
            let first = offset(position(tail));
            if first == INSTALLING {
                backoff.wait();
                tail = self.tail.load(Acquire);
                continue;
            }
            let mut count = wanted.min(SLOTS - first);
            if !matches!(entry, Entry::Reserved) {
                let limit = taken_out(self.published.load(SeqCst)) + self.capacity;
                // If the tail is out of date this may be less than 0 or too much, and the swap will fail.
                match limit.saturating_sub(number(position(tail))) {
                    0 => break Denied::Full,
                    room => count = count.min(usize::try_from(room).unwrap_or(usize::MAX)),
                }
            }
            let fills = first + count == SLOTS;
            if fills && fresh.is_none() {
                fresh = Some(self.fresh_block());
            }
            let block = if tail & NOBLOCK == 0 {
                self.tail_block.load(Acquire)
            } else {
                self.first_block()
            };
            let moved = (tail & !NOBLOCK) + ONE * count as u64;
            if let Err(now) = self
                .tail
                .compare_exchange_weak(tail, moved, SeqCst, Acquire)
            {
                tail = now;
                continue;
            }
            // SAFETY: the swap succeeded, so the block that was read before is that of our position, see the module; it is
            // not null, since only NOBLOCK allows that.
            let block = unsafe { NonNull::new_unchecked(block) };
            if tail & NOBLOCK != 0 {
                self.head_block.store(block.as_ptr(), Release);
            }
            match fresh {
                Some(fresh) if fills => self.install(block, fresh),
                Some(unneeded) => self.keep(unneeded),
                None => {}
            }
            return Ok(Reserved {
                block,
                first,
                count,
            });
        };
        if let Some(unneeded) = fresh {
            self.keep(unneeded);
        }
        Err(denied)
    }
}
