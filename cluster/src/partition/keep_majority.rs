//! The side with more members stays, the other downs itself. The default.
//!
//! The majority is one of the *current view*: members that went down before no longer count, so a cluster can shrink step by step. A
//! member counts for this side only if it was heard from after the last change: after a split the lost members are found one after
//! another, and one that is not found yet must not lend its vote. It counts over gossip, and is best effort: where two sides disagree on
//! who is a member at all, both may believe to be the greater.
//!
//! On an even split the side with the smallest boot (the oldest process) stays; Pekko takes the lowest address. Two nodes have no
//! majority, whichever of them is lost, so there has to be said what is wanted.

use std::cmp::Ordering;

use super::tally::{Tally, Whereabouts};
use super::{PartitionPolicy, Patience, Undecided, Verdict, View};

/// What to do when there are two members with a vote, and one lost the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OfTwo {
    /// Nothing, until it comes back or an operator declares it down.
    #[default]
    AskOperator,
    /// The older process stays, the younger yields. When the older one dies, the service ends with it.
    KeepOldest,
    /// Each believes the other dead and goes on. In a partition both do.
    BothGoOn,
    /// Each yields. No two ever act, and one crash ends the service.
    BothYield,
}

/// Keeps the majority of the current view.
#[derive(Clone, Debug)]
pub struct KeepMajority {
    patience: Patience,
    role: Option<String>,
    of_two: OfTwo,
}

impl KeepMajority {
    /// Waits so long for the view to settle. A plain duration is how long a view of up to ten members has to be stable.
    #[must_use]
    pub fn new(patience: impl Into<Patience>) -> Self {
        Self {
            patience: patience.into(),
            role: None,
            of_two: OfTwo::AskOperator,
        }
    }

    /// Counts only members with this role. The others share the fate of their side.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// What to do when there are only two members to count.
    #[must_use]
    pub fn of_two(mut self, of_two: OfTwo) -> Self {
        self.of_two = of_two;
        self
    }
}

impl PartitionPolicy for KeepMajority {
    fn decide(&self, view: &View) -> Verdict {
        if let Some(verdict) = self.patience.instead(view) {
            return verdict;
        }
        let votes = Tally::of(view, self.role.as_deref());
        match (votes.all(), votes.lost()) {
            (2, 1) => match self.of_two {
                OfTwo::AskOperator => Verdict::Undecided(Undecided::TwoNodes),
                OfTwo::KeepOldest => majority(&votes),
                OfTwo::BothGoOn => Verdict::DownUnreachable,
                OfTwo::BothYield => Verdict::DownMyself,
            },
            _ => majority(&votes),
        }
    }
}

/// The rule itself. A verdict is given as soon as no silent member could change it.
pub(super) fn majority(votes: &Tally<'_>) -> Verdict {
    let if_all_silent_are_lost = votes.proven().cmp(&(votes.silent() + votes.lost()));
    let if_none_is = (votes.proven() + votes.silent()).cmp(&votes.lost());
    match (if_all_silent_are_lost, if_none_is, votes.eldest()) {
        (Ordering::Greater, _, _) => Verdict::DownUnreachable,
        (Ordering::Equal, _, Some(Whereabouts::Here)) => Verdict::DownUnreachable,
        (_, Ordering::Less, _) => Verdict::DownMyself,
        (_, Ordering::Equal, Some(Whereabouts::Lost)) => Verdict::DownMyself,
        // Nobody with a vote is lost, or anywhere.
        (_, Ordering::Equal, None) => Verdict::DownUnreachable,
        (Ordering::Less | Ordering::Equal, _, _) if votes.silent() > 0 => Verdict::Ask,
        _ => Verdict::DownMyself,
    }
}
