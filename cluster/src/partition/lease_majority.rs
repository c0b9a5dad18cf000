//! A third party decides: the side that gets the lease stays. The majority asks at once, a minority later, so that the greater side gets it
//! if it is alive at all.

use std::time::Duration;

use super::keep_majority::majority;
use super::tally::Tally;
use super::{LeaseAnswer, PartitionPolicy, Patience, Verdict, View};

/// How many times as long as the view had to be stable a minority waits for, by default, before it asks.
const MINORITY_WAITS_DEFAULT: Duration = Duration::from_secs(2);

/// Keeps the side that gets the lease.
#[derive(Clone, Debug)]
pub struct LeaseMajority {
    patience: Patience,
    role: Option<String>,
    minority_waits: Duration,
}

impl LeaseMajority {
    /// Waits so long for the view to settle, and a minority 2 s more.
    #[must_use]
    pub fn new(patience: impl Into<Patience>) -> Self {
        Self {
            patience: patience.into(),
            role: None,
            minority_waits: MINORITY_WAITS_DEFAULT,
        }
    }

    /// Counts only members with this role.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// How much later than a majority everybody else asks for the lease.
    #[must_use]
    pub fn minority_waits(mut self, minority_waits: Duration) -> Self {
        self.minority_waits = minority_waits;
        self
    }
}

impl PartitionPolicy for LeaseMajority {
    fn decide(&self, view: &View) -> Verdict {
        match view.lease {
            Some(LeaseAnswer::Granted) => return Verdict::DownUnreachable,
            Some(LeaseAnswer::Refused) => return Verdict::DownMyself,
            None => {}
        }
        if let Some(verdict) = self.patience.instead(view) {
            return verdict;
        }
        match majority(&Tally::of(view, self.role.as_deref())) {
            Verdict::DownUnreachable => Verdict::AskLease,
            // A minority, or who cannot know: it waits, and then asks all the same.
            _ => {
                let asks_after = self.patience.stable_after(view.len()) + self.minority_waits;
                match asks_after.saturating_sub(view.stable_for) {
                    Duration::ZERO => Verdict::AskLease,
                    wait => Verdict::WaitFor(wait),
                }
            }
        }
    }

    fn needs_lease(&self) -> bool {
        true
    }
}
