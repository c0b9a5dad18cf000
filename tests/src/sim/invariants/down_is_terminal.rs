//! A boot that an observer holds as down never has another state there, and never comes back once it is forgotten.
//!
//! Source: The design: unreachable can be refuted, down is terminal for the boot.

use std::collections::HashSet;

use treewarden_cluster::membership::NodeId;

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct DownIsTerminal {
    down: HashSet<(usize, NodeId, NodeId)>,
}

impl Invariant for DownIsTerminal {
    fn name(&self) -> &'static str {
        "down_is_terminal"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        for row in step.rows {
            let key = (step.node, step.machine.id().clone(), row.id.clone());
            if row.state.is_down() {
                self.down.insert(key);
            } else if self.down.contains(&key) {
                return Err(format!("{} was down and is {}", row.id, row.state));
            }
        }
        Ok(())
    }
}
