//! Whoever stays unreachable goes down. Both sides of a partition do that to each other: only for work where that is harmless.

use std::time::Duration;

use super::{PartitionPolicy, Verdict, View};

/// Declares unreachable members down once the view has been stable for a while, on every side of a partition.
#[derive(Clone, Copy, Debug)]
pub struct DownAfter {
    /// How long the view has to be stable.
    pub stable_after: Duration,
}

impl PartitionPolicy for DownAfter {
    fn decide(&self, view: &View) -> Verdict {
        match self.stable_after.saturating_sub(view.stable_for) {
            Duration::ZERO => Verdict::DownUnreachable,
            wait => Verdict::WaitFor(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::view;
    use super::*;

    #[test]
    fn everybody_unreachable_goes_down_once_the_view_is_stable() {
        let policy = DownAfter {
            stable_after: Duration::from_secs(5),
        };
        assert_eq!(
            policy.decide(&view(&[1], &[], &[2, 3], 2)),
            Verdict::WaitFor(Duration::from_secs(3))
        );
        assert_eq!(
            policy.decide(&view(&[1], &[], &[2, 3], 5)),
            Verdict::DownUnreachable
        );
    }
}
