//! Whoever stays unreachable goes down. Both sides of a partition do that to each other: only for work where that is harmless.

use super::{PartitionPolicy, Patience, Verdict, View};

/// Declares unreachable members down once the view has settled, on every side of a partition.
#[derive(Clone, Copy, Debug)]
pub struct DownAfter {
    patience: Patience,
}

impl DownAfter {
    /// Waits so long for the view to settle.
    #[must_use]
    pub fn new(patience: impl Into<Patience>) -> Self {
        Self {
            patience: patience.into(),
        }
    }
}

impl PartitionPolicy for DownAfter {
    fn decide(&self, view: &View) -> Verdict {
        self.patience
            .instead(view)
            .unwrap_or(Verdict::DownUnreachable)
    }
}
