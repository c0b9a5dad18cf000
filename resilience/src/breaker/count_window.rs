//! The last so many calls: a ring of one byte for each, and the sums over it.
//!
//! A slot is exchanged atomically, and whoever exchanged it corrects the sums by the difference. So the sums equal the
//! slots whenever no thread is in between, however the threads interleave, and never drift. A success that replaces a
//! success changes neither: in a healthy service a call costs one addition to the cursor and one load.

use super::padded::Padded;
use super::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, Ordering};
use super::window::{Counts, Outcome};

/// An empty slot; otherwise [`USED`], with [`FAILED`] and [`SLOW`] added.
const EMPTY: u8 = 0;
const USED: u8 = 1;
const FAILED: u8 = 2;
const SLOW: u8 = 4;

#[derive(Debug)]
pub(super) struct CountWindow {
    slots: Box<[AtomicU8]>,
    /// Written by every call. When it overflows, one lap begins at another slot.
    cursor: Padded<AtomicU32>,
    /// Written only when a slot changes its kind.
    sums: Padded<Sums>,
}

/// Signed, because a correction may overtake the one that it corrects.
#[derive(Debug, Default)]
struct Sums {
    calls: AtomicI64,
    failed: AtomicI64,
    slow: AtomicI64,
}

impl CountWindow {
    pub(super) fn new(calls: u32) -> Self {
        Self {
            slots: (0..calls).map(|_| AtomicU8::new(EMPTY)).collect(),
            cursor: Padded::default(),
            sums: Padded::default(),
        }
    }

    #[inline]
    pub(super) fn record(&self, outcome: Outcome) {
        let failed = if outcome.failed { FAILED } else { 0 };
        let slow = if outcome.slow { SLOW } else { 0 };
        // Relaxed: the cursor only spreads the calls over the slots.
        let turn = self.cursor.fetch_add(1, Ordering::Relaxed);
        // A division of 32 bits is several times cheaper than one of 64; the length fits by the builder's bound.
        let slot = &self.slots[(turn % self.slots.len() as u32) as usize];
        self.replace(slot, USED | failed | slow);
    }

    pub(super) fn counts(&self) -> Counts {
        let read = |sum: &AtomicI64| u64::try_from(sum.load(Ordering::SeqCst)).unwrap_or(0);
        let (failed, slow) = (read(&self.sums.failed), read(&self.sums.slow));
        Counts {
            calls: read(&self.sums.calls),
            failed,
            slow,
        }
    }

    pub(super) fn clear(&self) {
        self.slots.iter().for_each(|slot| self.replace(slot, EMPTY));
    }

    #[inline]
    fn replace(&self, slot: &AtomicU8, new: u8) {
        if slot.load(Ordering::Relaxed) != new {
            self.exchange(slot, new);
        }
    }

    fn exchange(&self, slot: &AtomicU8, new: u8) {
        let old = slot.swap(new, Ordering::Relaxed);
        let correct = |sum: &AtomicI64, flag: u8| {
            let change = i64::from(new & flag != 0) - i64::from(old & flag != 0);
            if change != 0 {
                sum.fetch_add(change, Ordering::SeqCst);
            }
        };
        // Calls first: see the rule of `window`.
        correct(&self.sums.calls, USED);
        correct(&self.sums.slow, SLOW);
        correct(&self.sums.failed, FAILED);
    }
}
