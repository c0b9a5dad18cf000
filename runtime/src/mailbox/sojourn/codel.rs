//! CoDel's control law as a machine: how long a message has waited in, a verdict out.
//!
//! RFC 8289, section 5 (Nichols and Jacobson). Names follow the RFC. Differences: one call judges one message, so what is
//! one loop there is one call for each message here; "less than a packet is queued" becomes "this is the last one"; and a
//! message that ends the dropping state ends it at once also directly after the first drop.

use std::time::{Duration, Instant};

/// What is to become of a message that is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Serve,
    Shed,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Codel {
    target: Duration,
    interval: Duration,
    /// When the wait will have been above the target for an interval; `None`: it is below.
    first_above: Option<Instant>,
    dropping: bool,
    /// When the next one is shed, while dropping.
    drop_next: Option<Instant>,
    /// How many were shed since dropping began.
    count: u32,
    /// `count` when dropping began last.
    last_count: u32,
}

/// Dropping that begins again within so many intervals goes on where it had ended.
const REMEMBERED_INTERVALS: u32 = 16;

impl Codel {
    pub(super) fn new(target: Duration, interval: Duration) -> Self {
        Self {
            target,
            interval,
            first_above: None,
            dropping: false,
            drop_next: None,
            count: 0,
            last_count: 0,
        }
    }

    /// Judges the message at the head, which has waited for `sojourn`.
    pub(super) fn judge(&mut self, now: Instant, sojourn: Duration, is_last: bool) -> Verdict {
        let ok_to_drop = self.is_above(now, sojourn, is_last);
        match (self.dropping, ok_to_drop) {
            (false, false) => Verdict::Serve,
            (true, false) => {
                self.dropping = false;
                Verdict::Serve
            }
            (true, true) => match self.drop_next {
                Some(at) if now < at => Verdict::Serve,
                last => {
                    self.count = self.count.saturating_add(1);
                    self.drop_next = Some(self.control_law(last.unwrap_or(now)));
                    Verdict::Shed
                }
            },
            (false, true) => {
                self.begin_dropping(now);
                Verdict::Shed
            }
        }
    }

    /// Whether each message has waited too long for an interval.
    fn is_above(&mut self, now: Instant, sojourn: Duration, is_last: bool) -> bool {
        if sojourn < self.target || is_last {
            self.first_above = None;
            return false;
        }
        now >= *self.first_above.get_or_insert(now + self.interval)
    }

    fn begin_dropping(&mut self, now: Instant) {
        self.dropping = true;
        let delta = self.count - self.last_count;
        let recently = self.drop_next.is_some_and(|at| {
            now.saturating_duration_since(at) < self.interval * REMEMBERED_INTERVALS
        });
        self.count = if delta > 1 && recently { delta } else { 1 };
        self.last_count = self.count;
        self.drop_next = Some(self.control_law(now));
    }

    fn control_law(&self, from: Instant) -> Instant {
        from + self.interval.div_f64(f64::from(self.count.max(1)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(5);
    const INTERVAL: Duration = Duration::from_millis(100);

    /// When messages of this wait are shed, looked at each millisecond, in milliseconds from the beginning.
    fn shed_at(
        codel: &mut Codel,
        begin: Instant,
        over_ms: std::ops::Range<u64>,
        sojourn: Duration,
    ) -> Vec<u64> {
        over_ms
            .filter(|&ms| {
                let now = begin + Duration::from_millis(ms);
                codel.judge(now, sojourn, false) == Verdict::Shed
            })
            .collect()
    }

    #[test]
    fn nothing_is_shed_before_the_wait_was_above_the_target_for_an_interval() {
        let begin = Instant::now();
        let mut codel = Codel::new(TARGET, INTERVAL);
        assert_eq!(shed_at(&mut codel, begin, 0..100, 2 * TARGET), []);
        assert_eq!(
            shed_at(&mut codel, begin, 100..101, TARGET / 2),
            [],
            "one that was fast enough"
        );
        assert_eq!(shed_at(&mut codel, begin, 101..201, 2 * TARGET), []);
        assert_eq!(shed_at(&mut codel, begin, 201..202, 2 * TARGET), [201]);
    }

    #[test]
    fn the_distance_between_drops_shrinks_with_the_square_root_of_their_number() {
        let begin = Instant::now();
        let mut codel = Codel::new(TARGET, INTERVAL);
        let shed = shed_at(&mut codel, begin, 0..1000, 2 * TARGET);
        // 100, then + 100/sqrt(1), 100/sqrt(2), 100/sqrt(3), ...
        assert_eq!(shed[..6], [100, 200, 271, 329, 379, 424]);
    }

    #[test]
    fn a_wait_below_the_target_ends_it_and_a_soon_return_goes_on_at_the_rate_that_was_found() {
        let begin = Instant::now();
        let mut codel = Codel::new(TARGET, INTERVAL);
        let before = shed_at(&mut codel, begin, 0..2000, 2 * TARGET).len() as u32;
        assert_eq!(codel.count, before);
        assert_eq!(shed_at(&mut codel, begin, 2000..2010, Duration::ZERO), []);
        let again = shed_at(&mut codel, begin, 2010..2200, 2 * TARGET);
        assert_eq!(again[0], 2110);
        assert_eq!(
            codel.last_count,
            before - 1,
            "it goes on at the rate of before"
        );
        assert!(again.len() > 2, "{again:?}");
    }

    #[test]
    fn a_late_return_begins_anew() {
        let begin = Instant::now();
        let mut codel = Codel::new(TARGET, INTERVAL);
        shed_at(&mut codel, begin, 0..2000, 2 * TARGET);
        shed_at(&mut codel, begin, 2000..2001, Duration::ZERO);
        shed_at(&mut codel, begin, 4000..4101, 2 * TARGET);
        assert_eq!(codel.count, 1);
    }

    #[test]
    fn the_last_message_is_never_shed() {
        let begin = Instant::now();
        let mut codel = Codel::new(TARGET, INTERVAL);
        for second in 0..100 {
            let now = begin + Duration::from_secs(second);
            assert_eq!(codel.judge(now, INTERVAL * 10, true), Verdict::Serve);
        }
    }
}
