//! Bugs that can be planted, to test the tests: each must be caught by the comparison with OTP.
//!
//! They exist under the feature `unstable-machines` alone; without it [`Machine::has_bug`] is a constant `false`, and
//! nothing is left of them.

use super::Machine;

/// A plausible mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// A group restart counts once for each child that is started again.
    GroupCountsForEachChild,
    /// A group starts in reverse order.
    GroupStartsInReverse,
    /// The window of the intensity excludes its oldest instant.
    WindowIsExclusive,
    /// The retry of a failed restart is not counted.
    RetryIsNotCounted,
    /// Temporary victims of a group restart are kept.
    TemporaryVictimsStay,
}

impl PlantedBug {
    /// All of them.
    pub const ALL: [PlantedBug; 5] = [
        PlantedBug::GroupCountsForEachChild,
        PlantedBug::GroupStartsInReverse,
        PlantedBug::WindowIsExclusive,
        PlantedBug::RetryIsNotCounted,
        PlantedBug::TemporaryVictimsStay,
    ];
}

impl<H, R> Machine<H, R> {
    /// Plants a bug.
    #[cfg(feature = "unstable-machines")]
    pub fn plant(&mut self, bug: Option<PlantedBug>) {
        self.planted = bug;
        self.restart_log
            .excludes_oldest_instant(self.has_bug(PlantedBug::WindowIsExclusive));
    }

    #[cfg(feature = "unstable-machines")]
    pub(super) fn has_bug(&self, bug: PlantedBug) -> bool {
        self.planted == Some(bug)
    }

    #[cfg(not(feature = "unstable-machines"))]
    pub(super) const fn has_bug(&self, _bug: PlantedBug) -> bool {
        false
    }
}
