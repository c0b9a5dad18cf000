//! How the limit follows from a window of calls. Pure arithmetic.

use std::time::{Duration, Instant};

/// How the limit is adapted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// Up by a constant while calls use at least half of the limit and none is overloaded; down by a factor otherwise.
    Aimd {
        /// Added after a good window: above 0, up to 100.
        increase: f64,
        /// Multiplied after a window with an overloaded call: 0.1 to 0.99.
        decrease: f64,
        /// A success that took longer than this counts as overloaded.
        overloaded_after: Option<Duration>,
    },
    /// By the ratio of the latency without queueing to the latency now.
    Gradient {
        /// How many times the unqueued latency is still fine: 1 to 10.
        tolerance: f64,
        /// How often the unqueued latency is measured anew, by letting in no more than the lowest limit for one window: 1 s to an
        /// hour.
        baseline_every: Duration,
    },
}

impl Algorithm {
    /// AIMD: plus 1, times 0.9, latency does not matter.
    #[must_use]
    pub fn aimd() -> Self {
        Algorithm::Aimd {
            increase: 1.0,
            decrease: 0.9,
            overloaded_after: None,
        }
    }

    /// Gradient: tolerance 1.25, a new baseline every 30 s.
    #[must_use]
    pub fn gradient() -> Self {
        Algorithm::Gradient {
            tolerance: 1.25,
            baseline_every: Duration::from_secs(30),
        }
    }
}

/// What a window of calls showed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) completed: u32,
    pub(super) latency_sum: Duration,
    pub(super) overloaded: u32,
    pub(super) in_flight_max: u32,
}

impl Sample {
    fn latency_mean_s(self) -> f64 {
        self.latency_sum.as_secs_f64() / f64::from(self.completed.max(1))
    }

    /// A limit that is not used says nothing about more.
    fn uses_half_of(self, limit: f64) -> bool {
        f64::from(self.in_flight_max) * 2.0 >= limit
    }
}

/// What the gradient remembers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baseline {
    /// `None` until the first measurement.
    latency_s: Option<f64>,
    measured_at: Option<Instant>,
    /// The limit to return to, while measuring.
    limit_before: Option<f64>,
}

impl Algorithm {
    /// The limit at the very start: a gradient begins by measuring.
    pub(super) fn first(self, begin: f64, lowest: f64) -> (f64, Baseline) {
        match self {
            Algorithm::Aimd { .. } => (begin, Baseline::default()),
            Algorithm::Gradient { .. } => measuring(begin, lowest, Baseline::default()),
        }
    }

    /// The limit after a window, before it is clamped.
    pub(super) fn next(
        self,
        limit: f64,
        lowest: f64,
        sample: Sample,
        baseline: &mut Baseline,
        now: Instant,
    ) -> f64 {
        match self {
            Algorithm::Aimd { decrease, .. } if sample.overloaded > 0 => limit * decrease,
            Algorithm::Aimd { increase, .. } if sample.uses_half_of(limit) => limit + increase,
            Algorithm::Aimd { .. } => limit,
            Algorithm::Gradient {
                tolerance,
                baseline_every,
            } => {
                if let Some(before) = baseline.limit_before.take() {
                    baseline.latency_s = Some(sample.latency_mean_s());
                    baseline.measured_at = Some(now);
                    return before;
                }
                let due = baseline.measured_at.is_none_or(|measured_at| {
                    now.saturating_duration_since(measured_at) >= baseline_every
                });
                if due {
                    let (limit, measuring) = measuring(limit, lowest, *baseline);
                    *baseline = measuring;
                    return limit;
                }
                gradient(limit, tolerance, sample, baseline.latency_s)
            }
        }
    }
}

fn measuring(limit: f64, lowest: f64, baseline: Baseline) -> (f64, Baseline) {
    let baseline = Baseline {
        limit_before: Some(limit),
        ..baseline
    };
    (lowest, baseline)
}

fn gradient(limit: f64, tolerance: f64, sample: Sample, unqueued_s: Option<f64>) -> f64 {
    let now_s = sample.latency_mean_s();
    let ratio = match unqueued_s {
        Some(unqueued_s) if now_s > 0.0 => tolerance * unqueued_s / now_s,
        _ => 1.0,
    };
    // Overload that ends calls early must not look like good latency.
    let ratio = if sample.overloaded * 2 > sample.completed {
        0.5
    } else {
        ratio
    };
    // Never less than half at once, so that one odd window cannot close the service; the square root is room to grow.
    let next = limit * ratio.clamp(0.5, 1.0) + limit.sqrt();
    // A fifth of the way: windows are noisy.
    let smoothed = limit * 0.8 + next * 0.2;
    if smoothed > limit && !sample.uses_half_of(limit) {
        limit
    } else {
        smoothed
    }
}
