//! A block of message slots, the unit in which the FIFO takes memory.
//!
//! # Rules
//!
//! * A block is reached by raw pointers only while it is shared. It is a `Box` while exactly one thread owns it: before it
//!   is installed and after its last slot has been read.
//! * Each slot goes through one cycle for each use of its block: *empty*, written by the one sender that reserved it,
//!   *ready* (stored with release ordering), read by the consumer.
//! * Storing *ready* is the last thing a sender does to a block, linking the next block included. A consumer that has seen
//!   all slots ready and has read them may therefore free the block.
//! * A block does not know how many of its slots hold a message: whoever frees it has emptied it.

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use super::super::sync::UnsafeCell;
use super::super::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Slots of a block: with the link, messages of 8 bytes fill 504 bytes. The model checkers get small blocks, so that short
/// schedules cross from one to the next.
pub(super) const SLOTS: usize = if cfg!(any(treewarden_loom, treewarden_shuttle)) {
    3
} else {
    31
};

/// See the [module](self).
pub(super) struct Block<T> {
    next: AtomicPtr<Block<T>>,
    slots: [Slot<T>; SLOTS],
}

struct Slot<T> {
    value: UnsafeCell<MaybeUninit<T>>,
    ready: AtomicBool,
}

impl<T> Block<T> {
    /// A block without messages.
    pub(super) fn boxed() -> Box<Self> {
        let mut block = Box::<Self>::new_uninit();
        let fields = block.as_mut_ptr();
        // SAFETY: `fields` points to memory for a block that nobody else can reach. Every field is written, in place so that
        // large slots do not cross the stack, before the memory is called a block.
        unsafe {
            (&raw mut (*fields).next).write(AtomicPtr::new(ptr::null_mut()));
            for index in 0..SLOTS {
                let slot = &raw mut (*fields).slots[index];
                (&raw mut (*slot).value).write(UnsafeCell::new(MaybeUninit::uninit()));
                (&raw mut (*slot).ready).write(AtomicBool::new(false));
            }
            block.assume_init()
        }
    }

    /// Makes a block that has been read to the end fit for another use.
    pub(super) fn recycle(&mut self) {
        // The threads that used the block before are ordered before us by whatever handed it over.
        self.next.store(ptr::null_mut(), Ordering::Relaxed);
        for slot in &self.slots {
            slot.ready.store(false, Ordering::Relaxed);
        }
    }

    /// Moves a message into a slot and lets the consumer see it. The block may be gone when this returns.
    ///
    /// # Safety
    ///
    /// The caller reserved slot `index < SLOTS` of this installed block and has not written it yet.
    #[inline(always)]
    pub(super) unsafe fn write(block: NonNull<Self>, index: usize, value: T) {
        debug_assert!(index < SLOTS);
        // SAFETY: the block lives at least until the reserved slot is ready and read. No reference to the whole block is
        // made, since it may be freed as soon as `ready` is stored; `&AtomicBool` may dangle at the end of its call.
        unsafe {
            let slot = (&raw const (*block.as_ptr()).slots)
                .cast::<Slot<T>>()
                .add(index);
            // The reservation makes this thread the only one to touch the value before `ready`.
            (*slot).value.with_mut(|cell| (*cell).write(value));
            (*slot).ready.store(true, Ordering::Release);
        }
    }

    /// Whether the consumer may read a slot.
    ///
    /// # Safety
    ///
    /// The caller is the consumer, the block is its current one, and `index < SLOTS`.
    #[inline(always)]
    pub(super) unsafe fn is_ready(block: NonNull<Self>, index: usize) -> bool {
        debug_assert!(index < SLOTS);
        // SAFETY: only the consumer frees the block, and it is here.
        unsafe {
            block
                .as_ref()
                .slots
                .get_unchecked(index)
                .ready
                .load(Ordering::Acquire)
        }
    }

    /// Where the message of a slot lies.
    ///
    /// # Safety
    ///
    /// As [`is_ready`](Block::is_ready), which returned `true` for this slot; the slot has not been read before.
    #[inline(always)]
    pub(super) unsafe fn at(block: NonNull<Self>, index: usize) -> NonNull<T> {
        // SAFETY: ready means initialized, and the acquiring load made the value visible. Nobody writes a ready slot.
        unsafe {
            block
                .as_ref()
                .slots
                .get_unchecked(index)
                .value
                .with_mut(|cell| NonNull::new_unchecked(cell.cast::<T>()))
        }
    }

    /// Sets the block that follows.
    ///
    /// # Safety
    ///
    /// The caller reserved the last slot of this installed block and has not written it yet.
    pub(super) unsafe fn link(block: NonNull<Self>, next: NonNull<Self>) {
        // SAFETY: the last slot is not ready, so the block is alive. Its ready flag publishes this store.
        unsafe { block.as_ref().next.store(next.as_ptr(), Ordering::Relaxed) }
    }

    /// The block that follows.
    ///
    /// # Safety
    ///
    /// The caller is the consumer, the block is its current one, and its last slot was seen ready.
    pub(super) unsafe fn next(block: NonNull<Self>) -> NonNull<Self> {
        // SAFETY: only the consumer frees the block. The sender of the last slot linked a block before it made the slot
        // ready, so the pointer is visible and not null.
        unsafe { NonNull::new_unchecked(block.as_ref().next.load(Ordering::Relaxed)) }
    }
}
