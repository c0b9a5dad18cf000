//! Nobody holds an incarnation that its subject has not reached.
//!
//! Source: SWIM, section 4.2: only the member itself increments its incarnation.

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct OnlyTheSubjectRaisesItsIncarnation;

impl Invariant for OnlyTheSubjectRaisesItsIncarnation {
    fn name(&self) -> &'static str {
        "only_the_subject_raises_its_incarnation"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        for row in step.rows {
            match step.truth.incarnations.get(&row.id) {
                None => return Err(format!("{} never existed", row.id)),
                Some(reached) if row.incarnation > *reached => {
                    return Err(format!(
                        "{} is held at {}, and has reached {reached}",
                        row.id, row.incarnation
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
