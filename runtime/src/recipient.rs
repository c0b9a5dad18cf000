//! [`Recipient`]: a reference that says what it takes, and not who takes it.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use tokio::sync::mpsc;

use crate::{reference::ActorRef, tell::TellError};

/// Anything that takes a `T`: an actor whose messages are made from it.
///
/// It costs one dynamic call for each message, and a boxed future for a [`tell`](Self::tell).
pub struct Recipient<T> {
    target: Arc<dyn Receive<T>>,
}

/// The future of [`Recipient::tell`].
pub type RecipientTell<'a> = Pin<Box<dyn Future<Output = Result<(), TellError<()>>> + Send + 'a>>;

trait Receive<T>: Send + Sync {
    fn try_tell(&self, message: T) -> Result<(), TellError<()>>;
    fn tell(&self, message: T) -> RecipientTell<'_>;
    fn address(&self) -> usize;
    fn path(&self) -> Arc<str>;
}

impl<T, M> Receive<T> for ActorRef<M>
where
    T: Send + 'static,
    M: From<T> + Send + 'static,
{
    fn try_tell(&self, message: T) -> Result<(), TellError<()>> {
        ActorRef::try_tell(self, M::from(message)).map_err(|error| error.map(drop))
    }

    fn tell(&self, message: T) -> RecipientTell<'_> {
        let telling = ActorRef::tell(self, M::from(message));
        Box::pin(async move { telling.await.map_err(|error| error.map(drop)) })
    }

    fn address(&self) -> usize {
        self.cell.address()
    }

    fn path(&self) -> Arc<str> {
        ActorRef::path(self)
    }
}

/// What else can be behind a [`Recipient`]: a reference to another node, for example.
pub trait Deliver<T>: Send + Sync + 'static {
    /// Takes it without waiting.
    ///
    /// # Errors
    ///
    /// Why it was not taken. It is lost to the caller then.
    fn try_deliver(&self, message: T) -> Result<(), TellError<()>>;
    /// Takes it, and waits for room. Dropping the future either leaves the message queued, or drops it.
    fn deliver(&self, message: T) -> RecipientTell<'_>;
    /// A text for people that says who it is.
    fn path(&self) -> Arc<str>;
}

struct Other<D>(D);

impl<T: Send + 'static, D: Deliver<T>> Receive<T> for Other<D> {
    fn try_tell(&self, message: T) -> Result<(), TellError<()>> {
        self.0.try_deliver(message)
    }

    fn tell(&self, message: T) -> RecipientTell<'_> {
        self.0.deliver(message)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn path(&self) -> Arc<str> {
        self.0.path()
    }
}

/// Code outside actors can be a recipient as well.
impl<T: Send + 'static> Receive<T> for mpsc::Sender<T> {
    fn try_tell(&self, message: T) -> Result<(), TellError<()>> {
        self.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => TellError::Full(()),
            mpsc::error::TrySendError::Closed(_) => TellError::Gone(()),
        })
    }

    fn tell(&self, message: T) -> RecipientTell<'_> {
        Box::pin(async move { self.send(message).await.map_err(|_| TellError::Gone(())) })
    }

    fn address(&self) -> usize {
        // A channel has no address to be compared by. Never that of a cell.
        std::ptr::from_ref(self).addr()
    }

    fn path(&self) -> Arc<str> {
        "(a channel)".into()
    }
}

impl<T: Send + 'static> From<mpsc::Sender<T>> for Recipient<T> {
    /// The sending end of a tokio channel. Clones of it are equal; another one made of the same channel is not.
    fn from(sender: mpsc::Sender<T>) -> Self {
        Self {
            target: Arc::new(sender),
        }
    }
}

impl<T: Send + 'static> Recipient<T> {
    pub(crate) fn new<M>(target: ActorRef<M>) -> Self
    where
        M: From<T> + Send + 'static,
    {
        Self {
            target: Arc::new(target),
        }
    }

    /// Anything that can [deliver](Deliver). Clones of it are equal; another one made of the same thing is not.
    #[must_use]
    pub fn of(target: impl Deliver<T>) -> Self {
        Self {
            target: Arc::new(Other(target)),
        }
    }

    /// [`ActorRef::try_tell`]. The message has been converted by then, so the error does not hand it back.
    pub fn try_tell(&self, message: T) -> Result<(), TellError<()>> {
        self.target.try_tell(message)
    }

    /// [`ActorRef::tell`]. The message has been converted by then, so the error does not hand it back.
    pub fn tell(&self, message: T) -> RecipientTell<'_> {
        self.target.tell(message)
    }

    /// The path of the actor behind it.
    pub fn path(&self) -> Arc<str> {
        self.target.path()
    }
}

impl<T> Clone for Recipient<T> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
        }
    }
}

impl<T: Send + 'static> PartialEq for Recipient<T> {
    /// The same address.
    fn eq(&self, other: &Self) -> bool {
        self.target.address() == other.target.address()
    }
}

impl<T: Send + 'static> fmt::Debug for Recipient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.path())
    }
}
