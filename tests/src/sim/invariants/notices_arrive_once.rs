//! A notice arrives at most once at each boot, is never told to its origin, and says what its origin posted.
//!
//! Source: what the machine promises of notices.

use std::collections::BTreeSet;

use treewarden_cluster::membership::NodeId;

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct NoticesArriveOnce {
    arrived: BTreeSet<(NodeId, NodeId, u64)>,
}

impl Invariant for NoticesArriveOnce {
    fn name(&self) -> &'static str {
        "notices_arrive_once"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let me = step.machine.id();
        for notice in step.notices {
            let (origin, number) = (&notice.origin, notice.number);
            if origin.name == me.name {
                return Err(format!("its own notice {number}"));
            }
            let posted = step.truth.posted.get(&(origin.clone(), number));
            if posted.is_none_or(|payload| payload[..] != notice.payload[..]) {
                return Err(format!("{origin} did not post that as {number}"));
            }
            if !self.arrived.insert((me.clone(), origin.clone(), number)) {
                return Err(format!("notice {number} of {origin} for the second time"));
            }
        }
        Ok(())
    }
}
