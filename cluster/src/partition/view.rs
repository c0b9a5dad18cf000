//! What a policy sees: one member's view, sorted by what each of the others is good for.

use std::sync::Arc;
use std::time::Duration;

use super::LeaseAnswer;
use crate::membership::{NodeId, Record};

/// A member, as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which process.
    pub id: NodeId,
    /// What it tells about itself: roles, zone, free values.
    pub record: Arc<Record>,
}

/// A member that is unreachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Who.
    pub peer: Peer,
    /// The deciding process has seen that the host of this one refuses connections at its address: the process is gone, and no split hides it.
    pub refused: bool,
    /// For how long, in time that the deciding process ran.
    pub for_duration: Duration,
}

/// One member's view of the cluster, without those that are down.
#[derive(Clone, Debug)]
pub struct View {
    /// The deciding member itself, and those that it has heard from since the last change and that see the cluster as it does.
    pub reachable: Vec<Peer>,
    /// Those that nobody accuses, but that have not agreed with it since the last change: perhaps they are lost as well and merely not
    /// found out yet.
    pub silent: Vec<Peer>,
    /// Those that joined after the first of the unreachable was lost. They have no vote: otherwise a process that was counted on one side
    /// could crash, start again on the other side, and be counted there as well. Losses that are older than the deciding process make nobody a
    /// newcomer.
    pub newcomers: Vec<Peer>,
    /// The others. Never empty when a policy is asked.
    pub unreachable: Vec<Unreachable>,
    /// Whether the deciding process knew all of the unreachable before they were lost. Otherwise it is a newcomer itself, and others come first.
    pub witnessed: bool,
    /// For how long no member has become unreachable or come back.
    pub stable_for: Duration,
    /// What was answered when the lease was last asked for, if that was after the last change.
    pub lease: Option<LeaseAnswer>,
}

impl View {
    /// How many members it has, whatever their state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.reachable.len() + self.silent.len() + self.newcomers.len() + self.unreachable.len()
    }

    /// Never true when a policy is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For how long the first of the unreachable has been lost.
    pub(super) fn longest_unreachable(&self) -> Duration {
        let durations = self.unreachable.iter().map(|lost| lost.for_duration);
        durations.max().unwrap_or_default()
    }
}
