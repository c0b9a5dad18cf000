//! The probability, and the count behind it.

use std::fmt;
use std::sync::Mutex;
use std::time::Instant;

use super::ThrottleConfig;
use crate::Dice;
use crate::dice::share;
use crate::sync_ext::MutexExt;
use crate::window::Window;

const REQUESTS: usize = 0;
const ACCEPTED: usize = 1;

/// Client-side throttling of one destination, shared by reference. Built by [`ThrottleConfig::build`]. Takes a short lock for each call.
#[derive(Debug)]
pub struct Throttle {
    config: ThrottleConfig,
    window: Mutex<Window<2>>,
    /// For the shell alone.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code))]
    pub(super) dice: Dice,
}

impl Throttle {
    pub(super) fn new(config: ThrottleConfig) -> Self {
        Self {
            config,
            window: Mutex::new(Window::new(config.window)),
            dice: config.seed.map_or_else(Dice::unseeded, Dice::seeded),
        }
    }

    /// Whether to send a request at `now`. It counts as a request either way. `random` is uniform over all of `u64`.
    pub fn admit(&self, now: Instant, random: u64) -> Result<(), Throttled> {
        let mut window = self.window.locked();
        let probability = self.probability(window.sums(now));
        window.add(REQUESTS, 1, now);
        if share(random) < probability {
            return Err(Throttled { probability });
        }
        Ok(())
    }

    /// The destination accepted a request: it answered anything but "overloaded", an error of its own included.
    pub fn accepted(&self, now: Instant) {
        self.window.locked().add(ACCEPTED, 1, now);
    }

    /// The probability with which the next request at `now` would be held back.
    pub fn rejection_probability(&self, now: Instant) -> f64 {
        self.probability(self.window.locked().sums(now))
    }

    fn probability(&self, [requests, accepted]: [u64; 2]) -> f64 {
        let excess = requests as f64 - self.config.k * accepted as f64;
        let probability = (excess / (requests as f64 + 1.0)).max(0.0);
        probability.min(self.config.probability_max)
    }
}

/// The request was not sent, because the destination refuses so many. Give up, or use a fallback; do not retry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttled {
    /// The share of requests that is held back at present.
    pub probability: f64,
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.probability * 100.0;
        write!(
            f,
            "the request was not sent: the destination is overloaded, and {percent:.0} % are held back"
        )
    }
}

impl std::error::Error for Throttled {}
