//! What an observer holds as a boot's incarnation only grows, until the boot is down.
//!
//! Source: SWIM, section 4.2: incarnations order the messages about a member.

use std::collections::HashMap;

use treewarden_cluster::membership::NodeId;

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct IncarnationNeverDecreases {
    held: HashMap<(usize, NodeId, NodeId), u64>,
}

impl Invariant for IncarnationNeverDecreases {
    fn name(&self) -> &'static str {
        "incarnation_never_decreases"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        for row in step.rows {
            let held = self
                .held
                .entry((step.node, step.machine.id().clone(), row.id.clone()))
                .or_default();
            if row.incarnation < *held {
                return Err(format!(
                    "{} went from {held} to {}",
                    row.id, row.incarnation
                ));
            }
            *held = row.incarnation;
        }
        Ok(())
    }
}
