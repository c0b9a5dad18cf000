//! How many workers a pool should have: a pure machine. Loads and `now` in, a number out.
//!
//! The law is that of the Kubernetes horizontal autoscaler: as many workers as bring the load of each to the target, with a tolerance, growth that at
//! most doubles, and a shrink only to what was enough all through a cool-down.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

/// When a pool grows and shrinks by itself. See [`Workers::scale_by_load`](super::Workers::scale_by_load).
///
/// The load of a pool is what its workers have to do: asks through its router that are not answered, or messages queued, whichever is more, of all
/// workers together.
///
/// ```
/// use std::time::Duration;
/// use treewarden_supervisor::Autoscale;
///
/// // From 2 to 16 workers, so many that each has four requests at a time.
/// let autoscale = Autoscale::between(2, 16).target(4.0).cool_down(Duration::from_secs(120));
/// # let _ = autoscale;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "it does nothing until it is given to a pool"]
pub struct Autoscale {
    min: usize,
    max: usize,
    target: f64,
    pub(super) every: Duration,
    grow_pause: Duration,
    cool_down: Duration,
}

/// So far from the target, nothing is changed: a tenth, as in Kubernetes.
const TOLERANCE: f64 = 0.1;

impl Autoscale {
    /// At least `min` workers (at least one) and at most `max`. One request at a time for each; the load is looked at every second; at least three seconds
    /// pass from one change to growth, and a minute to a shrink.
    pub fn between(min: usize, max: usize) -> Self {
        let min = min.max(1);
        Autoscale {
            min,
            max: max.max(min),
            target: 1.0,
            every: Duration::from_secs(1),
            grow_pause: Duration::from_secs(3),
            cool_down: Duration::from_secs(60),
        }
    }

    /// How many requests each worker should have, on average. Less than one keeps workers in reserve.
    pub fn target(mut self, per_worker: f64) -> Self {
        // Nought would want all the workers there can be for any load, and less makes no sense.
        self.target = per_worker.max(0.001);
        self
    }

    /// How often the load is looked at.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every.max(Duration::from_millis(1));
        self
    }

    /// How long it rests after a change before it grows (again).
    pub fn grow_pause(mut self, pause: Duration) -> Self {
        self.grow_pause = pause;
        self
    }

    /// How long fewer workers must have been enough before it shrinks, and how long it rests after a change before it does.
    pub fn cool_down(mut self, cool_down: Duration) -> Self {
        self.cool_down = cool_down;
        self
    }

    /// How many workers this load wants.
    fn wanted(&self, workers: usize, outstanding: usize) -> usize {
        let outstanding = outstanding as f64;
        let ratio = outstanding / (workers as f64 * self.target);
        let wanted = match (ratio - 1.0).abs() <= TOLERANCE {
            true => workers,
            false => (outstanding / self.target).ceil() as usize,
        };
        wanted.clamp(self.min, self.max)
    }
}

/// Follows the load of one pool.
#[derive(Debug)]
pub(super) struct Scaler {
    law: Autoscale,
    changed_at: Duration,
    /// What was wanted during the cool-down: only what is more than everything after it, the oldest first.
    wanted: VecDeque<(Duration, usize)>,
}

impl Scaler {
    pub(super) fn new(law: Autoscale, now: Duration) -> Self {
        Scaler {
            law,
            changed_at: now,
            wanted: VecDeque::new(),
        }
    }

    /// How many workers there should be, if that is another number than there are. It is taken to be carried out.
    pub(super) fn decide(
        &mut self,
        now: Duration,
        workers: usize,
        outstanding: usize,
    ) -> Option<usize> {
        let wanted = self.law.wanted(workers, outstanding);
        let most_wanted = self.remember(now, wanted);
        let rested = now.saturating_sub(self.changed_at);
        let decision = match (wanted.cmp(&workers), most_wanted.cmp(&workers)) {
            (Ordering::Greater, _) if rested >= self.law.grow_pause => {
                Some(wanted.min(workers.saturating_mul(2)).max(self.law.min))
            }
            (Ordering::Less, Ordering::Less) if rested >= self.law.cool_down => Some(most_wanted),
            _ => None,
        };
        if decision.is_some() {
            self.changed_at = now;
        }
        decision
    }

