//! When a child that ended comes back: OTP's restart types.
//!
//! The whole policy is [`Restart::verdict`], clause for clause `do_restart/3` of OTP's `supervisor`. How a restart is
//! carried out (which siblings, after what delay) is not decided here.

use super::ExitClass;

/// Whether a child is started again after it ended by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always, also after a normal end. The default, as in OTP.
    #[default]
    Permanent,
    /// Only after a failure: not after a normal end, nor after an orderly shutdown.
    Transient,
    /// Never. The spec goes with the child, so its id is free again.
    Temporary,
}

/// What becomes of a child that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is started again, with the siblings that the strategy names, unless the intensity forbids it.
    Restart,
    /// It stays without an instance; its spec is kept, and `restart_child` brings it back.
    Stay,
    /// Its spec goes with it.
    Remove,
}

impl Restart {
    /// The policy.
    #[must_use]
    pub fn verdict(self, exit: ExitClass) -> Verdict {
        use ExitClass::{Failure, Killed, Normal, Shutdown};
        match (self, exit) {
            (Restart::Permanent, _) => Verdict::Restart,
            (Restart::Transient, Normal | Shutdown) => Verdict::Stay,
            (Restart::Transient, Killed | Failure) => Verdict::Restart,
            (Restart::Temporary, _) => Verdict::Remove,
        }
    }
}
