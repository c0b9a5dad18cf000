//! Nobody holds a boot as down unless a policy, an operator, a successor or the boot itself has decided so.
//!
//! Source: The design: expiry of a suspicion alone never gives down.

use treewarden_cluster::membership::{DownReason, State};

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct DownNeedsAVerdict;

impl Invariant for DownNeedsAVerdict {
    fn name(&self) -> &'static str {
        "down_needs_a_verdict"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        for row in step.rows {
            let entitled = match row.state {
                State::Down(DownReason::Policy) => step
                    .truth
                    .verdicts
                    .contains(&(row.id.clone(), DownReason::Policy)),
                State::Down(DownReason::Operator) => step
                    .truth
                    .verdicts
                    .contains(&(row.id.clone(), DownReason::Operator)),
                State::Down(DownReason::Replaced) => step
                    .truth
                    .newest
                    .get(&row.id.name)
                    .is_some_and(|newest| newest.boot > row.id.boot),
                _ => true,
            };
            if !entitled {
                return Err(format!("{} is {} without a verdict", row.id, row.state));
            }
        }
        Ok(())
    }
}
