//! Where the answer of an ask goes: one allocation that two parties share, and the last of them frees.
//!
//! A [`Right`] is the right to answer, one pointer wide, so that a message pays no more than that for its reply. It leads
//! either to an [`Answer`], which waits for the value, or to a function that is called with it. Answering an asker costs
//! one read-modify-write, waiting for the answer another one.
//!
//! # Rules
//!
//! The *replier* holds the right, the *asker* the answer. `state` says who may touch what:
//!
//! | state | the value belongs to | the waker belongs to | next |
//! |---|---|---|---|
//! | EMPTY | the replier | the asker | WAKER or ABANDONED by the asker, FILLING by the replier |
//! | WAKER | the replier | nobody; it stays as it is | EMPTY by the asker, FILLING by the replier |
//! | FILLING | the replier | the replier if it came from WAKER, else the asker | FILLED by the replier, a few instructions later |
//! | FILLED | the asker | the asker | none: the asker frees the slot |
//! | ABANDONED | the replier | the replier | none: the replier frees the slot |
//!
//! * The replier writes the value first, then swaps FILLING in. What it finds tells what is left to do: wake, free, or
//!   nothing. After it has stored FILLED it does not touch the slot again, because the asker may have freed it.
//! * The asker changes the state by compare-and-swap alone, never from FILLING, which it waits out. It reads or replaces
//!   its waker only after it has taken it back (WAKER to EMPTY). After ABANDONED it does not touch the slot again.
//! * No foreign code (a waker, a value's destructor) runs while the state is FILLING.
//! * An asker that [gives up](Answer::give_up) leaves a note in place of its waker before ABANDONED: whoever answers all the
//!   same calls it. So an answer that nobody waits for is heard of, and one that never comes is not.
//! * A right that is dropped unused fills the slot with nothing, so an asker never waits in vain.
//!
//! The word of a [`Right`] is null once it is used. Through a shared reference it can be taken by one of several threads
//! ([`Right::take`]) while another one looks at the slot ([`Right::is_abandoned`]); so that the slot is not freed under
//! the eyes of the second, it puts [`LOOKING`] into the word meanwhile, and others wait those few instructions out.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::{self, NonNull};
use std::task::{Poll, Waker};

use super::sync::atomic::{AtomicPtr, AtomicU8, Ordering::*};
use super::sync::{Backoff, UnsafeCell};

/// Nothing has happened yet, or the asker is at its waker.
const EMPTY: u8 = 0;
/// The asker sleeps, and its waker is in the slot.
const WAKER: u8 = 1;
/// The replier is at the waker.
const FILLING: u8 = 2;
/// The replier is done.
const FILLED: u8 = 3;
/// The asker has gone away.
const ABANDONED: u8 = 4;

struct Slot<V> {
    state: AtomicU8,
    /// `None` when FILLED: there is no answer, or it has been taken.
    value: UnsafeCell<Option<V>>,
    waker: UnsafeCell<Option<Waker>>,
    /// Lets the model checker find a slot that is never freed.
    #[cfg(treewarden_loom)]
    _allocation: loom::alloc::Track<()>,
}

/// A function that takes the place of an asker.
type Call<V> = Box<dyn FnOnce(V) + Send>;

/// A right, and where its answer comes out.
#[inline]
pub(crate) fn channel<V>() -> (Right<V>, Answer<V>) {
    let slot = NonNull::from(Box::leak(Box::new(Slot {
        state: AtomicU8::new(EMPTY),
        value: UnsafeCell::new(None),
        waker: UnsafeCell::new(None),
        #[cfg(treewarden_loom)]
        _allocation: loom::alloc::Track::new(()),
    })));
    (Right::of(slot.as_ptr()), Answer { slot })
}

/// Set in a right's word that points to a [`Call`]. Both kinds of allocation are aligned to more than that.
const CALL: usize = 1;
/// In place of a right's word while another thread looks at its slot.
const LOOKING: usize = 2;

const _: () = assert!(align_of::<Slot<()>>() > CALL && align_of::<Call<()>>() > CALL);

/// The right to answer, once. See the [module](self).
pub(crate) struct Right<V> {
    /// Null, [`LOOKING`], a slot, or a box of a call with the mark [`CALL`].
    word: AtomicPtr<Slot<V>>,
    _value: PhantomData<V>,
}

/// What becomes of the note of an asker that has given up.
#[derive(Clone, Copy)]
enum Note {
    Call,
    Leave,
}

/// What a right leads to.
enum Target<V> {
    Asker(NonNull<Slot<V>>),
    Call(Box<Call<V>>),
}

// SAFETY: a right is one of two ends of a channel through which values move from thread to thread; nothing else of the
// value's type is shared. Calls are `Send`.
unsafe impl<V: Send> Send for Right<V> {}
// SAFETY: through a shared reference a right can be moved out, which is what `Send` allows, by one thread alone, and its
// state be read.
unsafe impl<V: Send> Sync for Right<V> {}
// What a panic interrupts is at most the call of a function that the right has already given up.
impl<V> UnwindSafe for Right<V> {}
impl<V> RefUnwindSafe for Right<V> {}

