//! How many restarts in how much time a supervisor tolerates before it gives up.
//!
//! A sliding log for the whole supervisor, as in OTP's `add_restart/1`: a restart at `now` counts together with all
//! earlier ones at `t >= now - period` (the bound is *inclusive*), and the limit is exceeded when more than `limit`
//! are counted. A group restart counts once; so does each failed attempt to start a child again. A limit of 0 means
//! that the first failure is the last.

use std::collections::VecDeque;
use std::time::Duration;

/// How fine the log measures time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// To the nanosecond.
    #[default]
    Exact,
    /// In whole seconds, rounded down, as OTP does; there for comparisons with it. A restart can then count for
    /// almost a second longer than the period.
    WholeSeconds,
}

/// The limit, before any restart was logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Intensity {
    /// How many restarts are tolerated within the period.
    pub limit: u32,
    /// The length of the window.
    pub period: Duration,
    /// How fine time is measured.
    pub resolution: Resolution,
}

impl Default for Intensity {
    /// OTP's default: 1 restart in 5 s.
    fn default() -> Self {
        Intensity {
            limit: 1,
            period: Duration::from_secs(5),
            resolution: Resolution::Exact,
        }
    }
}

/// The log of restarts. It holds at most `limit + 1` entries of the greatest limit that it had.
#[derive(Clone, Debug)]
pub(crate) struct RestartLog {
    intensity: Intensity,
    restarts_oldest_first: VecDeque<Duration>,
    /// A [planted bug](super::planted): never set but by tests of the tests.
    is_window_exclusive: bool,
}

impl RestartLog {
    pub(crate) fn new(intensity: Intensity) -> Self {
        RestartLog {
            intensity,
            restarts_oldest_first: VecDeque::new(),
            is_window_exclusive: false,
        }
    }

    /// From the next restart on another limit holds, for those before it as well.
    pub(crate) fn set_intensity(&mut self, intensity: Intensity) {
        self.intensity = intensity;
    }

    #[cfg(feature = "unstable-machines")]
    pub(crate) fn excludes_oldest_instant(&mut self, exclusive: bool) {
        self.is_window_exclusive = exclusive;
    }

    /// Logs a restart at `now`; false when that exceeds the limit.
    pub(crate) fn admits(&mut self, now: Duration) -> bool {
        let Intensity { limit, period, .. } = self.intensity;
        let (now, period) = (self.measured(now), self.measured(period));
        // Before a whole period has passed since the epoch nothing is old enough to be forgotten.
        if let Some(oldest_kept) = now.checked_sub(period) {
            let is_exclusive = self.is_window_exclusive;
            let is_old = |at: &Duration| *at < oldest_kept || (is_exclusive && *at == oldest_kept);
            while self.restarts_oldest_first.front().is_some_and(is_old) {
                self.restarts_oldest_first.pop_front();
            }
        }
        self.restarts_oldest_first.push_back(now);
        self.restarts_oldest_first.len() <= limit as usize
    }

    fn measured(&self, time: Duration) -> Duration {
        match self.intensity.resolution {
            Resolution::Exact => time,
            Resolution::WholeSeconds => Duration::from_secs(time.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the restarts at these times (in ms) are admitted.
    fn check(limit: u32, period_ms: u64, resolution: Resolution, cases: &[(u64, bool)]) {
        let period = Duration::from_millis(period_ms);
        let mut log = RestartLog::new(Intensity {
            limit,
            period,
            resolution,
        });
        for (at_ms, admitted) in cases {
            assert_eq!(
                log.admits(Duration::from_millis(*at_ms)),
                *admitted,
                "at {at_ms} ms"
            );
        }
    }

    #[test]
    fn a_limit_of_zero_admits_no_restart() {
        check(0, 5000, Resolution::Exact, &[(0, false)]);
    }

    #[test]
    fn the_window_includes_its_oldest_instant() {
        check(1, 5000, Resolution::Exact, &[(1000, true), (6000, false)]);
        check(1, 5000, Resolution::Exact, &[(1000, true), (6001, true)]);
    }

    #[test]
    fn whole_seconds_forget_as_otp_does() {
        check(
            1,
            5000,
            Resolution::WholeSeconds,
            &[(1999, true), (6000, false)],
        );
        check(
            1,
            5000,
            Resolution::WholeSeconds,
            &[(1000, true), (6999, false)],
        );
        check(
            1,
            5000,
            Resolution::WholeSeconds,
            &[(1999, true), (7000, true)],
        );
    }

    #[test]
    fn the_window_slides() {
        check(
            2,
            1000,
            Resolution::Exact,
            &[(0, true), (900, true), (1001, true), (1900, false)],
        );
    }
}
