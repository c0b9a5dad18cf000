//! Nobody is listed in its own table, and no accusation names its subject as accuser.
//!
//! Source: SWIM, section 4.2: suspicions come from probers.

use treewarden_cluster::membership::Event;

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct NobodyAccusesItself;

impl Invariant for NobodyAccusesItself {
    fn name(&self) -> &'static str {
        "nobody_accuses_itself"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        if let Some(row) = step
            .rows
            .iter()
            .find(|row| row.id.name == step.machine.id().name)
        {
            return Err(format!("{} is in its own table", row.id));
        }
        for event in step.events {
            match event {
                Event::MemberSuspected { id, accuser }
                | Event::MemberUnreachable { id, accuser }
                    if id.name == *accuser =>
                {
                    return Err(format!("{id} accuses itself"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