impl<V> Right<V> {
    fn of(word: *mut Slot<V>) -> Self {
        Self {
            word: AtomicPtr::new(word),
            _value: PhantomData,
        }
    }

    /// A right that calls `call` with the value.
    pub(crate) fn calling(call: Call<V>) -> Self {
        let call = Box::into_raw(Box::new(call));
        Self::of(call.cast::<Slot<V>>().map_addr(|address| address | CALL))
    }

    /// Answers, if that has not been done yet. If the asker has given up, its note is called.
    #[inline]
    pub(crate) fn answer(&mut self, value: V) {
        self.end(value, Note::Call);
    }

    /// [`answer`](Self::answer) with what is no answer, but the reason why there is none: the note of an asker is not called.
    #[inline]
    pub(crate) fn refuse(&mut self, value: V) {
        self.end(value, Note::Leave);
    }

    #[inline(always)]
    fn end(&mut self, value: V, note: Note) {
        match self.take_target() {
            // SAFETY: the target came out of this right.
            Some(Target::Asker(slot)) => unsafe { fill(slot, Some(value), note) },
            Some(Target::Call(call)) => call(value),
            None => {}
        }
    }

    /// Whether it has been used or taken.
    #[inline]
    pub(crate) fn is_used(&mut self) -> bool {
        // Relaxed, here and below, where the reference is exclusive: whatever made it so orders what came before.
        self.word.load(Relaxed).is_null()
    }

    /// Moves the right out, once; then only used ones.
    #[cfg_attr(
        not(feature = "wire"),
        allow(dead_code, reason = "for replies that leave")
    )]
    pub(crate) fn take(&self) -> Self {
        let word = self.hold();
        self.word.store(ptr::null_mut(), Release);
        Self::of(word)
    }

    /// [`take`](Self::take) for the only owner.
    #[inline]
    pub(crate) fn take_mut(&mut self) -> Self {
        let word = self.word.load(Relaxed);
        self.word.store(ptr::null_mut(), Relaxed);
        Self::of(word)
    }

    /// Whether the asker has gone away. Never for a call, nor once the right is used.
    pub(crate) fn is_abandoned(&self) -> bool {
        let word = self.hold();
        let is_abandoned = !word.is_null() && word.addr() & CALL == 0 && {
            // SAFETY: an unused right keeps its slot alive, and nobody can use it while we hold its word.
            unsafe { (*word).state.load(Relaxed) == ABANDONED }
        };
        self.word.store(word, Release);
        is_abandoned
    }

    /// Puts LOOKING into the word; the caller stores another one soon.
    fn hold(&self) -> *mut Slot<V> {
        let looking = ptr::without_provenance_mut(LOOKING);
        let mut backoff = Backoff::new();
        loop {
            let word = self.word.load(Relaxed);
            let held = word.addr() != LOOKING
                && self
                    .word
                    .compare_exchange(word, looking, Acquire, Relaxed)
                    .is_ok();
            if held {
                return word;
            }
            backoff.wait();
        }
    }

    #[inline]
    fn take_target(&mut self) -> Option<Target<V>> {
        let word = self.word.load(Relaxed);
        self.word.store(ptr::null_mut(), Relaxed);
        let slot = NonNull::new(word)?;
        Some(if word.addr() & CALL == 0 {
            Target::Asker(slot)
        } else {
            let call = word.map_addr(|address| address & !CALL).cast::<Call<V>>();
            // SAFETY: the mark says that `calling` made the word from such a box, and the word is gone now.
            Target::Call(unsafe { Box::from_raw(call) })
        })
    }
}

impl<V> Drop for Right<V> {
    #[inline]
    fn drop(&mut self) {
        if let Some(Target::Asker(slot)) = self.take_target() {
            // SAFETY: the target came out of this right.
            unsafe { fill(slot, None, Note::Leave) }
        }
    }
}

