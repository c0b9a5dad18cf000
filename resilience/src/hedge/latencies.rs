//! A percentile of the recent latencies.

use std::time::Duration;

const REMEMBERED: usize = 128;
const KNOWN_MIN: usize = 32;

/// The last 128 latencies, and their percentile as of the last time it was worked out.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    recent: Vec<Duration>,
    /// Where the next one goes once all places are taken.
    next: usize,
    since_sorted: usize,
    percentile: Option<Duration>,
}

impl Latencies {
    /// Remembers one latency. Every eighth sorts 128 values.
    pub(super) fn record(&mut self, latency: Duration, share: f64) {
        if self.recent.len() < REMEMBERED {
            self.recent.push(latency);
        } else {
            self.recent[self.next] = latency;
            self.next = (self.next + 1) % REMEMBERED;
        }
        self.since_sorted += 1;
        let known = self.recent.len();
        if known >= KNOWN_MIN && (self.percentile.is_none() || self.since_sorted >= 8) {
            let mut sorted = self.recent.clone();
            sorted.sort_unstable();
            let rank = (known as f64 * share).ceil() as usize;
            self.percentile = sorted.get(rank.saturating_sub(1)).copied();
            self.since_sorted = 0;
        }
    }

    /// `None` while fewer than 32 are known.
    pub(super) fn percentile(&self) -> Option<Duration> {
        self.percentile
    }
}
