//! A member that has read an accusation of its present boot has a greater incarnation than the accusation, or is down.
//!
//! Source: SWIM, section 4.2: a suspected member refutes with a new incarnation.

use treewarden_cluster::membership::{Claim, State};

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct AccusationsAreRefuted;

impl Invariant for AccusationsAreRefuted {
    fn name(&self) -> &'static str {
        "accusations_are_refuted"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let me = step.machine.id();
        if step.machine.state() != State::Alive {
            return Ok(());
        }
        for update in step.received.iter().flat_map(|packet| &packet.updates) {
            let about_me = update.name == me.name && update.boot == me.boot;
            match update.claim {
                Claim::Suspect { .. } | Claim::Unreachable { .. }
                    if about_me && update.incarnation >= step.machine.incarnation() =>
                {
                    return Err(format!(
                        "accused at {} and still at {}",
                        update.incarnation,
                        step.machine.incarnation()
                    ));
                }
                Claim::Down { .. } if about_me => {
                    return Err("was told that it is down, and carries on".to_owned());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
