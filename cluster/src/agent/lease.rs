//! Asks the third party that some partition policies need, and brings its answer to the machine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::run::Command;
use crate::membership::NodeId;
use crate::partition::{Lease, LeaseAnswer};

/// Where to ask, and whom to tell.
pub(super) struct LeaseDesk {
    pub(super) lease: Option<Arc<dyn Lease>>,
    /// What takes longer counts as refused.
    pub(super) timeout: Duration,
    /// Weak, so that a question in flight does not keep the agent alive.
    pub(super) commands: mpsc::WeakSender<Command>,
}

impl LeaseDesk {
    /// Asks in a task of its own, so that the agent goes on with its packets meanwhile.
    pub(super) fn ask(&self, number: u64, owner: NodeId) {
        let (lease, timeout, commands) = (self.lease.clone(), self.timeout, self.commands.clone());
        tokio::spawn(async move {
            let answer = match lease {
                Some(lease) => tokio::time::timeout(timeout, lease.acquire(&owner))
                    .await
                    .unwrap_or(LeaseAnswer::Refused),
                None => LeaseAnswer::Refused,
            };
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::Lease(number, answer)).await; // the agent may have ended
            }
        });
    }
}
