//! Earning and spending.

use std::fmt;
use std::sync::Mutex;
use std::time::Instant;

use super::BudgetConfig;
use crate::sync_ext::MutexExt;
use crate::window::Window;

const REQUESTS: usize = 0;
const RETRIES: usize = 1;

/// A budget of retries, shared by reference. Built by [`BudgetConfig::build`].
///
/// Within any window, granted retries never exceed the reserve plus the ratio of the requests counted in it. Takes a short lock
/// for each call.
#[derive(Debug)]
pub struct Budget {
    config: BudgetConfig,
    window: Mutex<Window<2>>,
}

impl Budget {
    pub(super) fn new(config: BudgetConfig) -> Self {
        Self {
            config,
            window: Mutex::new(Window::new(config.window)),
        }
    }

    /// Counts one request: a first attempt, once for each, at the outermost layer only.
    pub fn deposit(&self, now: Instant) {
        self.window.locked().add(REQUESTS, 1, now);
    }

    /// Asks for one retry. It is spent whether the retry is made or not.
    ///
    /// Refused, nothing changed: give up, and hand the error of the last attempt on.
    pub fn withdraw(&self, now: Instant) -> Result<(), BudgetExhausted> {
        let mut window = self.window.locked();
        if self.allowance(window.sums(now)) < 1.0 {
            return Err(BudgetExhausted);
        }
        window.add(RETRIES, 1, now);
        Ok(())
    }

    /// The retries that would be granted at `now`, rounded down.
    pub fn available(&self, now: Instant) -> u64 {
        self.allowance(self.window.locked().sums(now)) as u64
    }

    /// Earned and not spent; may be negative when requests were forgotten sooner than the retries that they paid for.
    fn allowance(&self, [requests, retries]: [u64; 2]) -> f64 {
        let reserve = self.config.reserve_per_second * self.config.window.as_secs_f64();
        // Ten deposits of a tenth must make one; in binary they miss it by a hair.
        let hair = 1e-9;
        reserve + requests as f64 * self.config.ratio - retries as f64 + hair
    }
}

/// Too large a share of the recent requests were retried already. Nothing was spent; do not retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetExhausted;

impl fmt::Display for BudgetExhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the retry budget is exhausted: do not retry, hand the last error on")
    }
}

impl std::error::Error for BudgetExhausted {}
