//! Everybody who sees a partition yields: for work that must rather stop than be done twice, with something outside that starts it again.

use super::{PartitionPolicy, Patience, Verdict, View};

/// Every member with an unreachable one in its view declares itself down once the view has settled.
#[derive(Clone, Copy, Debug)]
pub struct DownAll {
    patience: Patience,
}

impl DownAll {
    /// Waits so long for the view to settle.
    #[must_use]
    pub fn new(patience: impl Into<Patience>) -> Self {
        Self {
            patience: patience.into(),
        }
    }
}

impl PartitionPolicy for DownAll {
    fn decide(&self, view: &View) -> Verdict {
        self.patience.instead(view).unwrap_or(Verdict::DownMyself)
    }
}
