//! When a breaker opens, for how long, and what closes it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::count_window::CountWindow;
use super::time_window::TimeWindow;
use super::window::Window;
use super::word::PERMITS_MAX;
use super::{Breaker, Transition};
use crate::bounds::{Bounds, ConfigError};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) type Listener = Arc<dyn Fn(Transition) + Send + Sync>;

/// Builds a [`Breaker`].
#[derive(Clone)]
pub struct BreakerConfig {
    window: WindowLength,
    pub(super) min_calls: u32,
    pub(super) failure_ratio: f64,
    pub(super) slow: Option<Slow>,
    pub(super) open_for: Duration,
    pub(super) open_for_max: Duration,
    pub(super) probes: u32,
    pub(super) probe_patience: Duration,
    pub(super) listener: Option<Listener>,
}

#[derive(Clone, Copy, Debug)]
enum WindowLength {
    Calls(u32),
    Time(Duration),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slow {
    pub(super) after: Duration,
    pub(super) ratio: f64,
}

impl Default for BreakerConfig {
    /// The last 100 calls, at least 20; 50 % failed; slow calls off; open for 5 s to 60 s; 5 probes with a patience of 30 s.
    fn default() -> Self {
        Self {
            window: WindowLength::Calls(100),
            min_calls: 20,
            failure_ratio: 0.5,
            slow: None,
            open_for: Duration::from_secs(5),
            open_for_max: Duration::from_secs(60),
            probes: 5,
            probe_patience: Duration::from_secs(30),
            listener: None,
        }
    }
}

impl BreakerConfig {
    /// Judges the last `calls` calls: 1 to 65536. One byte each.
    #[must_use]
    pub fn last_calls(mut self, calls: u32) -> Self {
        self.window = WindowLength::Calls(calls);
        self
    }

    /// Judges the calls of the last `window`: 100 ms to 10 minutes, forgotten in steps of a tenth.
    #[must_use]
    pub fn last_time(mut self, window: Duration) -> Self {
        self.window = WindowLength::Time(window);
        self
    }

    /// Does not open on fewer calls than this in the window: 1 up to the length of a count window.
    #[must_use]
    pub fn min_calls(mut self, min_calls: u32) -> Self {
        self.min_calls = min_calls;
        self
    }

    /// Opens when at least this share of the calls failed: 0.001 to 1.
    #[must_use]
    pub fn failure_ratio(mut self, failure_ratio: f64) -> Self {
        self.failure_ratio = failure_ratio;
        self
    }

    /// Opens also when at least `slow_ratio` (0.001 to 1) of the calls took `slow_after` (1 ms to an hour) or longer, failed or not.
    #[must_use]
    pub fn slow_calls(mut self, slow_after: Duration, slow_ratio: f64) -> Self {
        self.slow = Some(Slow {
            after: slow_after,
            ratio: slow_ratio,
        });
        self
    }

    /// Rejects for this long after it opens: 1 ms to an hour. Doubled for each round of probes that failed since it was closed.
    #[must_use]
    pub fn open_for(mut self, open_for: Duration) -> Self {
        self.open_for = open_for;
        self
    }

    /// What the doubled wait never exceeds: `open_for` (no doubling) to an hour.
    #[must_use]
    pub fn open_for_max(mut self, open_for_max: Duration) -> Self {
        self.open_for_max = open_for_max;
        self
    }

    /// Calls admitted in half-open, which all must come back: 1 to 1023.
    #[must_use]
    pub fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }

    /// Begins another round when probes have not come back after this: 1 ms to an hour. Should exceed the calls' own time-out.
    #[must_use]
    pub fn probe_patience(mut self, probe_patience: Duration) -> Self {
        self.probe_patience = probe_patience;
        self
    }

    /// Is told of each change of state, in the thread that caused it, without a lock. Must not block.
    #[must_use]
    pub fn on_transition(mut self, listener: impl Fn(Transition) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// The breaker, closed, if every value lies in its bounds.
    pub fn build(self) -> Result<Breaker, ConfigError> {
        let bounds = Bounds("breaker");
        let (window, min_calls_max) = match self.window {
            WindowLength::Calls(calls) => {
                bounds.within("last_calls", calls, 1..=65_536)?;
                (Window::Count(CountWindow::new(calls)), calls)
            }
            WindowLength::Time(length) => {
                let lengths = Duration::from_millis(100)..=Duration::from_secs(600);
                bounds.within("last_time", length, lengths)?;
                let length_ms = length.as_millis() as u64;
                (Window::Time(Box::new(TimeWindow::new(length_ms))), u32::MAX)
            }
        };
        bounds.within("min_calls", self.min_calls, 1..=min_calls_max)?;
        bounds.within("failure_ratio", self.failure_ratio, 0.001..=1.0)?;
        if let Some(slow) = self.slow {
            bounds.within("slow_calls(slow_after)", slow.after, MILLISECOND..=HOUR)?;
            bounds.within("slow_calls(slow_ratio)", slow.ratio, 0.001..=1.0)?;
        }
        bounds.within("open_for", self.open_for, MILLISECOND..=HOUR)?;
        bounds.within("open_for_max", self.open_for_max, self.open_for..=HOUR)?;
        bounds.within("probes", self.probes, 1..=PERMITS_MAX)?;
        bounds.within("probe_patience", self.probe_patience, MILLISECOND..=HOUR)?;
        Ok(Breaker::new(self, window))
    }
}

impl fmt::Debug for BreakerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerConfig")
            .field("window", &self.window)
            .field("min_calls", &self.min_calls)
            .field("failure_ratio", &self.failure_ratio)
            .field("slow", &self.slow)
            .field("open_for", &self.open_for)
            .field("open_for_max", &self.open_for_max)
            .field("probes", &self.probes)
            .field("probe_patience", &self.probe_patience)
            .field("listener", &self.listener.is_some())
            .finish()
    }
}
