//! Receiving, publishing and giving memory back. Once for each queue at a time: [`Claim`](super::Claim) sees to it.

use std::ptr::{self, NonNull};

use super::super::claim::Claimed;
use super::super::queue::wake_all;
use super::super::sync::atomic::Ordering::*;
use super::super::sync::{Backoff, dekker, lock, store_among_changes};
use super::Fifo;
use super::block::{Block, SLOTS};
use super::position::{
    INSTALLING, NOBLOCK, ONE, PARKED, WAITERS, next_lap, number, offset, position, publication,
};
use super::send::Entry;

/// The consumer. It exists once for each queue at a time, which is what the `SAFETY` comments below mean by "we are the
/// consumer".
pub(in crate::mailbox) struct FifoConsumer<'a, T> {
    pub(super) fifo: &'a Fifo<T>,
    pub(super) _claimed: Claimed<'a>,
}

impl<T> FifoConsumer<'_, T> {
    /// The head and its block, whose slot is ready. `None`: the queue is empty.
    #[inline(always)]
    fn ready(&self) -> Option<(u64, NonNull<Block<T>>)> {
        let head = self.fifo.head.load(Relaxed);
        if offset(head) < SLOTS
            && let Some(block) = NonNull::new(self.fifo.head_block.load(Acquire))
            // SAFETY: we are the consumer, this is our block, and the offset is that of a slot.
            && unsafe { Block::is_ready(block, offset(head)) }
        {
            return Some((head, block));
        }
        self.await_ready()
    }

    /// Lets `look` see the oldest message, which stays where it is; if `look` panics it is dropped. `None`: the queue is empty.
    #[inline(always)]
    pub(in crate::mailbox) fn look<R>(&mut self, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        /// Takes the message out: whoever could not bear the sight of it is not to see it again.
        struct Unwinding<'c, 'a, T>(&'c mut FifoConsumer<'a, T>);

        impl<T> Drop for Unwinding<'_, '_, T> {
            fn drop(&mut self) {
                drop(self.0.pop());
            }
        }

        let (head, block) = self.ready()?;
        let unwinding = Unwinding(self);
        // SAFETY: ready, and not read, because the head stands there; nobody else sees it before we move on.
        let looked = look(unsafe { Block::at(block, offset(head)).as_mut() });
        std::mem::forget(unwinding);
        Some(looked)
    }

    /// Where the oldest message lies, which is the caller's now, and stays there until the next look. `None`: the queue is
    /// empty.
    #[inline(always)]
    pub(in crate::mailbox) fn pass(&mut self) -> Option<NonNull<T>> {
        let (head, block) = self.ready()?;
        // After the last slot of a block this is INSTALLING; the block is left at the next look.
        self.fifo.head.store(head + 1, Relaxed);
        if self.fifo.publish_each {
            self.publish_in_passing(head + 1);
        }
        // SAFETY: ready, and not read, because the head stood there.
        Some(unsafe { Block::at(block, offset(head)) })
    }

    /// The oldest message. `None`: the queue is empty.
    pub(in crate::mailbox) fn pop(&mut self) -> Option<T> {
        // SAFETY: it is ours, and read once.
        self.pass().map(|at| unsafe { at.read() })
    }

    /// The head is at the end of its block, or its slot is not ready. If it is reserved, waits for its sender.
    #[cold]
    #[inline(never)]
    fn await_ready(&self) -> Option<(u64, NonNull<Block<T>>)> {
        let fifo = self.fifo;
        let head = self.leave_if_spent();
        let mut backoff = Backoff::new();
        loop {
            if let Some(block) = NonNull::new(fifo.head_block.load(Acquire)) {
                // SAFETY: as in `ready`.
                if unsafe { Block::is_ready(block, offset(head)) } {
                    return Some((head, block));
                }
            }
            if position(fifo.tail.load(SeqCst)) == head {
                return None;
            }
            backoff.wait();
        }
    }

    /// The head, at a slot: leaves the block whose last slot has been read.
    fn leave_if_spent(&self) -> u64 {
        let head = self.fifo.head.load(Relaxed);
        match offset(head) {
            INSTALLING => self.leave_block(head),
            _ => head,
        }
    }

    #[cold]
    fn leave_block(&self, head: u64) -> u64 {
        let fifo = self.fifo;
        // SAFETY: the head is at the end of a block, so there is one.
        let spent = unsafe { NonNull::new_unchecked(fifo.head_block.load(Relaxed)) };
        // SAFETY: we are the consumer and have read the last slot.
        let next = unsafe { Block::next(spent) };
        fifo.head_block.store(next.as_ptr(), Relaxed);
        let head = next_lap(head);
        fifo.head.store(head, Relaxed);
        // SAFETY: all slots were reserved, written and read, and writing was the last thing their senders did to the block.
        // `tail_block` has moved on, so nobody can reserve in it. It came from a box in `install` or `first_block`.
        fifo.keep(unsafe { Box::from_raw(spent.as_ptr()) });
        self.publish_in_passing(head);
        head
    }

    /// Shows senders the room there is, and serves those in line if half of it is free. Misses one that joins meanwhile,
    /// who is seen the next time: there is one, because the consumer does not pause here.
    fn publish_in_passing(&self, head: u64) {
        let fifo = self.fifo;
        store_among_changes(&fifo.published, publication(number(head)), Release);
        let tail = fifo.tail.load(Relaxed);
        if tail & WAITERS != 0
            && number(position(tail)).saturating_sub(number(head)) <= fifo.capacity / 2
        {
            self.serve();
        }
    }

    /// Shows senders all the room there is, and serves those in line.
    pub(in crate::mailbox) fn publish(&mut self) {
        let fifo = self.fifo;
        let taken_out = number(fifo.head.load(Relaxed));
        store_among_changes(&fifo.published, publication(taken_out), SeqCst);
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
    pub(in crate::mailbox) fn park(&mut self) -> bool {
        let fifo = self.fifo;
        let head = self.leave_if_spent();
        // One write shows all the room there is and that we sleep; one look afterwards sees messages and those in line. A
        // swap costs what a sequentially consistent store does.
        let parked = publication(number(head)) | PARKED;
        fifo.published.swap(parked, SeqCst);
        dekker();
        let tail = fifo.tail.load(SeqCst);
        let empty = position(tail) == head && tail & WAITERS == 0;
        if !empty {
            self.unpark();
            if tail & WAITERS != 0 {
                self.serve();
            }
        }
        empty
    }

    /// Running again: senders need not wake. One that misses this wakes in vain.
    pub(in crate::mailbox) fn unpark(&mut self) {
        let published = &self.fifo.published;
        let word = published.load(Relaxed);
        if word & PARKED != 0 {
            // Besides us only senders write the word, and they do nothing but clear the same flag.
            store_among_changes(published, word & !PARKED, Relaxed);
        }
    }

    /// If the queue is empty, gives its memory back.
    pub(in crate::mailbox) fn trim(&mut self) {
        let fifo = self.fifo;
        let head = self.leave_if_spent();
        drop(fifo.take_spare());
        let tail = fifo.tail.load(Acquire);
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
        // Whoever trims the queue of a sleeping consumer leaves it asleep. If a sender has just woken it, it is woken twice.
        let parked = fifo.published.load(Relaxed) & PARKED;
        let published = publication(number(head)) | parked;
        store_among_changes(&fifo.published, published, Release);
        // A fetch_add and not a store: flags may have changed. NOBLOCK is not set, so adding sets it.
        fifo.tail.fetch_add(ONE + NOBLOCK, SeqCst);
        // SAFETY: every slot below the tail that we stopped was written and read, and none above was or will be reserved.
        // The head and the tail were in the same lap, so `head_block` was the installed block, which came from a box.
        drop(unsafe { Box::from_raw(block) });
        lock(&fifo.line).trim();
    }
}
