//! The calls of the last so many milliseconds, in ten buckets.
//!
//! Each counter carries the number of the bucket that it counts for, so that it is begun anew by whoever comes first, without a
//! lock. Calls are counted in stripes, one for a few threads each; bad outcomes are rarer and have one counter.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::padded::Padded;
use super::window::{Counts, Outcome};

const BUCKETS: usize = 10;
const STRIPES: usize = 4;

#[derive(Debug)]
pub(super) struct TimeWindow {
    bucket_ms: u64,
    calls: [Padded<[Counter; BUCKETS]>; STRIPES],
    failed: Padded<[Counter; BUCKETS]>,
    slow: Padded<[Counter; BUCKETS]>,
}

impl TimeWindow {
    /// `length_ms` must be at least 10, one for each bucket; the builder's bound is above.
    pub(super) fn new(length_ms: u64) -> Self {
        Self {
            bucket_ms: (length_ms / BUCKETS as u64).max(1),
            calls: Default::default(),
            failed: Padded::default(),
            slow: Padded::default(),
        }
    }

    #[inline]
    pub(super) fn record(&self, outcome: Outcome, now_ms: u64) {
        let bucket = now_ms / self.bucket_ms;
        let index = (bucket % BUCKETS as u64) as usize;
        // Calls first: see the rule of `window`.
        self.calls[stripe()][index].add(bucket as u32, Ordering::Relaxed);
        if outcome.slow {
            self.slow[index].add(bucket as u32, Ordering::SeqCst);
        }
        if outcome.failed {
            self.failed[index].add(bucket as u32, Ordering::SeqCst);
        }
    }

    pub(super) fn counts(&self, now_ms: u64) -> Counts {
        let bucket = (now_ms / self.bucket_ms) as u32;
        let sum = |counters: &[Counter; BUCKETS]| -> u64 {
            counters.iter().map(|counter| counter.read(bucket)).sum()
        };
        let (failed, slow) = (sum(&self.failed), sum(&self.slow));
        Counts {
            calls: self.calls.iter().map(|stripe| sum(stripe)).sum(),
            failed,
            slow,
        }
    }

    pub(super) fn clear(&self) {
        let calls = self.calls.iter().flat_map(|stripe| stripe.iter());
        for counter in calls.chain(self.failed.iter()).chain(self.slow.iter()) {
            counter.0.store(0, Ordering::SeqCst);
        }
    }
}

/// A count for one bucket: the bucket's number in the upper half, the count in the lower.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    #[inline]
    fn add(&self, bucket: u32, ordering: Ordering) {
        let word = self.0.load(Ordering::Relaxed);
        if (word >> 32) as u32 == bucket {
            // If the bucket is reused right now, this counts for its successor: one call of each such thread, at most.
            self.0.fetch_add(1, ordering);
        } else {
            self.begin_or_add(bucket, word, ordering);
        }
    }

    #[cold]
    fn begin_or_add(&self, bucket: u32, mut word: u64, ordering: Ordering) {
        loop {
            let behind = ((word >> 32) as u32).wrapping_sub(bucket);
            let next = match behind {
                0 => word + 1,
                // The counter serves a later bucket already: this caller was held up for a whole window.
                1..=0xFFFF => return,
                _ => (u64::from(bucket) << 32) | 1,
            };
            match self
                .0
                .compare_exchange_weak(word, next, ordering, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(newer) => word = newer,
            }
        }
    }

    /// The count, if its bucket is one of the last ten.
    fn read(&self, newest: u32) -> u64 {
        let word = self.0.load(Ordering::SeqCst);
        let age = newest.wrapping_sub((word >> 32) as u32);
        if age < BUCKETS as u32 {
            word & 0xFFFF_FFFF
        } else {
            0
        }
    }
}

/// The stripe of this thread. Threads are numbered as they come; the numbers mean nothing else.
#[inline]
fn stripe() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    STRIPE.with(|stripe| {
        if stripe.get() == usize::MAX {
            stripe.set(THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        stripe.get()
    })
}
