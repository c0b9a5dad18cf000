//! Why a tree did not start.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use treewarden_runtime::{ExitReason, Failure};

use crate::machine::{AdminError, Limit, SpecError};

/// Why an administration call failed.
pub type CallError = AdminError<ExitReason>;

/// Why a supervisor did not start. Nothing of it is left.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A specification is refused.
    Invalid {
        /// The path of the supervisor.
        path: Arc<str>,
        /// What is wrong.
        error: SpecError,
    },
    /// A child cannot be made as it is specified: for example, its mailbox or placement does not exist.
    Impossible {
        /// The path of the child.
        path: Arc<str>,
        /// What is wrong.
        failure: Failure,
    },
    /// A child failed to start.
    Child {
        /// The path of the child.
        path: Arc<str>,
        /// Why.
        reason: ExitReason,
    },
    /// The supervisor was told to end, or was killed, before all children had started.
    Interrupted {
        /// The path of the supervisor.
        path: Arc<str>,
        /// How it ended.
        reason: ExitReason,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Invalid { path, error } => {
                write!(f, "the specification of {path} is refused: {error}")
            }
            StartError::Impossible { path, failure } => {
                write!(f, "{path} cannot be made: {failure:#}")
            }
            StartError::Child { path, reason } => {
                write!(
                    f,
                    "{path} failed to start ({reason}); what had been started before it was stopped again"
                )
            }
            StartError::Interrupted { path, reason } => {
                write!(f, "{path} ended while it started: {reason}")
            }
        }
    }
}

impl Error for StartError {}

/// The failure in [`ExitReason::Escalated`]: a supervisor restarted its children too often.
#[derive(Clone, Debug)]
pub struct GaveUp {
    /// The path of the child that failed last.
    pub child: Arc<str>,
    /// The limit that was exceeded.
    pub limit: Limit,
    /// How the child failed.
    pub reason: ExitReason,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; the last to fail was {} ({})",
            self.limit, self.child, self.reason
        )
    }
}

impl Error for GaveUp {}
