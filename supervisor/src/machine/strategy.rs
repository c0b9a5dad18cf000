//! Who else is restarted when one child fails.

/// The restart strategy of a supervisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Only the child that failed.
    #[default]
    OneForOne,
    /// All children: they are stopped in reverse start order, then started in start order.
    OneForAll,
    /// The child that failed and those started after it.
    RestForOne,
    /// OTP's `simple_one_for_one`: any number of children without ids or order, each restarted alone, and stopped
    /// together under one deadline.
    Dynamic,
}

impl Strategy {
    /// Whether a failure takes siblings along.
    #[must_use]
    pub fn restarts_siblings(self) -> bool {
        matches!(self, Strategy::OneForAll | Strategy::RestForOne)
    }
}
