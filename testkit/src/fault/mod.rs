//! Faults at mailboxes.
//!
//! | file | subject |
//! |---|---|
//! | `when` | which messages a fault befalls |
//! | `plan` | the plan, which the incarnations share, and its record of what it did |
//! | `faulty` | an actor whose messages go through a plan first |
//! | `between` | the same on the way to an actor that cannot be wrapped |

mod between;
mod faulty;
mod plan;
mod when;

pub use faulty::Faulty;
pub use plan::{Crash, Fault, FaultPlan, FaultyStart, Injected};
pub use when::When;
