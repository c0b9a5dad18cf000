//! Why a router over a group did not pass something on.

use std::fmt;

use super::reference::ClusterTellError;
use crate::remote::RemoteAskError;

/// A message that a router did not pass on. It is handed back.
#[derive(Clone, PartialEq, Eq)]
pub enum GroupRouteError<M> {
    /// No member can be given anything now: there are none, or all are unreachable, draining, stopped or ejected.
    NobodyEligible(M),
    /// Those that can have no room.
    Full(M),
    /// The message itself cannot be sent.
    Failed(ClusterTellError<M>),
}

impl<M> GroupRouteError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::NobodyEligible(message) | Self::Full(message) => message,
            Self::Failed(error) => error.into_message(),
        }
    }
}

impl<M> fmt::Display for GroupRouteError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyEligible(_) => f.write_str(NOBODY),
            Self::Full(_) => f.write_str("no member of the group has room; nothing was sent"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

const NOBODY: &str = "no member of the group can be given anything: there are none, or all are unreachable, draining, stopped or ejected; nothing was sent";

impl<M> fmt::Debug for GroupRouteError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupRouteError({self})")
    }
}

impl<M> std::error::Error for GroupRouteError<M> {}

/// Why an ask through a router has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAskError {
    /// No member can be given anything now, or, in a [`gather`](super::GroupRouter::gather), this one can't. The message was not even made.
    NobodyEligible,
    /// A member was asked, and this came of it.
    Failed(RemoteAskError),
}

impl GroupAskError {
    /// Whether the request has surely not been handled, so that it can be sent again without harm.
    pub fn is_safe_to_retry(&self) -> bool {
        match self {
            Self::NobodyEligible => true,
            Self::Failed(error) => error.is_safe_to_retry(),
        }
    }
}

impl fmt::Display for GroupAskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyEligible => f.write_str(NOBODY),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for GroupAskError {}
