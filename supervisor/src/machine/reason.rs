//! What the machine needs to know of an exit reason: its class, and nothing else.

use std::fmt;

/// The classes of exit reasons that the policy tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitClass {
    /// The child finished its work (OTP: `normal`).
    Normal,
    /// The child ended because it was asked to (OTP: `shutdown` and `{shutdown, _}`).
    Shutdown,
    /// The child was killed (OTP: `killed`). A failure, unless the supervisor itself killed it.
    Killed,
    /// Everything else: an error, a panic, a supervisor that gave up.
    Failure,
}

/// An exit reason of whatever type the shell uses.
pub trait Reason: Clone + fmt::Debug {
    /// The class that decides about a restart.
    fn class(&self) -> ExitClass;
}
