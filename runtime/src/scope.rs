//! What a thread knows of the actor that it is polling: whose turn it is, which context its asks inherit, and which replies
//! were dropped unanswered.
//!
//! Rules. The run loop enters a scope at the beginning of each poll and leaves it at the end; it settles all orphans
//! before it leaves. A reply that is dropped inside a scope is not settled at once, because whether its handler will
//! return `Ok`, fail or panic is not known yet; it becomes an orphan. A reply that is dropped while messages are being
//! discarded is settled at once with the verdict of that discarding. Actors are never polled inside each other's polls.

use std::cell::{Cell, RefCell};

use std::sync::Arc;

use crate::{ask::AskError, envelope::MessageContext, watchdog::Post};

thread_local! {
    /// The address of the cell being polled, 0 outside.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    /// What to tell the askers of messages that are dropped just now.
    static VERDICT: Cell<Option<AskError>> = const { Cell::new(None) };
    static HAS_ORPHANS: Cell<bool> = const { Cell::new(false) };
    static ORPHANS: RefCell<Vec<Orphan>> = const { RefCell::new(Vec::new()) };
    /// Whether an end of a handler just now was no return of it, so that the replies it drops were not forgotten.
    static CUT: Cell<bool> = const { Cell::new(false) };
    static IS_FENCED: Cell<bool> = const { Cell::new(false) };
    static FENCE: RefCell<Option<Fence>> = const { RefCell::new(None) };
    static INHERITS: Cell<bool> = const { Cell::new(false) };
    static INHERITED: RefCell<Option<Arc<MessageContext>>> = const { RefCell::new(None) };
}

/// The post of the actor being polled, and the generation of its run loop.
type Fence = (Arc<Post>, u32);

/// Tells an asker why there is no answer.
type Orphan = Box<dyn FnOnce(AskError) + Send>;

/// While it lives, this thread polls the actor whose cell has the address `current`.
pub(crate) struct Entered {
    outer: usize,
}

pub(crate) fn enter(current: usize) -> Entered {
    Entered {
        outer: CURRENT.replace(current),
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
        if INHERITS.get() {
            inherit_nothing();
        }
    }
}

/// Asks made on this thread inherit `context` from now on: before a handler whose message has one is polled.
#[cold]
pub(crate) fn inherit(context: &Arc<MessageContext>) {
    // A monitor's message has a context for its slot's sake alone.
    if context.slot.is_none() {
        INHERITS.set(true);
        INHERITED.set(Some(context.clone()));
    }
}

/// Asks inherit nothing any more: when the handler has been polled. The end of the scope does this as well, so that a panic in
/// the handler leaves nothing behind.
#[cold]
pub(crate) fn inherit_nothing() {
    INHERITS.set(false);
    INHERITED.set(None);
}

/// What an ask inherits here.
#[inline]
pub(crate) fn inherited() -> Option<Arc<MessageContext>> {
    match INHERITS.get() {
        false => None,
        true => INHERITED.with_borrow(Clone::clone),
    }
}

/// For handlers that may be given up, while they are polled.
pub(crate) fn set_fence(fence: Option<Fence>) {
    IS_FENCED.set(fence.is_some());
    FENCE.set(fence);
}

/// Whether the handler that runs on this thread was given up: the address belongs to another.
#[inline]
pub(crate) fn is_given_up() -> bool {
    IS_FENCED.get()
        && FENCE.with_borrow(|fence| {
            fence
                .as_ref()
                .is_some_and(|(post, generation)| post.generation() != *generation)
        })
}

/// The handler was cancelled or given up: what it drops until [`end_cut`] was never answered because of that.
#[cold]
pub(crate) fn begin_cut() {
    CUT.set(true);
}

#[cold]
pub(crate) fn end_cut() {
    CUT.set(false);
}

pub(crate) fn is_cut() -> bool {
    CUT.get()
}

/// The address of the cell being polled on this thread, 0 if none is.
#[inline]
pub(crate) fn current() -> usize {
    CURRENT.get()
}

#[inline]
pub(crate) fn has_orphans() -> bool {
    HAS_ORPHANS.get()
}

/// Tells the askers of all replies that were dropped in this scope.
#[cold]
pub(crate) fn settle_orphans(error: AskError) {
    HAS_ORPHANS.set(false);
    for orphan in ORPHANS.take() {
        orphan(error);
    }
}

/// Runs `discard`, and tells `verdict` to the askers of what it drops.
pub(crate) fn discarding<R>(verdict: AskError, discard: impl FnOnce() -> R) -> R {
    struct Restore(Option<AskError>);
    impl Drop for Restore {
        fn drop(&mut self) {
            VERDICT.set(self.0);
        }
    }
    let _restore = Restore(VERDICT.replace(Some(verdict)));
    discard()
}

/// Where a reply goes that is dropped unanswered.
pub(crate) fn abandon(orphan: Orphan) {
    // While a thread's locals are torn down there is no scope either.
    let verdict = VERDICT.try_with(Cell::get).ok().flatten();
    let inside = CURRENT.try_with(Cell::get).unwrap_or(0) != 0;
    match verdict {
        Some(error) => orphan(error),
        None if inside => {
            HAS_ORPHANS.set(true);
            ORPHANS.with_borrow_mut(|orphans| orphans.push(orphan));
        }
        None => orphan(AskError::NoReply),
    }
}
