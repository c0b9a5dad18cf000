//! Once an observer has seen a boot of a name, it never holds a smaller one.
//!
//! Source: The lattice of claims, rule 1.

use std::collections::HashMap;

use treewarden_cluster::membership::{BootUid, NodeId, NodeName};

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct NewestBootStays {
    newest: HashMap<(usize, NodeId, NodeName), BootUid>,
}

impl Invariant for NewestBootStays {
    fn name(&self) -> &'static str {
        "newest_boot_stays"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        for row in step.rows {
            let newest = self
                .newest
                .entry((step.node, step.machine.id().clone(), row.id.name.clone()))
                .or_insert(row.id.boot);
            if row.id.boot < *newest {
                return Err(format!("{} came after boot {newest}", row.id));
            }
            *newest = row.id.boot;
        }
        Ok(())
    }
}