    /// The most that was wanted during the cool-down, now included.
    fn remember(&mut self, now: Duration, wanted: usize) -> usize {
        while self.wanted.back().is_some_and(|(_, less)| *less <= wanted) {
            self.wanted.pop_back();
        }
        self.wanted.push_back((now, wanted));
        let since = now.saturating_sub(self.law.cool_down);
        while self.wanted.front().is_some_and(|(at, _)| *at < since) {
            self.wanted.pop_front();
        }
        self.wanted.front().map_or(wanted, |(_, most)| *most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn law() -> Autoscale {
        Autoscale::between(2, 10)
            .target(2.0)
            .grow_pause(seconds(3))
            .cool_down(seconds(60))
    }

    /// Feeds loads, one a second, and carries the decisions out; how many workers there are after each.
    fn run(law: Autoscale, mut workers: usize, loads: &[usize]) -> Vec<usize> {
        let mut scaler = Scaler::new(law, Duration::ZERO);
        let mut sizes = Vec::new();
        for (second, load) in loads.iter().enumerate() {
            if let Some(decision) = scaler.decide(seconds(second as u64), workers, *load) {
                assert_ne!(decision, workers);
                workers = decision;
            }
            sizes.push(workers);
        }
        sizes
    }

    #[test]
    fn so_many_workers_are_wanted_that_each_has_the_target() {
        let cases = [
            // workers, outstanding, wanted
            (4, 8, 4),
            (4, 12, 6),
            (4, 13, 7),
            (4, 3, 2),
            (4, 0, 2),
            (4, 1000, 10),
            // Within a tenth of the target nothing is wanted.
            (10, 19, 10),
            (10, 18, 10),
            (10, 17, 9),
            // Whatever the load, the bounds hold.
            (1, 2, 2),
            (20, 40, 10),
        ];
        for (workers, outstanding, expected) in cases {
            let wanted = law().wanted(workers, outstanding);
            assert_eq!(wanted, expected, "{workers} with {outstanding}");
        }
    }

    #[test]
    fn it_at_most_doubles_and_rests_before_it_grows_again() {
        let sizes = run(law(), 2, &[1000; 10]);
        assert_eq!(sizes, [2, 2, 2, 4, 4, 4, 8, 8, 8, 10]);
    }

    #[test]
    fn it_shrinks_only_to_what_was_enough_all_through_the_cool_down() {
        // Little to do, but for one second in the middle.
        let mut loads = vec![0; 200];
        loads[50] = 12;
        let sizes = run(law(), 10, &loads);
        assert_eq!(sizes[59], 10, "the cool-down is not over");
        assert_eq!(sizes[60], 6, "what the one second wanted");
        assert_eq!(sizes[119], 6);
        assert_eq!(sizes[120], 2);
        assert_eq!(sizes[199], 2);
    }

    #[test]
    fn a_load_that_swings_within_the_cool_down_keeps_its_workers() {
        let loads: Vec<_> = (0..1000)
            .map(|second| if second % 40 < 2 { 16 } else { 1 })
            .collect();
        let sizes = run(law(), 8, &loads);
        assert!(sizes.iter().all(|&size| size == 8), "{sizes:?}");
    }

    #[test]
    fn it_remembers_no_more_than_it_needs() {
        let mut scaler = Scaler::new(law(), Duration::ZERO);
        for second in 0..10_000 {
            scaler.decide(seconds(second), 10, (second % 20) as usize);
            assert!(scaler.wanted.len() <= 9, "no more than there are sizes");
        }
    }
}
