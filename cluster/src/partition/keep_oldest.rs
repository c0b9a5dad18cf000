//! The side with the oldest process stays. For clusters whose singletons live there anyway: they need not move in a partition.
//!
//! When the oldest is alone on its side, the others stay: otherwise its crash, which nobody can tell from a partition, would end the whole
//! cluster. As in Pekko (`down-if-alone`), this can be switched off.

use super::tally::{Tally, Whereabouts};
use super::{PartitionPolicy, Patience, Verdict, View};

/// Keeps the side of the oldest process.
#[derive(Clone, Debug)]
pub struct KeepOldest {
    patience: Patience,
    role: Option<String>,
    yields_if_alone: bool,
}

impl KeepOldest {
    /// Waits so long for the view to settle. The oldest yields if it is alone.
    #[must_use]
    pub fn new(patience: impl Into<Patience>) -> Self {
        Self {
            patience: patience.into(),
            role: None,
            yields_if_alone: true,
        }
    }

    /// The oldest of those with this role. The others share the fate of their side.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// The oldest stays also when it is alone. Then its crash ends the whole cluster.
    #[must_use]
    pub fn even_if_alone(mut self) -> Self {
        self.yields_if_alone = false;
        self
    }
}

impl PartitionPolicy for KeepOldest {
    fn decide(&self, view: &View) -> Verdict {
        if let Some(verdict) = self.patience.instead(view) {
            return verdict;
        }
        let votes = Tally::of(view, self.role.as_deref());
        let (proven, silent, lost) = (votes.proven(), votes.silent(), votes.lost());
        match votes.eldest() {
            None => Verdict::DownUnreachable,
            Some(Whereabouts::Silent) => Verdict::Ask,
            Some(Whereabouts::Here) if !self.yields_if_alone => Verdict::DownUnreachable,
            Some(Whereabouts::Lost) if !self.yields_if_alone => Verdict::DownMyself,
            Some(Whereabouts::Here) => match (proven, silent, lost) {
                // Of two nodes the older stays: the younger is as alone as it is.
                (1, 0, 0 | 1) => Verdict::DownUnreachable,
                (1, 0, _) => Verdict::DownMyself,
                (1, _, _) => Verdict::Ask,
                _ => Verdict::DownUnreachable,
            },
            Some(Whereabouts::Lost) => match (proven, silent, lost) {
                (2.., 0, 1) => Verdict::DownUnreachable,
                (_, 1.., 1) => Verdict::Ask,
                _ => Verdict::DownMyself,
            },
        }
    }
}
