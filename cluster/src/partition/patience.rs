//! When a view counts as settled: after a split the lost members are found one after another, and a verdict on half the news would be a
//! different one on each side.

use std::time::Duration;

use super::{Verdict, View};

/// How many times as long as a view has to be stable can a restless one put off the verdict.
const RESTLESS_FACTOR: u32 = 4;

/// How many times as long as others a member waits that met one of the unreachable as lost already. Those who witnessed the loss have decided by
/// then, or have yielded and come back; and a process that was counted on the other side before it started again on this one is missed there.
const NEWCOMER_FACTOR: u32 = 4;

/// Where the hosts of all lost members say that the processes are gone, the view has to be stable for this part of the time. There is no other
/// side then that is found out about bit by bit; what is left is time for the others to see the same, whose votes are asked for anyway.
const REFUSED_DIVISOR: u32 = 20;

/// What to do with a view that never settles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restless {
    /// Decide upon it as it is.
    #[default]
    Decide,
    /// Every member that has such a view yields. Then no two sides can act on different halves of the news; but a few members with bad
    /// connections can end the whole cluster, which is why it has to be chosen.
    DownAll,
}

/// How long to wait for a view to settle. The same for all policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a view of up to ten members has to be stable. A view of `n` has to be so `max(1, log10 n)` times as long, because the
    /// members of a lost side are found over a time that grows alike. A twentieth of that is enough when the host of every lost member
    /// [says](super::Unreachable::refused) that the process is gone.
    pub stable_after: Duration,
    /// What to do when it has not been so within four times that time after the first loss.
    pub restless: Restless,
}

impl Patience {
    /// Waits for a view to be stable for `stable_after`, times `max(1, log10 n)`; decides upon a restless one as it is.
    #[must_use]
    pub const fn new(stable_after: Duration) -> Self {
        Self {
            stable_after,
            restless: Restless::Decide,
        }
    }

    /// How long a view of `members` has to be stable.
    #[must_use]
    pub fn stable_after(&self, members: usize) -> Duration {
        self.stable_after.mul_f64((members as f64).log10().max(1.0))
    }

    /// What to do instead of deciding, if it is not yet time to decide.
    pub(super) fn instead(&self, view: &View) -> Option<Verdict> {
        let mut stable_after = self.stable_after(view.len());
        if view.unreachable.iter().all(|lost| lost.refused) {
            stable_after /= REFUSED_DIVISOR;
        }
        if !view.witnessed {
            stable_after *= NEWCOMER_FACTOR;
        }
        let until_stable = stable_after.saturating_sub(view.stable_for);
        if until_stable.is_zero() {
            return None;
        }
        let until_overdue =
            (stable_after * RESTLESS_FACTOR).saturating_sub(view.longest_unreachable());
        match (until_overdue.is_zero(), self.restless) {
            (true, Restless::Decide) => None,
            (true, Restless::DownAll) => Some(Verdict::DownMyself),
            (false, _) => Some(Verdict::WaitFor(until_stable.min(until_overdue))),
        }
    }
}

impl From<Duration> for Patience {
    fn from(stable_after: Duration) -> Self {
        Self::new(stable_after)
    }
}