/// Hands the value, or that there is none, to the asker, or drops it if there is no asker any more.
///
/// # Safety
///
/// The caller took the slot out of the one right to it.
#[inline]
unsafe fn fill<V>(slot: NonNull<Slot<V>>, value: Option<V>, note: Note) {
    let to = slot.as_ptr();
    // SAFETY: the slot lives until it is FILLED or we free it. No reference to all of it is made, since the asker may free
    // it as soon as FILLED is stored. Before FILLED the value is ours. The waker is ours if FILLING replaced WAKER, and the
    // swap's acquire makes it visible. ABANDONED was the asker's last access, so the box is ours.
    unsafe {
        (*to).value.with_mut(|cell| *cell = value);
        match (*to).state.swap(FILLING, AcqRel) {
            EMPTY => (*to).state.store(FILLED, Release),
            WAKER => {
                let waker = (*to).waker.with_mut(|cell| (*cell).take());
                (*to).state.store(FILLED, Release);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            ABANDONED => drop_unseen(Box::from_raw(to), note),
            state => unreachable!("a slot is filled once; it was in state {state}"),
        }
    }
}

/// Drops a slot whose asker has given up.
#[cold]
fn drop_unseen<V>(slot: Box<Slot<V>>, note: Note) {
    // SAFETY: the slot is ours alone.
    let left = slot.waker.with_mut(|cell| unsafe { (*cell).take() });
    drop(slot);
    if let (Note::Call, Some(left)) = (note, left) {
        left.wake();
    }
}

/// Where an answer comes out, once. See the [module](self).
pub(crate) struct Answer<V> {
    slot: NonNull<Slot<V>>,
}

// SAFETY: as for `Right`.
unsafe impl<V: Send> Send for Answer<V> {}

impl<V> Answer<V> {
    fn slot(&self) -> &Slot<V> {
        // SAFETY: the slot lives until the asker has abandoned or freed it, which only its drop does.
        unsafe { self.slot.as_ref() }
    }

    /// The answer; `None`: there is none, or it has been taken.
    pub(crate) fn poll(&mut self, waker: &Waker) -> Poll<Option<V>> {
        let mut state = self.slot().state.load(Acquire);
        if state == WAKER {
            state = self.take_waker_back();
        }
        if state == EMPTY {
            self.set_waker(waker);
            let state = &self.slot().state;
            if state
                .compare_exchange(EMPTY, WAKER, Release, Relaxed)
                .is_ok()
            {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.take_filled())
    }

    /// Waits no longer. If there is no answer yet, the note is called when one comes, but for one that only says why there is
    /// none; else it is what [`poll`](Self::poll) would give.
    pub(crate) fn give_up(mut self, note: Waker) -> Poll<Option<V>> {
        let mut state = self.slot().state.load(Acquire);
        if state == WAKER {
            state = self.take_waker_back();
        }
        if state == EMPTY {
            // SAFETY: in EMPTY the waker is ours.
            let _replaced = self
                .slot()
                .waker
                .with_mut(|cell| unsafe { (*cell).replace(note) });
            let abandoned = self
                .slot()
                .state
                .compare_exchange(EMPTY, ABANDONED, Release, Relaxed);
            if abandoned.is_ok() {
                // It is the replier's to free.
                std::mem::forget(self);
                return Poll::Pending;
            }
        }
        Poll::Ready(self.take_filled())
    }

    /// From WAKER to EMPTY, if the replier has not come. Returns the state.
    fn take_waker_back(&self) -> u8 {
        let taken = self
            .slot()
            .state
            .compare_exchange(WAKER, EMPTY, Relaxed, Acquire);
        taken.map_or_else(|state| state, |_| EMPTY)
    }

    /// Only in state EMPTY.
    fn set_waker(&mut self, waker: &Waker) {
        // SAFETY: in EMPTY the waker is ours, also if the replier moves on to FILLING and FILLED meanwhile. The clone and
        // the drop of a waker are foreign code, but have no way to this cell: the answer is borrowed mutably.
        let _replaced = self.slot().waker.with_mut(|cell| unsafe {
            match &*cell {
                Some(registered) if registered.will_wake(waker) => None,
                _ => (*cell).replace(waker.clone()),
            }
        });
    }

    /// The replier has come: FILLING or FILLED.
    fn take_filled(&mut self) -> Option<V> {
        let slot = self.slot();
        let mut backoff = Backoff::new();
        while slot.state.load(Acquire) != FILLED {
            backoff.wait();
        }
        // SAFETY: in FILLED the value is ours, and the acquiring load made it visible.
        slot.value.with_mut(|cell| unsafe { (*cell).take() })
    }
}

impl<V> Drop for Answer<V> {
    fn drop(&mut self) {
        let mut backoff = Backoff::new();
        // Dropped last of all: foreign code.
        let mut _waker = None;
        let mut state = self.slot().state.load(Acquire);
        loop {
            state = match state {
                EMPTY => {
                    let state = &self.slot().state;
                    match state.compare_exchange(EMPTY, ABANDONED, Release, Acquire) {
                        Ok(_) => return,
                        Err(state) => state,
                    }
                }
                WAKER => {
                    let state = self.take_waker_back();
                    if state == EMPTY {
                        // SAFETY: as in `set_waker`. A reply that is kept must not keep a task's memory.
                        _waker = self.slot().waker.with_mut(|cell| unsafe { (*cell).take() });
                    }
                    state
                }
                FILLING => {
                    backoff.wait();
                    self.slot().state.load(Acquire)
                }
                _ => {
                    // SAFETY: FILLED was the replier's last access, and made visible by an acquiring load; the slot came
                    // from a box.
                    drop(unsafe { Box::from_raw(self.slot.as_ptr()) });
                    return;
                }
            }
        }
    }
}
