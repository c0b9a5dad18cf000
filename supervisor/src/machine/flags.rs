//! The settings of one supervisor.

use std::time::Duration;

use super::{AutoShutdown, Intensity, Strategy};

/// With what reason a supervisor that gave up ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escalation {
    /// As a failure: a *transient* supervisor is restarted by its parent. The default here.
    #[default]
    Escalated,
    /// As OTP does, with `shutdown`: a *transient* supervisor that gave up is then **not** restarted by its parent.
    Shutdown,
}

/// The settings of one supervisor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flags {
    /// Who else is restarted when one child fails.
    pub strategy: Strategy,
    /// How many restarts are tolerated in how much time.
    pub intensity: Intensity,
    /// Whether the end of significant children ends the supervisor.
    pub auto_shutdown: AutoShutdown,
    /// With what reason the supervisor ends when it gives up.
    pub escalation: Escalation,
    /// How many children `start_child` admits; `None`: any number.
    pub max_children: Option<usize>,
    /// How long after a kill a child that has still not ended is reported as hung; `None`: never.
    pub hung_after: Option<Duration>,
    /// Whether the shutdown of the whole supervisor leaves hung children behind instead of waiting for them.
    pub abandon_hung: bool,
    /// Whether the children end together when the supervisor ends, as those of a dynamic one do, instead of one after the other
    /// in reverse start order. For equal children that do not need each other.
    pub stop_together: bool,
}

impl Flags {
    /// OTP's defaults with this strategy.
    #[must_use]
    pub fn new(strategy: Strategy) -> Self {
        Flags {
            strategy,
            ..Flags::default()
        }
    }
}
