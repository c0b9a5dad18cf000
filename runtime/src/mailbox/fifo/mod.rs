//! The block-linked FIFO: one compare-and-swap for each send, none for each receive, no lock on either path.
//!
//! A send reserves a slot by moving the tail, writes the message and marks the slot ready. The consumer walks through the
//! slots, block by block. Memory comes in blocks: the first is installed by the first send, a spent one is kept as a spare
//! for the next. Only senders that find no room touch a lock (see `wait`).
//!
//! # Who may touch what
//!
//! | field | written by | rules |
//! |---|---|---|
//! | `tail` | senders, consumer, closers | position and flags, see `position`; every change is a read-modify-write |
//! | `tail_block` | whoever moves the tail from or to [`INSTALLING`], and senders under NOBLOCK from null | the block of the tail's lap |
//! | `published` | the consumer; senders clear PARKED | number of messages taken out, as far as senders know, and whether the consumer sleeps |
//! | `head` | the consumer | position of the next message to take; [`INSTALLING`] from the last slot of a block to the next look |
//! | `head_block` | the consumer; when null, the sender of slot 0 | the block of the head's lap |
//! | `spare` | anybody | a block, owned by the word |
//! | `line` | holders of its lock | WAITERS is set and cleared only under this lock |
//!
//! # Why it is sound
//!
//! **A slot has one writer.** Positions are handed out by compare-and-swap on `tail`. A sender reads `tail`, then
//! `tail_block`, then swaps `tail`. Both changes of `tail_block` (to the next lap, to null) lie between two changes of the
//! tail's position, so if the swap succeeds the block that was read belongs to the position. Before the swap succeeded the
//! block is not touched: it may be gone. Afterwards it stays until the reserved slot has been read.
//!
//! **The last slot.** The sender that reserves it leaves the tail at INSTALLING, at which other senders wait. It links the
//! block it has allocated *before*, sets `tail_block`, and moves the tail on; there is no allocation and no foreign code in
//! between. Then it marks its slot ready. A consumer that sees the last slot ready therefore sees the link, and a tail that
//! has moved on.
//!
//! **A block is freed by the consumer alone**, after it has read all slots that were ever reserved: either all of them, or
//! (in [`trim`](FifoConsumer::trim)) all up to a tail that it has moved to INSTALLING at that instant. The head passes a message
//! before it is read, from where it lies; so a block is left not with its last message, but when the consumer looks for
//! another one, sleeps or trims.
//!
//! **NOBLOCK.** Senders install a block in `tail_block` if it is null, then reserve slot 0 by a swap that clears the flag. The
//! one that succeeds sets `head_block`, which is null then: the consumer nulls it before it lets the tail go on.
//!
//! **Capacity** counts from the tail to `published`. Admission is checked before the swap, and `published` only grows, so the
//! bound holds when the swap succeeds. The consumer publishes for each message if the capacity is small, else at the end of
//! each block, and when it parks or pauses. Where `trim` skips the rest of a block it publishes the skip before the tail
//! moves on, and a full queue is diagnosed only with the tail not at INSTALLING, so skipped slots never count as messages.
//!
//! **No lost wake-up.** A sender moves `tail`, then reads PARKED in `published`. The consumer sets PARKED, then reads
//! `tail` (not the slot's ready mark: that comes later). All four are sequentially consistent, so one sees the other. A
//! consumer that sees the tail ahead of an unready slot does not park. Whom to wake is the business of the `signal`.
//!
//! **No lost waiter.** A sender joins the line by setting WAITERS and then reading `published`; it stays only if that says full.
//! Before it pauses the consumer writes `published`, then reads WAITERS in `tail`. All are sequentially consistent, so either
//! the consumer sees WAITERS and takes the line's lock, or the sender sees all the room there is. If the sender still finds
//! the queue full, then messages were pushed after the consumer's look, and those pushes wake it. While the line is not
//! empty only the holder of its lock (who serves it in order) and pushes into reserved slots move the tail.
//!
//! **Closing** sets CLOSED in the same word that sends swap, so no send succeeds afterwards. It happens under the line's lock, so
//! nobody is in line at a closed queue.
//!
//! **Waiting.** A sender waits for one that installs a block, and the consumer for one that is between reserving and ready:
//! both a few instructions, for which they spin and then yield the thread. In exchange `pop` returns `None` only if the queue
//! is empty, so whoever drains a closed queue has drained it.

#![allow(unsafe_code)]

mod block;
mod consume;
mod position;
mod send;

use std::ptr::{self, NonNull};

use super::claim::Claim;
use super::queue::wake_all;
use super::signal::Signal;
use super::sync::atomic::{AtomicPtr, AtomicU64, Ordering::*};
use super::sync::{Mutex, lock};
use super::wait::WaitList;
use block::Block;
use position::{CLOSED, NOBLOCK, ONE, WAITERS, number, position};

pub(super) use consume::FifoConsumer;

/// What "as many as memory holds" is counted as, so that sums with it do not overflow.
const UNBOUNDED: u64 = u64::MAX / 2;
/// Below this capacity each message taken out is published at once: a block of early refusals would be felt.
const PUBLISH_EACH_BELOW: u64 = 64;

/// See the [module](self).
///
/// The fields of senders, those for the rare case and those of the consumer come in this order. The middle is longer than
/// a cache line, so the two ends never share one, without the alignment that would make allocating an actor slower.
#[repr(C)]
pub(super) struct Fifo<T> {
    // Senders, for each message.
    tail: AtomicU64,
    tail_block: AtomicPtr<Block<T>>,
    published: AtomicU64,
    capacity: u64,
    signal: Signal,
    // Now and then.
    line: Mutex<WaitList<T>>,
    spare: AtomicPtr<Block<T>>,
    // The consumer, for each message.
    head: AtomicU64,
    head_block: AtomicPtr<Block<T>>,
    publish_each: bool,
    claim: Claim,
}

