//! What is known of how long a worker takes: a moving average that follows a peak at once.
//!
//! Finagle's and tower's Peak EWMA, with one difference: reading it changes nothing, so that how often a worker is looked at does
//! not decide what it is worth.

use std::time::Duration;

use tokio::time::Instant;

/// How long an answer is expected to take. Pure: samples and times in, an estimate out.
#[derive(Debug, Default)]
pub struct Latency(Option<Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    nanos: f64,
    at: Instant,
}

impl Latency {
    /// The estimate in nanoseconds; it falls while nothing is heard.
    pub fn read(&self, now: Instant, decay: Duration) -> Option<f64> {
        self.0.map(|known| known.nanos * known.weight(now, decay))
    }

    /// An answer took so long. Longer than the estimate: that is the estimate. Shorter: it weighs by the time that has passed.
    pub fn answered(&mut self, took: Duration, now: Instant, decay: Duration) {
        let sample = took.as_nanos() as f64;
        let nanos = match self.0 {
            Some(known) if known.nanos > sample => {
                let weight = known.weight(now, decay);
                known.nanos * weight + sample * (1.0 - weight)
            }
            _ => sample,
        };
        self.0 = Some(Known { nanos, at: now });
    }

    /// There is no answer after so long: an answer takes at least that. One that fails fast does not look fast.
    pub fn unanswered(&mut self, after: Duration, now: Instant, decay: Duration) {
        let least = after.as_nanos() as f64;
        if self.read(now, decay).is_some_and(|nanos| least > nanos) || self.0.is_none() {
            self.0 = Some(Known {
                nanos: least,
                at: now,
            });
        }
    }
}

impl Known {
    fn weight(&self, now: Instant, decay: Duration) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        // A decay of nothing forgets at once.
        (-since / decay.as_secs_f64().max(1e-9)).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn read_millis(latency: &Latency, now: Instant) -> f64 {
        latency.read(now, DECAY).expect("something is known") / 1e6
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let start = Instant::now();
        let mut latency = Latency::default();
        assert_eq!(latency.read(start, DECAY), None);
        latency.answered(millis(10), start, DECAY);
        assert_eq!(read_millis(&latency, start), 10.0);
        latency.answered(millis(1000), start, DECAY);
        assert_eq!(read_millis(&latency, start), 1000.0);
        latency.answered(millis(10), start + millis(100), DECAY);
        let after_one = read_millis(&latency, start + millis(100));
        assert!(after_one > 980.0 && after_one < 1000.0, "{after_one}");
        latency.answered(millis(10), start + 5 * DECAY, DECAY);
        let after_long = read_millis(&latency, start + 5 * DECAY);
        assert!(after_long > 10.0 && after_long < 20.0, "{after_long}");
    }

    #[test]
    fn what_is_known_fades_while_nothing_is_heard_however_often_it_is_read() {
        let start = Instant::now();
        let mut latency = Latency::default();
        latency.answered(millis(100), start, DECAY);
        for tenth in 0..100 {
            let read = read_millis(&latency, start + DECAY * tenth / 100);
            let expected = 100.0 * (-f64::from(tenth) / 100.0).exp();
            assert!((read - expected).abs() < 0.001, "{read}, not {expected}");
        }
    }

    #[test]
    fn a_failure_that_is_fast_does_not_make_a_worker_look_fast() {
        let start = Instant::now();
        let mut latency = Latency::default();
        latency.answered(millis(100), start, DECAY);
        latency.unanswered(millis(1), start, DECAY);
        assert_eq!(read_millis(&latency, start), 100.0);
        latency.unanswered(millis(300), start, DECAY);
        assert_eq!(read_millis(&latency, start), 300.0);
    }
}
