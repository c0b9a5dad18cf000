//! What a closed breaker remembers of its calls.
//!
//! The rule that makes counting without a lock safe: of several threads that count bad outcomes at once, at least one sees
//! all of them. So a call is counted before its badness, badness is counted with sequentially consistent operations, and
//! it is read before the calls. Counting while the window is cleared may leave one outcome of each such thread behind.

use super::count_window::CountWindow;
use super::time_window::TimeWindow;

/// Calls in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// All of them.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that took too long, failed or not.
    pub slow: u64,
}

/// How one call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

impl Outcome {
    pub(super) fn is_bad(self) -> bool {
        self.failed || self.slow
    }
}

/// The last so many calls, or the calls of the last so many seconds.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each breaker, and an indirection would cost every call"
)]
pub(super) enum Window {
    Count(CountWindow),
    Time(Box<TimeWindow>),
}

impl Window {
    /// `now_ms` is called only by the time window.
    #[inline]
    pub(super) fn record(&self, outcome: Outcome, now_ms: impl FnOnce() -> u64) {
        match self {
            Window::Count(window) => window.record(outcome),
            Window::Time(window) => window.record(outcome, now_ms()),
        }
    }

    pub(super) fn counts(&self, now_ms: impl FnOnce() -> u64) -> Counts {
        match self {
            Window::Count(window) => window.counts(),
            Window::Time(window) => window.counts(now_ms()),
        }
    }

    pub(super) fn clear(&self) {
        match self {
            Window::Count(window) => window.clear(),
            Window::Time(window) => window.clear(),
        }
    }
}
