//! A side with at least so many members stays, every other downs itself.
//!
//! Of at most `2 * size - 1` members no two sides can both have `size`. With more members they could, so then nobody stays (as in Pekko): a
//! cluster that is to grow beyond that needs a greater quorum first.
//!
//! Exclusive as long as a member is heard by one side at a time. Where a member is in touch with two sides that cannot reach each other,
//! indirect probes keep all of them together; the verdict is terminal and travels, so a side that would go on nevertheless is ended by the
//! first member that has heard of it.

use std::cmp::Ordering;

use super::tally::Tally;
use super::{PartitionPolicy, Patience, Verdict, View};

/// Keeps a side with at least so many members.
#[derive(Clone, Debug)]
pub struct StaticQuorum {
    patience: Patience,
    size: usize,
    role: Option<String>,
}

impl StaticQuorum {
    /// A quorum of `size` members, which is to be the majority of the most members that there will ever be: 2 of 3, 3 of 5, 4 of 7. A quorum
    /// of 0 is taken for 1.
    #[must_use]
    pub fn new(size: usize, patience: impl Into<Patience>) -> Self {
        Self {
            patience: patience.into(),
            size: size.max(1),
            role: None,
        }
    }

    /// Counts only members with this role. The others share the fate of their side.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }
}

impl PartitionPolicy for StaticQuorum {
    fn decide(&self, view: &View) -> Verdict {
        if let Some(verdict) = self.patience.instead(view) {
            return verdict;
        }
        let votes = Tally::of(view, self.role.as_deref());
        let two_quorums_fit = votes.all() >= 2 * self.size;
        let could_be = votes.proven() + votes.silent();
        match (votes.proven().cmp(&self.size), could_be.cmp(&self.size)) {
            _ if two_quorums_fit => Verdict::DownMyself,
            (Ordering::Greater | Ordering::Equal, _) => Verdict::DownUnreachable,
            (Ordering::Less, Ordering::Less) => Verdict::DownMyself,
            (Ordering::Less, Ordering::Greater | Ordering::Equal) => Verdict::Ask,
        }
    }
}
