//! The side with more members stays, the other downs itself. The default.
//!
//! The majority is one of the *current view*: members that went down before no longer count, so a cluster can shrink step by step. This
//! is the smallest honest version: it counts members, all alike, over gossip, and is best effort. Where two sides disagree on who is a
//! member at all, both may believe to be the greater. On an even split the side with the smallest boot (the oldest process) stays. Of two
//! nodes the older survives the younger and not the other way round: choose explicitly for two.

use std::time::Duration;

use super::{PartitionPolicy, Verdict, View};

/// How many times `stable_after` a restless view can put off the verdict.
const RESTLESS_FACTOR: u32 = 4;

/// Keeps the majority of the current view.
#[derive(Clone, Copy, Debug)]
pub struct KeepMajority {
    /// How long the view has to be stable before the verdict. A view that never settles is decided upon when its oldest unreachable
    /// member has been so for four times as long.
    pub stable_after: Duration,
}

impl PartitionPolicy for KeepMajority {
    fn decide(&self, view: &View) -> Verdict {
        let oldest = view
            .unreachable
            .iter()
            .map(|member| member.for_duration)
            .max()
            .unwrap_or_default();
        let until_stable = self.stable_after.saturating_sub(view.stable_for);
        let until_overdue = (self.stable_after * RESTLESS_FACTOR).saturating_sub(oldest);
        let wait = until_stable.min(until_overdue);
        if wait > Duration::ZERO {
            return Verdict::WaitFor(wait);
        }
        match view.reachable.len().cmp(&view.unreachable.len()) {
            std::cmp::Ordering::Greater => Verdict::DownUnreachable,
            std::cmp::Ordering::Less => Verdict::DownMyself,
            std::cmp::Ordering::Equal => {
                let oldest_here = view.reachable.iter().map(|id| (id.boot, &id.name)).min();
                let oldest_there = view
                    .unreachable
                    .iter()
                    .map(|member| (member.id.boot, &member.id.name))
                    .min();
                if oldest_here < oldest_there {
                    Verdict::DownUnreachable
                } else {
                    Verdict::DownMyself
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::view;
    use super::*;

    #[test]
    fn the_majority_of_the_view_stays() {
        let policy = KeepMajority {
            stable_after: Duration::from_secs(5),
        };
        let check = |reachable: &[u64], unreachable: &[u64], stable_s, expected| {
            assert_eq!(
                policy.decide(&view(reachable, unreachable, stable_s)),
                expected,
                "{reachable:?} without {unreachable:?}"
            );
        };
        check(&[1, 2], &[3], 4, Verdict::WaitFor(Duration::from_secs(1)));
        check(&[1, 2], &[3], 5, Verdict::DownUnreachable);
        check(&[3], &[1, 2], 5, Verdict::DownMyself);
        check(&[1, 4], &[2, 3], 5, Verdict::DownUnreachable);
        check(&[2, 3], &[1, 4], 5, Verdict::DownMyself);
        check(&[1], &[2], 5, Verdict::DownUnreachable);
    }

    #[test]
    fn a_view_that_never_settles_is_decided_upon_in_the_end() {
        let policy = KeepMajority {
            stable_after: Duration::from_secs(5),
        };
        let mut restless = view(&[1, 2], &[3], 1);
        restless.unreachable[0].for_duration = Duration::from_secs(19);
        assert_eq!(
            policy.decide(&restless),
            Verdict::WaitFor(Duration::from_secs(1))
        );
        restless.unreachable[0].for_duration = Duration::from_secs(20);
        assert_eq!(policy.decide(&restless), Verdict::DownUnreachable);
    }
}
