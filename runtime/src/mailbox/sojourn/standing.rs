//! Whether a queue stands: a machine that is told at each look how long the oldest message has waited.
//!
//! A queue stands when its oldest message has been waiting longer than the target at every look for a whole interval: CoDel's
//! criterion. It also stands when one message has waited longer than target and interval together, however few looks
//! there were: a handler that took long leaves such a queue behind, and all of it waited for at least the target
//! throughout the interval. It stands no more once the oldest message has waited for less than the target, or nothing waits.

use std::time::{Duration, Instant};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Standing {
    target: Duration,
    interval: Duration,
    above_since: Option<Instant>,
    stands: bool,
}

impl Standing {
    pub(super) fn new(target: Duration, interval: Duration) -> Self {
        Self {
            target,
            interval,
            above_since: None,
            stands: false,
        }
    }

    /// What the last look found.
    pub(super) fn stands(&self) -> bool {
        self.stands
    }

    /// Looks: `oldest_waited` is `None` if nothing waits.
    pub(super) fn look(&mut self, now: Instant, oldest_waited: Option<Duration>) {
        match oldest_waited {
            Some(waited) if waited >= self.target => {
                let since = *self.above_since.get_or_insert(now);
                let for_an_interval = now.saturating_duration_since(since) >= self.interval;
                self.stands |= for_an_interval || waited >= self.target + self.interval;
            }
            _ => {
                self.above_since = None;
                self.stands = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(5);
    const INTERVAL: Duration = Duration::from_millis(100);

    /// Looks at these times, in milliseconds, each with the wait of the oldest; says where the queue stands.
    fn stands_at(looks: impl IntoIterator<Item = (u64, Option<u64>)>) -> Vec<u64> {
        let begin = Instant::now();
        let mut standing = Standing::new(TARGET, INTERVAL);
        let mut stands = Vec::new();
        for (at_ms, waited_ms) in looks {
            let now = begin + Duration::from_millis(at_ms);
            standing.look(now, waited_ms.map(Duration::from_millis));
            if standing.stands() {
                stands.push(at_ms);
            }
        }
        stands
    }

    #[test]
    fn a_queue_stands_after_an_interval_above_the_target() {
        let above = (0..=120).map(|ms| (ms, Some(6)));
        assert_eq!(stands_at(above), (100..=120).collect::<Vec<_>>());
    }

    #[test]
    fn a_burst_that_is_worked_off_within_the_interval_is_no_standing_queue() {
        let burst = (0..300).map(|ms| (ms, Some(if ms % 90 == 89 { 4 } else { 50 })));
        assert_eq!(stands_at(burst), []);
    }

    #[test]
    fn it_ends_when_the_oldest_is_young_or_nothing_waits() {
        for end in [None, Some(4)] {
            let looks = (0..=100)
                .map(|ms| (ms, Some(6)))
                .chain([(101, end), (102, Some(6))]);
            assert_eq!(stands_at(looks), [100]);
        }
    }

    #[test]
    fn one_look_suffices_after_a_handler_that_took_long() {
        assert_eq!(stands_at([(0, Some(104))]), []);
        assert_eq!(stands_at([(0, Some(105)), (1, Some(50))]), [0, 1]);
    }
}
