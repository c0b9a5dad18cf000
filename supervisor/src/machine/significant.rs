//! Supervisors that end with their significant children (OTP 24 and later: `auto_shutdown`).
//!
//! Only a child that ends *by itself* and stays ended counts: not one that is stopped by `terminate_child` or as a
//! victim of a group restart, and not one that is restarted.

/// When a supervisor ends because significant children did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AutoShutdown {
    /// Never. The default.
    #[default]
    Never,
    /// As soon as one significant child has ended by itself.
    AnySignificant,
    /// As soon as no significant child is left, when the last one ended by itself.
    AllSignificant,
}

impl AutoShutdown {
    /// Whether the supervisor ends now that a child has ended by itself for good; `significant_left` counts the
    /// significant children that run or are about to run again.
    #[must_use]
    pub fn ends_with(self, child_is_significant: bool, significant_left: usize) -> bool {
        match self {
            _ if !child_is_significant => false,
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => significant_left == 0,
        }
    }
}
