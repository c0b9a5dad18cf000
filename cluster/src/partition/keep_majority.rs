//! The side with more members stays, the other downs itself. The default.
//!
//! The majority is one of the *current view*: members that went down before no longer count, so a cluster can shrink step by step. A
//! member counts for this side only if it was heard from after the last change: after a split the lost members are found one after
//! another, and one that is not found yet must not lend its vote. This is the smallest honest version: it counts members, all alike, over
//! gossip, and is best effort. Where two sides disagree on who is a member at all, both may believe to be the greater.
//!
//! On an even split the side with the smallest boot (the oldest process) stays. Of two nodes the older survives the younger and not the
//! other way round: choose explicitly for two.

use std::cmp::Ordering;
use std::time::Duration;

use super::{PartitionPolicy, Verdict, View};
use crate::membership::NodeId;

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
        let proven = view.reachable.len();
        let possible = proven + view.silent.len();
        let others = view.unreachable.len();
        if proven > others + view.silent.len() {
            return Verdict::DownUnreachable;
        }
        let everyone_else = view
            .unreachable
            .iter()
            .map(|member| &member.id)
            .chain(&view.silent);
        let oldest_is_proven = eldest(view.reachable.iter()) < eldest(everyone_else);
        match (
            proven.cmp(&(others + view.silent.len())),
            possible.cmp(&others),
        ) {
            (Ordering::Equal, _) if oldest_is_proven => Verdict::DownUnreachable,
            (_, Ordering::Less) => Verdict::DownMyself,
            (_, Ordering::Equal)
                if view.silent.is_empty() || !this_side_may_hold_the_eldest(view) =>
            {
                Verdict::DownMyself
            }
            _ => Verdict::Ask,
        }
    }
}

fn eldest<'a>(
    ids: impl Iterator<Item = &'a NodeId>,
) -> Option<(crate::membership::BootUid, &'a NodeId)> {
    ids.map(|id| (id.boot, id)).min()
}

fn this_side_may_hold_the_eldest(view: &View) -> bool {
    eldest(view.reachable.iter().chain(&view.silent))
        < eldest(view.unreachable.iter().map(|member| &member.id))
}

#[cfg(test)]
mod tests {
    use super::super::testing::view;
    use super::*;

    const POLICY: KeepMajority = KeepMajority {
        stable_after: Duration::from_secs(5),
    };

    #[test]
    fn the_majority_of_the_view_stays() {
        let check = |reachable: &[u64], unreachable: &[u64], stable_s, expected| {
            let view = view(reachable, &[], unreachable, stable_s);
            assert_eq!(
                POLICY.decide(&view),
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
        check(&[2], &[1], 5, Verdict::DownMyself);
    }

    #[test]
    fn a_member_that_was_not_heard_from_lends_no_vote() {
        let check = |reachable: &[u64], silent: &[u64], unreachable: &[u64], expected| {
            let view = view(reachable, silent, unreachable, 5);
            assert_eq!(
                POLICY.decide(&view),
                expected,
                "{reachable:?} and perhaps {silent:?} without {unreachable:?}"
            );
        };
        check(&[1, 2], &[3], &[4, 5], Verdict::Ask);
        check(&[1, 2, 3], &[], &[4, 5], Verdict::DownUnreachable);
        check(&[1, 2, 3], &[4], &[5], Verdict::DownUnreachable);
        check(&[1], &[2], &[3, 4, 5], Verdict::DownMyself);
        check(&[1, 2], &[3], &[4], Verdict::DownUnreachable);
        check(&[2, 3], &[1], &[4], Verdict::Ask);
        check(&[2], &[1], &[3, 4], Verdict::Ask);
        check(&[2], &[3], &[1, 4], Verdict::DownMyself);
    }

    #[test]
    fn a_view_that_never_settles_is_decided_upon_in_the_end() {
        let mut restless = view(&[1, 2], &[], &[3], 1);
        restless.unreachable[0].for_duration = Duration::from_secs(19);
        assert_eq!(
            POLICY.decide(&restless),
            Verdict::WaitFor(Duration::from_secs(1))
        );
        restless.unreachable[0].for_duration = Duration::from_secs(20);
        assert_eq!(POLICY.decide(&restless), Verdict::DownUnreachable);
    }
}
