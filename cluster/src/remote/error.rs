//! What can go wrong for those who send, ask and expose.

use std::{fmt, io, sync::Arc};

use treewarden_runtime::AskError;

use super::{
    codec::CodecError,
    frame::{FrameError, Nack, OpenRefusal, Refusal},
};
use crate::{
    membership::NodeId,
    transport::{self, Blame},
};

/// A message that was not sent. It is handed back.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteTellError<M> {
    /// The credit of the remote mailbox, or the queue of the link, is used up. From
    /// [`try_tell`](super::RemoteRef::try_tell) alone; [`tell`](super::RemoteRef::tell) waits.
    Full(M),
    /// The message is longer than a frame of this link may be.
    TooLarge {
        /// The message.
        message: M,
        /// What its encoding may have, in bytes.
        bytes_max: usize,
    },
    /// The message's own `Serialize` failed.
    Unencodable {
        /// The message.
        message: M,
        /// What it said.
        error: String,
    },
    /// The link was lost, or did not come about, while the message waited for its turn. It can be sent again, which
    /// dials again.
    Disconnected(M),
    /// That boot of the node is down. It will not come back; the node may, under another boot.
    NodeDown(M),
    /// This node has been shut down.
    ShutDown(M),
}

impl<M> RemoteTellError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message)
            | Self::TooLarge { message, .. }
            | Self::Unencodable { message, .. }
            | Self::Disconnected(message)
            | Self::NodeDown(message)
            | Self::ShutDown(message) => message,
        }
    }

    pub(crate) fn from_encode(message: M, error: CodecError) -> Self {
        match error {
            CodecError::TooLarge { bytes_max } => Self::TooLarge { message, bytes_max },
            CodecError::Failed(error) => Self::Unencodable { message, error },
        }
    }
}

impl<M> fmt::Display for RemoteTellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => {
                f.write_str("the remote mailbox or the link is full; the message was not sent")
            }
            Self::TooLarge { bytes_max, .. } => write!(
                f,
                "the message has more than the {bytes_max} bytes that a frame may carry; it was not sent"
            ),
            Self::Unencodable { error, .. } => {
                write!(
                    f,
                    "the message cannot be encoded ({error}); it was not sent"
                )
            }
            Self::Disconnected(_) => {
                f.write_str("there is no link to the node; the message was not sent")
            }
            Self::NodeDown(_) => f.write_str("the node is down; the message was not sent"),
            Self::ShutDown(_) => f.write_str("this node is shut down; the message was not sent"),
        }
    }
}

impl<M> fmt::Debug for RemoteTellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteTellError({self})")
    }
}

impl<M> std::error::Error for RemoteTellError<M> {}

/// Why a remote ask has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteAskError {
    /// What can also happen to a local ask, and [`AskError::Disconnected`].
    Ask(AskError),
    /// Nothing is exposed under this name, or another type or version of messages. The request was not handled.
    NotOpened(OpenRefusal),
    /// The other side could not decode the request as what its name and version say. It was not handled.
    Undecodable,
    /// The request is longer than a frame of this link may be. It was not sent.
    TooLarge {
        /// What its encoding may have, in bytes.
        bytes_max: usize,
    },
    /// The request's own `Serialize` failed. It was not sent.
    Unencodable {
        /// What it said.
        error: String,
    },
    /// The request was handled, and its answer is longer than a frame to this node may be.
    AnswerTooLarge {
        /// Its length in bytes.
        bytes: u64,
    },
    /// As many asks to that node as is allowed are unanswered. The request was not sent.
    TooManyAsks {
        /// How many are allowed.
        asks_max: usize,
    },
    /// That boot of the node is down, and was before the request was sent.
    NodeDown,
    /// This node has been shut down. The request was not sent.
    ShutDown,
}

impl RemoteAskError {
    /// Whether the request has surely not been handled, so that it can be sent again (or elsewhere) without harm.
    pub fn is_safe_to_retry(&self) -> bool {
        match self {
            Self::Ask(error) => error.is_safe_to_retry(),
            Self::AnswerTooLarge { .. } => false,
            Self::NotOpened(_)
            | Self::Undecodable
            | Self::TooLarge { .. }
            | Self::Unencodable { .. }
            | Self::TooManyAsks { .. }
            | Self::NodeDown
            | Self::ShutDown => true,
        }
    }

    pub(crate) fn from_nack(nack: Nack) -> (AskError, Option<Self>) {
        match nack {
            Nack::Undecodable => (AskError::Dead, Some(Self::Undecodable)),
            Nack::Full | Nack::TooHeavy => (AskError::Refused, None),
            Nack::Stopped | Nack::Gone => (AskError::Dead, None),
        }
    }
}

