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
//! | `published` | the consumer | number of messages taken out, as far as senders know |
//! | `head` | the consumer | position of the next message to take |
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
//! (in [`trim`](FifoConsumer::trim)) all up to a tail that it has moved to INSTALLING at that instant.
//!
//! **NOBLOCK.** Senders install a block in `tail_block` if it is null, then reserve slot 0 by a swap that clears the flag. The
//! one that succeeds sets `head_block`, which is null then: the consumer nulls it before it lets the tail go on.
//!
//! **Capacity** counts from the tail to `published`. Admission is checked before the swap, and `published` only grows, so the
//! bound holds when the swap succeeds. The consumer publishes for each message if the capacity is small, else at the end of
//! each block, and when it parks or pauses. Where `trim` skips the rest of a block it publishes the skip before the tail
//! moves on, and a full queue is diagnosed only with the tail not at INSTALLING, so skipped slots never count as messages.
//!
//! **No lost wake-up.** A sender moves `tail`, then reads the parked flag. The consumer sets the parked flag, then reads
//! `tail` (not the slot's ready mark: that comes later). All four are sequentially consistent, so one sees the other. A
//! consumer that sees the tail ahead of an unready slot does not park.
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

use std::collections::VecDeque;
use std::ptr::{self, NonNull};
use std::task::{Poll, Waker};

use super::block::{Block, SLOTS};
use super::claim::{Claim, Claimed};
use super::position::{
    CLOSED, INSTALLING, NOBLOCK, ONE, WAITERS, next_lap, number, offset, position,
};
use super::queue::{Joined, wake_all};
use super::signal::Signal;
use super::sync::atomic::{AtomicPtr, AtomicU64, Ordering::*};
use super::sync::{Backoff, Mutex, dekker, lock};
use super::wait::{WaitKey, WaitList};

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

/// How a send gets in.
#[derive(Clone, Copy)]
enum Entry {
    /// If there is room and nobody waits.
    Ordinary,
    /// If there is room; only under the line's lock.
    FromLine,
    /// Into a slot reserved elsewhere.
    Reserved,
}

/// `count` slots of `block`, from `first` on, that the holder must write.
struct Reserved<T> {
    block: NonNull<Block<T>>,
    first: usize,
    count: usize,
}

impl<T> Fifo<T> {
    /// `capacity` is at least 1; `usize::MAX` is unbounded.
    pub(super) fn new(capacity: usize) -> Self {
        // Half the range is more than memory holds, and cannot overflow when added to a number.
        let capacity = (capacity as u64).min(u64::MAX / 2);
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
    pub(super) fn len(&self) -> usize {
        let head = number(self.head.load(SeqCst));
        let tail = number(position(self.tail.load(SeqCst)));
        tail.saturating_sub(head) as usize
    }

    // Senders.

    #[inline]
    pub(super) fn try_push(&self, value: T) -> Result<(), (Denied, T)> {
        self.push(value, Entry::Ordinary)?;
        self.signal.notify();
        Ok(())
    }

    pub(super) fn force_push(&self, value: T) -> Result<(), T> {
        self.push(value, Entry::Reserved)
            .map_err(|(_closed, value)| value)?;
        self.signal.notify();
        Ok(())
    }

    /// One reservation for each block that the messages reach. Returns how many were pushed, and why no more.
    pub(super) fn push_all(&self, values: &mut VecDeque<T>) -> (usize, Option<Denied>) {
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
            self.signal.notify();
        }
        (pushed, denied)
    }

    /// Enters the line, unless there is room by now.
    pub(super) fn join_wait(&self, value: T, waker: &Waker) -> Result<Joined, T> {
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
        self.signal.notify();
        Ok(Joined::Queued)
    }

    pub(super) fn poll_wait(&self, key: &WaitKey, waker: &Waker) -> Poll<Result<(), T>> {
        let (poll, _replaced) = lock(&self.line).poll(key, waker);
        poll
    }

    pub(super) fn cancel_wait(&self, key: &WaitKey) -> Option<T> {
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

    #[inline]
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

    /// Reserves between 1 and `wanted` slots of one block.
    #[inline]
    fn reserve(&self, wanted: usize, entry: Entry) -> Result<Reserved<T>, Denied> {
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
                let limit = self.published.load(SeqCst) + self.capacity;
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
            std::mem::offset_of!(Self, signal) + 1,
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

/// The consumer. It exists once for each queue at a time, which is what the `SAFETY` comments below mean by "we are the
/// consumer".
pub(super) struct FifoConsumer<'a, T> {
    fifo: &'a Fifo<T>,
    _claimed: Claimed<'a>,
}

impl<T> FifoConsumer<'_, T> {
    /// The oldest message. `None`: the queue is empty.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        let fifo = self.fifo;
        let head = fifo.head.load(Relaxed);
        let index = offset(head);
        let block = match NonNull::new(fifo.head_block.load(Acquire)) {
            // SAFETY: we are the consumer, this is our block, and the head is never at INSTALLING.
            Some(block) if unsafe { Block::is_ready(block, index) } => block,
            _ => self.await_ready(head)?,
        };
        // SAFETY: ready, and read once, because the head moves on.
        let value = unsafe { Block::read(block, index) };
        if index + 1 < SLOTS {
            fifo.head.store(head + 1, Relaxed);
            if fifo.publish_each {
                self.publish_in_passing(head + 1);
            }
        } else {
            self.leave_block(block, head);
        }
        Some(value)
    }

