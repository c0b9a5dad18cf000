//! [`ClusterRef`]: a reference to an actor of the cluster, wherever it is.

use std::{fmt, sync::Arc, time::Duration};

use treewarden_runtime::{ActorRef, Deliver, Recipient, RecipientTell, Reply, TellError};

use super::entry::Address;
use crate::remote::{RemoteAskError, RemoteMessage, RemoteRef, RemoteTellError};

/// A reference to an actor that was found in the directory: on this node, or on another.
///
/// What is told to an actor of this node does not go over the network. The promises are those of the reference behind it.
pub enum ClusterRef<M> {
    /// On this node.
    Local(ActorRef<M>),
    /// On another.
    Remote(RemoteRef<M>),
}

impl<M: RemoteMessage> ClusterRef<M> {
    /// Queues `message` without waiting: in the mailbox, or for the link within the credit of the remote mailbox.
    ///
    /// # Errors
    ///
    /// See [`ClusterTellError`]; the message is handed back.
    pub fn try_tell(&self, message: M) -> Result<(), ClusterTellError<M>> {
        match self {
            Self::Local(actor) => actor.try_tell(message).map_err(ClusterTellError::Local),
            Self::Remote(actor) => actor.try_tell(message).map_err(ClusterTellError::Remote),
        }
    }

    /// Queues `message`, and waits for room.
    ///
    /// Cancel safety: dropping the future either leaves the message queued, or drops it.
    ///
    /// # Errors
    ///
    /// See [`ClusterTellError`]; the message is handed back.
    pub async fn tell(&self, message: M) -> Result<(), ClusterTellError<M>> {
        match self {
            Self::Local(actor) => actor.tell(message).await.map_err(ClusterTellError::Local),
            Self::Remote(actor) => actor.tell(message).await.map_err(ClusterTellError::Remote),
        }
    }

    /// Asks, and waits at most `timeout` for the answer; see [`ActorRef::ask`] and [`RemoteRef::ask`].
    ///
    /// # Errors
    ///
    /// See [`RemoteAskError`]; what befalls a local ask is [`RemoteAskError::Ask`].
    pub async fn ask<T, F>(&self, timeout: Duration, question: F) -> Result<T, RemoteAskError>
    where
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M + Send + Unpin,
    {
        match self {
            Self::Local(actor) => Ok(actor.ask(question).timeout(timeout).await?),
            Self::Remote(actor) => actor.ask(question).timeout(timeout).await,
        }
    }

    /// Whether it is on this node.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }
}

/// So that local and remote actors are told things in the same way; also through a [`Recipient`](treewarden_runtime::Recipient).
impl<T: Send + 'static, M: RemoteMessage + From<T>> Deliver<T> for ClusterRef<M> {
    fn try_deliver(&self, message: T) -> Result<(), TellError<()>> {
        self.try_tell(M::from(message)).map_err(plain)
    }

    fn deliver(&self, message: T) -> RecipientTell<'_> {
        let message = M::from(message);
        Box::pin(async move { self.tell(message).await.map_err(plain) })
    }

    fn path(&self) -> Arc<str> {
        format!("{self:?}").into()
    }
}

/// The error of the runtime that says the same.
fn plain<M>(error: ClusterTellError<M>) -> TellError<()> {
    match error {
        ClusterTellError::Local(error) => error.map(drop),
        ClusterTellError::Remote(error) => match error {
            RemoteTellError::Full(_) => TellError::Full(()),
            RemoteTellError::TooLarge { .. } | RemoteTellError::Unencodable { .. } => {
                TellError::TooHeavy(())
            }
            // It may be there again later.
            RemoteTellError::Disconnected(_) => TellError::Stopped(()),
            RemoteTellError::NodeDown(_) | RemoteTellError::ShutDown(_) => TellError::Gone(()),
        },
    }
}

impl<M: RemoteMessage> ClusterRef<M> {
    /// This actor as something that takes a `T`, for any `T` that its messages are made from.
    pub fn recipient<T: Send + 'static>(&self) -> Recipient<T>
    where
        M: From<T>,
    {
        match self {
            Self::Local(actor) => actor.recipient(),
            Self::Remote(_) => Recipient::of(self.clone()),
        }
    }
}

impl<M: RemoteMessage> RemoteRef<M> {
    /// This actor as something that takes a `T`, for any `T` that its messages are made from: told like a local one.
    pub fn recipient<T: Send + 'static>(&self) -> Recipient<T>
    where
        M: From<T>,
    {
        Recipient::of(ClusterRef::Remote(self.clone()))
    }
}

impl<M> Clone for ClusterRef<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Local(actor) => Self::Local(actor.clone()),
            Self::Remote(actor) => Self::Remote(actor.clone()),
        }
    }
}

impl<M: Send + 'static> fmt::Debug for ClusterRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(actor) => write!(f, "ClusterRef({})", actor.path()),
            Self::Remote(actor) => {
                let (node, target) = (actor.node().clone(), actor.name().to_owned());
                write!(f, "ClusterRef({})", Address { node, target })
            }
        }
    }
}

/// A message that was not sent. It is handed back.
#[derive(Clone, PartialEq, Eq)]
pub enum ClusterTellError<M> {
    /// By an actor of this node.
    Local(TellError<M>),
    /// On the way to another.
    Remote(RemoteTellError<M>),
}

impl<M> ClusterTellError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Local(error) => error.into_message(),
            Self::Remote(error) => error.into_message(),
        }
    }

    /// Whether there was no room; later there may be.
    pub fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Local(TellError::Full(_)) | Self::Remote(RemoteTellError::Full(_))
        )
    }
}

impl<M> fmt::Display for ClusterTellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(error) => error.fmt(f),
            Self::Remote(error) => error.fmt(f),
        }
    }
}

impl<M> fmt::Debug for ClusterTellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterTellError({self})")
    }
}

impl<M> std::error::Error for ClusterTellError<M> {}
