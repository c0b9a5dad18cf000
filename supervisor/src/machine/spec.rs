//! What a supervisor knows of a child before it has started it, and which combinations are refused.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{AutoShutdown, Backoff, Restart, Shutdown};

/// Whether a child does work or supervises; it only matters for counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChildRole {
    /// Does the work.
    #[default]
    Worker,
    /// Supervises children of its own.
    Supervisor,
}

/// What becomes of the messages that wait in a child's mailbox when it is restarted. (OTP always loses them.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueFate {
    /// They wait for the next incarnation.
    Keep,
    /// They go to the dead letters.
    DeadLetters,
}

/// The specification of one child.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildSpec {
    /// Unique among the children of a supervisor, except under [`Strategy::Dynamic`](super::Strategy::Dynamic).
    pub id: Arc<str>,
    /// When it is restarted.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// Worker or supervisor.
    pub role: ChildRole,
    /// Whether the end of this child can end the supervisor; see [`AutoShutdown`].
    pub significant: bool,
    /// How long a start may take before the child is killed and the start counts as failed; `None`: for ever, as OTP.
    pub start_timeout: Option<Duration>,
    /// The delays between restarts; `None`: at once, as OTP.
    pub backoff: Option<Arc<Backoff>>,
    /// The messages that wait when the child itself failed.
    pub queue_on_own_restart: QueueFate,
    /// The messages that wait when it is restarted because a sibling failed.
    pub queue_on_group_restart: QueueFate,
}

impl ChildSpec {
    /// A permanent worker with OTP's defaults.
    #[must_use]
    pub fn worker(id: impl Into<Arc<str>>) -> Self {
        ChildSpec {
            id: id.into(),
            restart: Restart::Permanent,
            shutdown: Shutdown::WORKER,
            role: ChildRole::Worker,
            significant: false,
            start_timeout: None,
            backoff: None,
            queue_on_own_restart: QueueFate::Keep,
            queue_on_group_restart: QueueFate::DeadLetters,
        }
    }

    /// A permanent supervisor with OTP's defaults.
    #[must_use]
    pub fn supervisor(id: impl Into<Arc<str>>) -> Self {
        ChildSpec {
            role: ChildRole::Supervisor,
            shutdown: Shutdown::SUPERVISOR,
            ..ChildSpec::worker(id)
        }
    }

    /// Refuses what OTP refuses.
    pub(crate) fn check(&self, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
        if self.significant && auto_shutdown == AutoShutdown::Never {
            return Err(SpecError::SignificantWithoutAutoShutdown {
                id: self.id.clone(),
            });
        }
        if self.significant && self.restart == Restart::Permanent {
            return Err(SpecError::SignificantAndPermanent {
                id: self.id.clone(),
            });
        }
        Ok(())
    }
}

/// Why a child specification is refused. The supervisor is as it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecError {
    /// Two children have the same id.
    DuplicateId {
        /// The id that both have.
        id: Arc<str>,
    },
    /// A significant child under a supervisor that never shuts down by itself.
    SignificantWithoutAutoShutdown {
        /// The id of the child.
        id: Arc<str>,
    },
    /// A supervisor of dynamic children cannot become one of named children, nor the other way round.
    DynamicForEver,
    /// A permanent child is always restarted, so it never ends for good and cannot be significant.
    SignificantAndPermanent {
        /// The id of the child.
        id: Arc<str>,
    },
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpecError::DuplicateId { id } => {
                write!(f, "two children have the id {id:?}; give one another id")
            }
            SpecError::SignificantWithoutAutoShutdown { id } => {
                write!(
                    f,
                    "child {id:?} is significant, but the supervisor's auto_shutdown is Never; set auto_shutdown"
                )
            }
            SpecError::DynamicForEver => f.write_str(
                "a dynamic supervisor stays one, and another one does not become one; start a new supervisor",
            ),
            SpecError::SignificantAndPermanent { id } => {
                write!(
                    f,
                    "child {id:?} is significant and permanent; make it transient or temporary"
                )
            }
        }
    }
}

impl Error for SpecError {}
