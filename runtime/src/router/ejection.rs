//! Leaving out a worker that fails, for a time: outlier ejection.
//!
//! After Envoy's outlier detection: so many failures in a row eject a worker, for longer each time, and never more than a share of
//! all. What differs: the time doubles, where Envoy's grows by the base time; and the share is a strict bound, where Envoy may
//! always eject one.

use std::time::Duration;

use tokio::time::Instant;

/// When a worker that fails is left out, and for how long.
///
/// What counts as a failure is an ask through the router that ends with a timeout, a crash, a lost link or a dropped reply, and
/// what is [reported](super::Router::report). An ask that is refused, shed or expired does not count: that is overload, and fewer
/// workers would make it worse.
///
/// ```
/// use std::time::Duration;
/// use treewarden_runtime::Ejection;
///
/// let ejection = Ejection::after(5).lasting(Duration::from_secs(1), Duration::from_secs(60)).at_most(0.3);
/// # let _ = ejection;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ejection {
    failures: u32,
    base: Duration,
    longest: Duration,
    share: f64,
}

impl Ejection {
    /// After so many failures in a row (at least one): for ten seconds the first time, twice as long each time up to five
    /// minutes, and at most half of the workers.
    #[must_use]
    pub fn after(failures: u32) -> Self {
        Self {
            failures: failures.max(1),
            base: Duration::from_secs(10),
            longest: Duration::from_secs(300),
            share: 0.5,
        }
    }

    /// How long the first time, and how long at most. One that has been back for as long as it was last left out begins anew.
    #[must_use]
    pub fn lasting(mut self, base: Duration, longest: Duration) -> Self {
        self.base = base;
        self.longest = longest.max(base);
        self
    }

    /// The share of all workers, from 0 to 1, that may be left out together; rounded down, so that of two at a half one may,
    /// and of one none. Those that were ejected by hand count.
    #[must_use]
    pub fn at_most(mut self, share: f64) -> Self {
        self.share = share.clamp(0.0, 1.0);
        self
    }

    /// Whether another one may be left out, of so many workers of whom so many are.
    #[must_use]
    pub fn has_room(&self, ejected: usize, workers: usize) -> bool {
        ((ejected + 1) as f64) <= workers as f64 * self.share
    }

    /// How long, for the time number `times`, from 1.
    fn length(&self, times: u32) -> Duration {
        let doublings = times.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.longest)
    }
}

/// What is known of the health of one worker. Pure: outcomes and `now` in.
#[derive(Debug, Default)]
pub struct Health {
    failures: u32,
    /// How often it was ejected without having recovered in between.
    times: u32,
    out: Option<Out>,
}

#[derive(Clone, Copy, Debug)]
struct Out {
    since: Instant,
    /// `None`: until somebody says so.
    until: Option<Instant>,
}

impl Health {
    /// Whether the worker is left out.
    #[must_use]
    pub fn is_ejected(&self, now: Instant) -> bool {
        match self.out {
            Some(Out { until, .. }) => until.is_none_or(|until| now < until),
            None => false,
        }
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures == 0 && self.times == 0 && self.out.is_none()
    }

    /// Leaves the worker out for so long, or, with `None`, until it is [readmitted](Self::readmit).
    pub fn eject_by_hand(&mut self, now: Instant, length: Option<Duration>) {
        self.failures = 0;
        self.out = Some(Out {
            since: now,
            until: length.and_then(|length| now.checked_add(length)),
        });
    }

    /// Lets the worker come back, and forgets its failures.
    pub fn readmit(&mut self) {
        *self = Self::default();
    }

    /// An ask went well. Outcomes of what was sent before an ejection change nothing.
    pub fn succeeded(&mut self, now: Instant) {
        if self.is_ejected(now) {
            return;
        }
        self.failures = 0;
        let has_recovered = self.out.is_none_or(|Out { since, until }| {
            until.is_none_or(|until| now.duration_since(until) >= until.duration_since(since))
        });
        if has_recovered {
            self.readmit();
        }
    }

    /// An ask failed. True: the worker is ejected now, because `has_room` said that it may be.
    pub fn failed(
        &mut self,
        now: Instant,
        ejection: &Ejection,
        has_room: impl FnOnce() -> bool,
    ) -> bool {
        if self.is_ejected(now) {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < ejection.failures || !has_room() {
            return false;
        }
        self.failures = 0;
        self.times = self.times.saturating_add(1);
        self.out = Some(Out {
            since: now,
            until: now.checked_add(ejection.length(self.times)),
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn law() -> Ejection {
        Ejection::after(3).lasting(SECOND, 5 * SECOND)
    }

    /// Fails until it is ejected; how long it is out.
    fn eject(health: &mut Health, now: Instant) -> Duration {
        for _ in 0..2 {
            assert!(!health.failed(now, &law(), || true));
        }
        assert!(health.failed(now, &law(), || true));
        let mut time = Duration::ZERO;
        while health.is_ejected(now + time) {
            time += SECOND / 2;
        }
        time
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_in_between_does_not() {
        let now = Instant::now();
        let mut health = Health::default();
        for _ in 0..10 {
            health.failed(now, &law(), || true);
            health.failed(now, &law(), || true);
            health.succeeded(now);
            assert!(!health.is_ejected(now) && health.is_clean());
        }
        assert_eq!(eject(&mut health, now), SECOND);
    }

    #[test]
    fn each_time_lasts_twice_as_long_up_to_the_longest_until_it_has_recovered() {
        let mut now = Instant::now();
        let mut health = Health::default();
        for seconds in [1, 2, 4, 5, 5] {
            let length = eject(&mut health, now);
            assert_eq!(length, seconds * SECOND);
            now += length;
            // A success that comes soon after its return does not wipe the slate.
            health.succeeded(now);
            assert!(!health.is_clean());
        }
        health.succeeded(now + 5 * SECOND);
        assert!(health.is_clean());
        assert_eq!(eject(&mut health, now + 5 * SECOND), SECOND);
    }

    #[test]
    fn outcomes_during_an_ejection_neither_end_nor_lengthen_it() {
        let now = Instant::now();
        let mut health = Health::default();
        eject(&mut health, now);
        for _ in 0..10 {
            assert!(!health.failed(now, &law(), || true));
            health.succeeded(now);
        }
        assert!(health.is_ejected(now) && !health.is_ejected(now + SECOND));
    }

    #[test]
    fn one_that_is_ejected_by_hand_stays_out_until_its_time_or_a_word() {
        let now = Instant::now();
        let mut health = Health::default();
        health.eject_by_hand(now, Some(SECOND));
        assert!(health.is_ejected(now) && !health.is_ejected(now + SECOND));
        health.eject_by_hand(now, None);
        assert!(health.is_ejected(now + 1_000_000 * SECOND));
        health.readmit();
        assert!(!health.is_ejected(now));
    }

    #[test]
    fn never_more_than_the_share_are_out() {
        let cases = [
            // share, workers, how many may be out
            (0.5, 1, 0),
            (0.5, 2, 1),
            (0.5, 5, 2),
            (0.1, 9, 0),
            (0.1, 10, 1),
            (1.0, 3, 3),
            (0.0, 100, 0),
        ];
        for (share, workers, expected) in cases {
            let law = law().at_most(share);
            let out = (0..workers).take_while(|&out| law.has_room(out, workers));
            assert_eq!(out.count(), expected, "{share} of {workers}");
        }
        let mut health = Health::default();
        for _ in 0..10 {
            assert!(!health.failed(Instant::now(), &law(), || false));
        }
        assert!(health.failed(Instant::now(), &law(), || true));
    }
}