/// Why no slot was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    Full,
    Closed,
}

impl<T> Fifo<T> {
    /// Whether a block is allocated, as the consumer last left it.
    #[inline]
    pub(super) fn holds_memory(&self) -> bool {
        !self.head_block.load(Relaxed).is_null()
    }

    /// `capacity` is at least 1; `usize::MAX` is unbounded.
    pub(super) fn new(capacity: usize) -> Self {
        // Half the range is more than memory holds, and cannot overflow when added to a number.
        let capacity = (capacity as u64).min(UNBOUNDED);
        Self {
            tail: AtomicU64::new(NOBLOCK),
            tail_block: AtomicPtr::new(ptr::null_mut()),
            published: AtomicU64::new(0),
            capacity,
            signal: Signal::new(),
            line: Mutex::new(WaitList::new()),
            spare: AtomicPtr::new(ptr::null_mut()),
            head: AtomicU64::new(0),
            head_block: AtomicPtr::new(ptr::null_mut()),
            publish_each: capacity < PUBLISH_EACH_BELOW,
            claim: Claim::new(),
        }
    }

    pub(super) fn signal(&self) -> &Signal {
        &self.signal
    }

    pub(super) fn is_closed(&self) -> bool {
        self.tail.load(SeqCst) & CLOSED != 0
    }

    /// Messages that were sent and not taken out; while both go on, a number that was true a moment ago.
    /// `usize::MAX` if unbounded.
    pub(super) fn capacity(&self) -> usize {
        match self.capacity {
            UNBOUNDED => usize::MAX,
            capacity => capacity as usize,
        }
    }

    pub(super) fn len(&self) -> usize {
        let head = number(self.head.load(SeqCst));
        let tail = number(position(self.tail.load(SeqCst)));
        tail.saturating_sub(head) as usize
    }

    // Blocks.

    /// Puts the next block in. Only for the sender that reserved the last slot, before it writes it.
    #[cold]
    fn install(&self, full: NonNull<Block<T>>, fresh: Box<Block<T>>) {
        // SAFETY: a box is not null.
        let next = unsafe { NonNull::new_unchecked(Box::into_raw(fresh)) };
        // SAFETY: our last slot is reserved and not written.
        unsafe { Block::link(full, next) };
        self.tail_block.store(next.as_ptr(), Release);
        self.tail.fetch_add(ONE, SeqCst);
    }

    /// The block for slot 0 under NOBLOCK: that of whoever was first.
    #[cold]
    fn first_block(&self) -> *mut Block<T> {
        let installed = self.tail_block.load(Acquire);
        if !installed.is_null() {
            return installed;
        }
        let ours = Box::into_raw(self.fresh_block());
        match self
            .tail_block
            .compare_exchange(ptr::null_mut(), ours, AcqRel, Acquire)
        {
            Ok(_) => ours,
            Err(theirs) => {
                // SAFETY: ours was not installed, so nobody else has seen it.
                self.keep(unsafe { Box::from_raw(ours) });
                theirs
            }
        }
    }

    #[cold]
    fn fresh_block(&self) -> Box<Block<T>> {
        match self.take_spare() {
            Some(mut spare) => {
                spare.recycle();
                spare
            }
            None => Block::boxed(),
        }
    }

    fn take_spare(&self) -> Option<Box<Block<T>>> {
        if self.spare.load(Relaxed).is_null() {
            return None;
        }
        let spare = self.spare.swap(ptr::null_mut(), Acquire);
        // SAFETY: what is in `spare` came from a box in `keep`, and the swap made it ours alone.
        (!spare.is_null()).then(|| unsafe { Box::from_raw(spare) })
    }

    /// Makes a block the spare one, or frees it if there is one.
    fn keep(&self, block: Box<Block<T>>) {
        let block = Box::into_raw(block);
        if self
            .spare
            .compare_exchange(ptr::null_mut(), block, Release, Relaxed)
            .is_err()
        {
            // SAFETY: it was not stored, so it is still ours alone.
            drop(unsafe { Box::from_raw(block) });
        }
    }

    // Life.

    pub(super) fn close(&self) {
        let wakers = {
            let mut line = lock(&self.line);
            self.tail.fetch_or(CLOSED, SeqCst);
            let wakers = line.return_all();
            self.tail.fetch_and(!WAITERS, SeqCst);
            wakers
        };
        wake_all(wakers);
    }

    pub(super) fn reopen(&self) {
        self.tail.fetch_and(!CLOSED, SeqCst);
    }

    /// Where the fields that senders use for each message end, and where the consumer's begin, in bytes.
    #[cfg(test)]
    pub(super) fn hot_fields() -> (usize, usize) {
        (
            std::mem::offset_of!(Self, capacity) + size_of::<u64>(),
            std::mem::offset_of!(Self, head),
        )
    }

    pub(super) fn consume(&self) -> Option<FifoConsumer<'_, T>> {
        let claimed = self.claim.take()?;
        Some(FifoConsumer {
            fifo: self,
            _claimed: claimed,
        })
    }
}

impl<T> Drop for Fifo<T> {
    fn drop(&mut self) {
        // `consume` fails only if a consumer was forgotten. Then it can do nothing any more.
        self.claim = Claim::new();
        if let Some(mut consumer) = self.consume() {
            while consumer.pop().is_some() {}
            consumer.trim();
        }
        // A first block may have been installed and never used.
        let unused = self.tail_block.load(Relaxed);
        if !unused.is_null() {
            // SAFETY: nobody else is left, and after `trim` an installed block is without messages.
            drop(unsafe { Box::from_raw(unused) });
        }
    }
}
