//! Counts over the last stretch of time, in buckets that expire one by one.
//!
//! Forgets a count between one window and one bucket less after it was made: the buckets are aligned to the first `now`.

use std::time::{Duration, Instant};

const BUCKETS: usize = 10;

/// `FIELDS` counters over a sliding window.
#[derive(Debug)]
pub(crate) struct Window<const FIELDS: usize> {
    bucket: Duration,
    buckets: [[u64; FIELDS]; BUCKETS],
    newest: usize,
    /// `None` until the first count.
    newest_began: Option<Instant>,
}

impl<const FIELDS: usize> Window<FIELDS> {
    /// `length` must be at least 10 ns, one for each bucket; the builders' bounds are far above.
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            bucket: (length / BUCKETS as u32).max(Duration::from_nanos(1)),
            buckets: [[0; FIELDS]; BUCKETS],
            newest: 0,
            newest_began: None,
        }
    }

    /// Adds `amount` to one counter at `now`.
    pub(crate) fn add(&mut self, field: usize, amount: u64, now: Instant) {
        self.advance(now);
        let count = &mut self.buckets[self.newest][field];
        *count = count.saturating_add(amount);
    }

    /// What each counter counted within the window that ends at `now`.
    pub(crate) fn sums(&mut self, now: Instant) -> [u64; FIELDS] {
        self.advance(now);
        let mut sums = [0u64; FIELDS];
        for bucket in &self.buckets {
            for (sum, count) in sums.iter_mut().zip(bucket) {
                *sum = sum.saturating_add(*count);
            }
        }
        sums
    }

    /// Empties the buckets that `now` has left behind. A `now` in the past changes nothing.
    fn advance(&mut self, now: Instant) {
        let Some(began) = self.newest_began else {
            self.newest_began = Some(now);
            return;
        };
        let elapsed = now.saturating_duration_since(began);
        if elapsed < self.bucket {
            return;
        }
        let steps = elapsed.as_nanos() / self.bucket.as_nanos();
        for _ in 0..steps.min(BUCKETS as u128) {
            self.newest = (self.newest + 1) % BUCKETS;
            self.buckets[self.newest] = [0; FIELDS];
        }
        let into_newest_ns = elapsed.as_nanos() % self.bucket.as_nanos();
        let into_newest = Duration::from_nanos(u64::try_from(into_newest_ns).unwrap_or(0));
        self.newest_began = Some(began + elapsed.saturating_sub(into_newest));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::testing::{for_seeds, ms};

    #[test]
    fn a_count_is_kept_for_nine_tenths_of_the_window_and_never_longer_than_the_window() {
        for_seeds(200, |random| {
            let epoch = Instant::now();
            let mut window = Window::<1>::new(ms(1000));
            let mut counted = VecDeque::new();
            let mut now_ms = 0;
            for _ in 0..300 {
                let most_ms = if random.chance(0.05) { 3000 } else { 60 };
                now_ms += random.below(most_ms);
                let amount = random.below(5);
                window.add(0, amount, epoch + ms(now_ms));
                counted.push_back((now_ms, amount));
                let within = |age_ms: u64| {
                    let counted = counted.iter().filter(|(at, _)| now_ms - at < age_ms);
                    counted.map(|(_, amount)| amount).sum::<u64>()
                };
                let [sum] = window.sums(epoch + ms(now_ms));
                assert!(
                    (within(900)..=within(1000)).contains(&sum),
                    "{sum} at {now_ms} ms"
                );
            }
        });
    }

    #[test]
    fn a_clock_that_goes_back_counts_in_the_newest_bucket() {
        let epoch = Instant::now() + ms(10_000);
        let mut window = Window::<2>::new(ms(1000));
        window.add(0, 1, epoch);
        window.add(1, 2, epoch - ms(5000));
        assert_eq!(window.sums(epoch), [1, 2]);
        assert_eq!(window.sums(epoch + ms(1000)), [0, 0]);
    }
}
