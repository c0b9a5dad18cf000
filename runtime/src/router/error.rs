//! Why a router did not pass something on.

use std::fmt;

use crate::{ask::AskError, tell::TellError};

/// A message that a router did not pass on. It is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RouteError<M> {
    /// No worker can be given anything now: there are none, or all are restarting, stopped or ejected.
    NobodyEligible(M),
    /// Those that are eligible have no room: for [`try_tell`](super::Router::try_tell), and for
    /// [`tell`](super::Router::tell) where the policy of the mailbox is to refuse.
    Full(M),
    /// The message weighs more than the mailbox of the chosen worker may hold.
    TooHeavy(M),
}

impl<M> RouteError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::NobodyEligible(message) | Self::Full(message) | Self::TooHeavy(message) => {
                message
            }
        }
    }

    pub(super) fn of(error: TellError<M>) -> Self {
        match error {
            TellError::Full(message) => Self::Full(message),
            TellError::TooHeavy(message) => Self::TooHeavy(message),
            TellError::Stopped(message) | TellError::Gone(message) => Self::NobodyEligible(message),
        }
    }
}

impl<M> fmt::Display for RouteError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NobodyEligible(_) => {
                "no worker is eligible: there are none, or all are restarting, stopped or ejected; the message was not queued"
            }
            Self::Full(_) => "no worker has room; the message was not queued",
            Self::TooHeavy(_) => {
                "the message weighs more than the mailbox of its worker holds; it was not queued"
            }
        })
    }
}

impl<M> fmt::Debug for RouteError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NobodyEligible(_) => "NobodyEligible(..)",
            Self::Full(_) => "Full(..)",
            Self::TooHeavy(_) => "TooHeavy(..)",
        })
    }
}

impl<M> std::error::Error for RouteError<M> {}

/// Why an ask through a router has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoutedAskError {
    /// No worker can be given anything now, or, in a [`gather`](super::Router::gather), this one can't. The message was not even made.
    NotEligible,
    /// A worker was asked, and this came of it.
    Failed(AskError),
}

impl RoutedAskError {
    /// Whether the request has surely not been handled, so that it can be sent again without harm.
    pub fn is_safe_to_retry(self) -> bool {
        match self {
            Self::NotEligible => true,
            Self::Failed(error) => error.is_safe_to_retry(),
        }
    }
}

impl fmt::Display for RoutedAskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEligible => f.write_str(
                "no worker is eligible: there are none, or all are restarting, stopped or ejected; nobody was asked",
            ),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RoutedAskError {}