    /// The head's slot is not ready. If it is reserved, waits for its sender.
    #[cold]
    fn await_ready(&self, head: u64) -> Option<NonNull<Block<T>>> {
        let fifo = self.fifo;
        if position(fifo.tail.load(SeqCst)) == head {
            return None;
        }
        let mut backoff = Backoff::new();
        loop {
            if let Some(block) = NonNull::new(fifo.head_block.load(Acquire)) {
                // SAFETY: as in `pop`.
                if unsafe { Block::is_ready(block, offset(head)) } {
                    return Some(block);
                }
            }
            backoff.wait();
        }
    }

    #[cold]
    fn leave_block(&self, spent: NonNull<Block<T>>, head: u64) {
        let fifo = self.fifo;
        // SAFETY: we are the consumer and have just read the last slot.
        let next = unsafe { Block::next(spent) };
        fifo.head_block.store(next.as_ptr(), Relaxed);
        let head = next_lap(head);
        fifo.head.store(head, Relaxed);
        // SAFETY: all slots were reserved, written and read, and writing was the last thing their senders did to the block.
        // `tail_block` has moved on, so nobody can reserve in it. It came from a box in `install` or `first_block`.
        fifo.keep(unsafe { Box::from_raw(spent.as_ptr()) });
        self.publish_in_passing(head);
    }

    /// Shows senders the room there is, and serves those in line if half of it is free. Misses one that joins meanwhile,
    /// who is seen the next time: there is one, because the consumer does not pause here.
    fn publish_in_passing(&self, head: u64) {
        let fifo = self.fifo;
        fifo.published.store(number(head), Release);
        let tail = fifo.tail.load(Relaxed);
        if tail & WAITERS != 0
            && number(position(tail)).saturating_sub(number(head)) <= fifo.capacity / 2
        {
            self.serve();
        }
    }

    /// Shows senders all the room there is, and serves those in line.
    pub(super) fn publish(&mut self) {
        let fifo = self.fifo;
        fifo.published
            .store(number(fifo.head.load(Relaxed)), SeqCst);
        dekker();
        if fifo.tail.load(SeqCst) & WAITERS != 0 {
            self.serve();
        }
    }

    /// Moves messages from the line into the queue, as far as there is room.
    #[cold]
    fn serve(&self) {
        let fifo = self.fifo;
        let mut wakers = Vec::new();
        {
            let mut line = lock(&fifo.line);
            while !line.is_empty()
                && let Ok(reserved) = fifo.reserve(1, Entry::FromLine)
            {
                let waiter = line
                    .pop_front()
                    .expect("the line is locked and was not empty");
                // SAFETY: the one slot of the reservation, written once.
                unsafe { Block::write(reserved.block, reserved.first, waiter.value) };
                wakers.push(waiter.waker);
            }
            if line.is_empty() {
                fifo.tail.fetch_and(!WAITERS, SeqCst);
            }
        }
        wake_all(wakers);
    }

    /// `true`: the queue is empty and the next message wakes the consumer.
    ///
    /// Keeps its block: an actor that handles one message for each poll must not allocate for each.
    pub(super) fn park(&mut self) -> bool {
        self.publish();
        let fifo = self.fifo;
        fifo.signal.park();
        let tail = fifo.tail.load(SeqCst);
        let empty = position(tail) == fifo.head.load(Relaxed) && tail & WAITERS == 0;
        if !empty {
            fifo.signal.unpark();
        }
        empty
    }

    /// If the queue is empty, gives its memory back.
    pub(super) fn trim(&mut self) {
        let fifo = self.fifo;
        drop(fifo.take_spare());
        let tail = fifo.tail.load(Acquire);
        let head = fifo.head.load(Relaxed);
        if position(tail) != head || tail & (WAITERS | NOBLOCK) != 0 {
            return;
        }
        // From here on senders wait until the tail moves on.
        let places_to_installing = (INSTALLING - offset(head)) as u64;
        let stopped = tail + ONE * places_to_installing;
        if fifo
            .tail
            .compare_exchange(tail, stopped, SeqCst, Relaxed)
            .is_err()
        {
            return;
        }
        let block = fifo.head_block.load(Relaxed);
        fifo.tail_block.store(ptr::null_mut(), Relaxed);
        fifo.head_block.store(ptr::null_mut(), Relaxed);
        let head = next_lap(head);
        fifo.head.store(head, Relaxed);
        fifo.published.store(number(head), Release);
        // A fetch_add and not a store: flags may have changed. NOBLOCK is not set, so adding sets it.
        fifo.tail.fetch_add(ONE + NOBLOCK, SeqCst);
        // SAFETY: every slot below the tail that we stopped was written and read, and none above was or will be reserved.
        // The head and the tail were in the same lap, so `head_block` was the installed block, which came from a box.
        drop(unsafe { Box::from_raw(block) });
        lock(&fifo.line).trim();
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
