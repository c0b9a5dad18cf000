//! Whether a running job still goes on: [`Pulse`].

use std::time::Duration;

use tokio::time::Instant;

/// How long the nodes may take to find each other.
pub(super) const START_TIME_MAX: Duration = Duration::from_secs(30);

/// How long no chunk may be counted, and nothing of the result may come.
pub(super) const STALL_TIME_MAX: Duration = Duration::from_secs(60);

/// What a job that is not done does at the moment, and when it was last seen to do it.
///
/// A large result takes longer to hand over than anything may stand still, so each piece of it is a sign of life like each
/// chunk that is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    stage: Stage,
    last: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Gathering,
    Counting,
    HandingOver,
}

impl Pulse {
    /// The nodes are started now.
    pub(super) fn new() -> Self {
        Self::at(Stage::Gathering)
    }

    fn at(stage: Stage) -> Self {
        let last = Instant::now();
        Self { stage, last }
    }

    /// A coordinator has begun, or something was counted.
    pub(super) fn counts(&mut self) {
        *self = Self::at(Stage::Counting);
    }

    /// Something of the result has come.
    pub(super) fn hands_over(&mut self) {
        *self = Self::at(Stage::HandingOver);
    }

    /// Whether a coordinator has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.stage != Stage::Gathering
    }

    /// What is wrong if nothing comes, since when nothing has come, and for how long that may be so.
    pub(super) fn waits_for(&self) -> (&'static str, Instant, Duration) {
        let (what, max) = match self.stage {
            Stage::Gathering => ("the nodes did not find each other", START_TIME_MAX),
            Stage::Counting => ("no chunk was counted", STALL_TIME_MAX),
            Stage::HandingOver => ("nothing more of the result came", STALL_TIME_MAX),
        };
        (what, self.last, max)
    }
}