impl From<AskError> for RemoteAskError {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl From<RemoteAskError> for AskError {
    /// The runtime's error that says the same about whether the request was handled.
    fn from(error: RemoteAskError) -> Self {
        match error {
            RemoteAskError::Ask(error) => error,
            RemoteAskError::AnswerTooLarge { .. } => Self::NoReply,
            RemoteAskError::TooLarge { .. }
            | RemoteAskError::Unencodable { .. }
            | RemoteAskError::TooManyAsks { .. } => Self::Refused,
            RemoteAskError::NotOpened(_)
            | RemoteAskError::Undecodable
            | RemoteAskError::NodeDown
            | RemoteAskError::ShutDown => Self::Dead,
        }
    }
}

impl fmt::Display for RemoteAskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask(error) => error.fmt(f),
            Self::NotOpened(OpenRefusal::UnknownTarget) => f.write_str(
                "nothing is exposed under this name on that node; the request was not handled",
            ),
            Self::NotOpened(OpenRefusal::WrongType) => f.write_str(
                "that actor takes messages of another type; the request was not handled",
            ),
            Self::NotOpened(OpenRefusal::WrongVersion { takes }) => write!(
                f,
                "that actor takes version {takes} of these messages; the request was not handled"
            ),
            Self::Undecodable => {
                f.write_str("the other node could not decode the request; it was not handled")
            }
            Self::TooLarge { bytes_max } => write!(
                f,
                "the request has more than the {bytes_max} bytes that a frame may carry; it was not sent"
            ),
            Self::Unencodable { error } => {
                write!(
                    f,
                    "the request cannot be encoded ({error}); it was not sent"
                )
            }
            Self::AnswerTooLarge { bytes } => write!(
                f,
                "the request was handled, but its answer of {bytes} bytes is longer than a frame may be"
            ),
            Self::TooManyAsks { asks_max } => write!(
                f,
                "{asks_max} asks to that node are unanswered; the request was not sent"
            ),
            Self::NodeDown => f.write_str("the node is down; the request was not sent"),
            Self::ShutDown => f.write_str("this node is shut down; the request was not sent"),
        }
    }
}

impl std::error::Error for RemoteAskError {}

/// An actor was not exposed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExposeError {
    /// Another actor is exposed under this name.
    NameTaken {
        /// The name.
        name: Arc<str>,
    },
    /// Nothing, or another actor, is exposed under this name.
    NotExposed {
        /// The name.
        name: Arc<str>,
    },
    /// The name is empty or longer than [`TARGET_BYTES_MAX`](super::TARGET_BYTES_MAX).
    NameLength {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl fmt::Display for ExposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken { name } => write!(f, "another actor is exposed as {name:?}"),
            Self::NotExposed { name } => {
                write!(f, "the actor is not exposed as {name:?}: expose it first")
            }
            Self::NameLength { bytes } => write!(
                f,
                "a name to be exposed has 1 to {} bytes, not {bytes}",
                super::TARGET_BYTES_MAX
            ),
        }
    }
}

impl std::error::Error for ExposeError {}

/// Why a link did not come about, or ended.
#[derive(Clone, Debug)]
pub(crate) enum LinkError {
    /// Membership does not know where the node is.
    Unlocated,
    /// Membership says that it is down.
    NodeDown,
    /// This node is shutting down.
    ShutDown,
    /// The operating system said no.
    Io(Arc<io::Error>),
    /// Nothing was heard, or nothing could be written, for too long.
    Silent,
    /// A frame that had begun was not whole in time.
    FrameTooSlow,
    /// This side refused.
    Refused(Refusal),
    /// The other side refused.
    WasRefused(Refusal),
    /// What came is not a frame.
    Frame(FrameError),
    /// A frame that has no place here, or more than was granted.
    Rules(&'static str),
    /// What is queued has a longer frame than the other side reads.
    QueuedTooLong,
    /// The other side has closed in order.
    Goodbye,
    /// It made room for a newer link, or for a newer boot of this node.
    Replaced,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlocated => f.write_str("it is not known where the node is"),
            Self::NodeDown => f.write_str("the node is down"),
            Self::ShutDown => f.write_str("this node is shut down"),
            Self::Io(error) => error.fmt(f),
            Self::Silent => f.write_str("the other side was silent for too long"),
            Self::FrameTooSlow => f.write_str("the other side took too long for a frame"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::WasRefused(why) => write!(f, "refused by the other side: {why}"),
            Self::Frame(error) => error.fmt(f),
            Self::Rules(rule) => write!(f, "the other side broke a rule: {rule}"),
            Self::QueuedTooLong => {
                f.write_str("a queued message is longer than the other side reads")
            }
            Self::Goodbye => f.write_str("closed by the other side"),
            Self::Replaced => f.write_str("replaced by a newer link or boot"),
        }
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        match transport::blames(&error) {
            Some(Blame::Them) => Self::Refused(Refusal::WrongCertificate),
            Some(Blame::Us) => Self::WasRefused(Refusal::WrongCertificate),
            None => Self::Io(Arc::new(error)),
        }
    }
}

impl From<FrameError> for LinkError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// A monitored name stands for nothing: found in the reason of a [`Gone`](treewarden_runtime::MonitorEvent::Gone) event,
/// with [`Failure::downcast_ref`](treewarden_runtime::Failure::downcast_ref).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTarget {
    /// On which node.
    pub node: NodeId,
    /// The name.
    pub target: Arc<str>,
}

impl fmt::Display for UnknownTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nothing is exposed as {:?} on {}",
            self.target, self.node
        )
    }
}

impl std::error::Error for UnknownTarget {}
