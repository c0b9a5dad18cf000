//! How long a child may take to end when it is told to, and which of its exit reasons are then no surprise.

use std::time::Duration;

use super::{ExitClass, Restart};

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Killed at once, without being asked.
    BrutalKill,
    /// Asked to stop, and killed when it has not ended after this time.
    Timeout(Duration),
    /// Asked to stop, and waited for as long as it takes. Right for supervisors: their own children have deadlines.
    Infinity,
}

impl Shutdown {
    /// OTP's default for a worker: 5 s.
    pub const WORKER: Shutdown = Shutdown::Timeout(Duration::from_secs(5));
    /// OTP's default for a supervisor: as long as it takes.
    pub const SUPERVISOR: Shutdown = Shutdown::Infinity;

    /// Whether an ordered stop that ended with this class went as ordered; otherwise it is reported as
    /// [`StoppedBadly`](super::Report::StoppedBadly) (OTP: `shutdown_error`). As `shutdown/1` of OTP's `supervisor`.
    #[must_use]
    pub fn is_expected(self, exit: ExitClass, restart: Restart) -> bool {
        match (self, exit) {
            (Shutdown::BrutalKill, ExitClass::Killed) => true,
            (Shutdown::Timeout(_) | Shutdown::Infinity, ExitClass::Shutdown) => true,
            // A permanent child is not supposed to end on its own account just then.
            (_, ExitClass::Shutdown | ExitClass::Normal) => restart != Restart::Permanent,
            (_, ExitClass::Killed | ExitClass::Failure) => false,
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown::WORKER
    }
}
