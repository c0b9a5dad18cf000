//! Acknowledged messages: sent again until the other side says that the handler has returned `Ok`, or until the deadline.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};
use treewarden_runtime::{AskError, MessageContext};

use super::{
    deliveries::DeliveryId,
    error::{RemoteAskError, RemoteTellError},
    frame::WireDelivery,
    message::{
        Exported, Note, Outgoing, Rare, RemoteMessage, Sink, encode, hand_over, next_number,
    },
    peer::Target,
    place::{Place, Unsent},
};

/// How long a delivery is tried if nothing else was said.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// A message that is to be handled for sure. Made by [`RemoteRef::deliver`](super::RemoteRef::deliver); nothing is sent before it is awaited.
///
/// It is `Ok` when the handler of the actor has returned `Ok` for this message. Until then it is sent again, after pauses that grow: when
/// the link is lost, when the actor is not there or its mailbox refuses, when its handler fails or panics. Within one boot of the receiving
/// node, attempts at a message that is in the mailbox or was handled are recognized and dropped, so it is handled successfully at most once
/// there, also when the sending node goes on as another boot meanwhile; another boot of the receiver knows nothing of it, and a reference does
/// not outlive a boot of its node. Between messages that are sent again there is no order.
///
/// Without a [`timeout`](Self::timeout) or [`deadline`](Self::deadline) it is tried for 30 s. The message must not have a
/// [`Reply`](treewarden_runtime::Reply) in it.
///
/// Dropping its future ends the attempts; one that is on its way may still be handled.
#[must_use = "nothing is sent before it is awaited"]
pub struct RemoteDelivery<'a, M> {
    target: &'a Arc<Target>,
    message: M,
    context: Option<MessageContext>,
    deadline: Option<Instant>,
}

impl<'a, M: RemoteMessage> RemoteDelivery<'a, M> {
    pub(crate) fn new(target: &'a Arc<Target>, message: M) -> Self {
        Self {
            target,
            message,
            context: None,
            deadline: None,
        }
    }

    /// Gives up after `timeout` from now.
    pub fn timeout(self, timeout: Duration) -> Self {
        let now = Instant::now();
        // A sum past the end of time is no deadline; a year is as good.
        let year = Duration::from_secs(365 * 24 * 3600);
        self.deadline(now.checked_add(timeout).unwrap_or(now + year))
    }

    /// Gives up at `deadline`.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sends `context` along; its deadline, if it has one, is that of the delivery as well.
    pub fn context(mut self, context: MessageContext) -> Self {
        self.deadline = self.deadline.or(context.deadline());
        self.context = Some(context);
        self
    }

    async fn run(self) -> Result<(), DeliveryError> {
        let deadline = self
            .deadline
            .unwrap_or_else(|| Instant::now() + TIMEOUT_DEFAULT);
        let peer = &self.target.peer;
        let context = self.context.unwrap_or_default().with_deadline(deadline);
        let encoded = encode(self.message, None, None, peer.payload_bytes_max());
        let payload = match encoded {
            Ok((message, outgoing)) if outgoing.replies().is_empty() => {
                // It is bytes from now on.
                hand_over(message);
                outgoing.payload.into_vec()
            }
            Ok((_, outgoing)) => {
                outgoing.disarm();
                return Err(DeliveryError::HasReply);
            }
            Err((_, error)) => {
                let reason = match RemoteTellError::from_encode((), error) {
                    RemoteTellError::TooLarge { bytes_max, .. } => {
                        RemoteAskError::TooLarge { bytes_max }
                    }
                    error => RemoteAskError::Unencodable {
                        error: error.to_string(),
                    },
                };
                return Err(DeliveryError::NotHandled {
                    attempts: 0,
                    reason,
                });
            }
        };
        let delivery = peer.next_delivery();
        let mut attempts = 0;
        let mut may_have_been_handled = false;
        loop {
            let context = context.clone().with_attempt(attempts);
            let outcome = attempt(self.target, &payload, context, delivery, deadline).await;
            let Err(reason) = outcome else {
                return Ok(());
            };
            attempts += 1;
            may_have_been_handled |= !reason.is_safe_to_retry();
            let is_final = match &reason {
                RemoteAskError::NodeDown
                | RemoteAskError::ShutDown
                | RemoteAskError::TooLarge { .. }
                | RemoteAskError::Undecodable => true,
                RemoteAskError::NotOpened(refusal) => !refusal.may_pass(),
                _ => false,
            };
            let pause = peer.pause(attempts);
            if is_final || Instant::now() + pause >= deadline {
                return Err(match may_have_been_handled {
                    true => DeliveryError::Unknown { attempts, reason },
                    false => DeliveryError::NotHandled { attempts, reason },
                });
            }
            sleep(pause).await;
        }
    }
}

/// Sends once, and waits until it is known what became of it.
async fn attempt(
    target: &Arc<Target>,
    payload: &[u8],
    context: MessageContext,
    delivery: DeliveryId,
    deadline: Instant,
) -> Result<(), RemoteAskError> {
    let peer = &target.peer;
    let note: Note = Arc::new(OnceLock::new());
    let (answered, answer) = oneshot::channel();
    let number = next_number();
    let sink = Sink::new(
        Box::new(move |outcome| {
            // Nobody listens any more if the delivery was dropped.
            let _ = answered.send(outcome);
        }),
        note.clone(),
    );
    let outgoing = Outgoing {
        payload: payload.to_vec().into(),
        rare: Some(Box::new(Rare {
            context: Some(context),
            replies: vec![Exported { number, sink }],
            delivery: Some(WireDelivery {
                boot: delivery.boot.0,
                delivery: delivery.number,
                number,
            }),
        })),
    };
    let in_flight = InFlight { target, number };
    match target.send(outgoing) {
        Ok(None) => {}
        Ok(Some(place)) => {
            let waiting = Waiting { target, place };
            match timeout_at(deadline, waiting.settled()).await {
                Ok(Ok(())) => {}
                Ok(Err(unsent)) => return Err(peer.ask_error(unsent)),
                Err(_) => return Err(AskError::Expired.into()),
            }
        }
        Err((unsent, outgoing)) => {
            outgoing.disarm();
            return Err(peer.ask_error(unsent));
        }
    }
    let outcome = timeout_at(deadline, answer).await;
    drop(in_flight);
    match outcome {
        Ok(Ok(Ok(_acknowledged))) => Ok(()),
        Ok(Ok(Err(error))) => Err(note.get().cloned().unwrap_or(error.into())),
        Ok(Err(_)) => Err(AskError::NoReply.into()),
        Err(_) => Err(AskError::Timeout.into()),
    }
}

/// Forgets an attempt that nobody waits for any more.
struct InFlight<'a> {
    target: &'a Target,
    number: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.target.peer.forget_ask(self.number);
    }
}

/// A place in the line, which is left when it is dropped.
struct Waiting<'a> {
    target: &'a Target,
    place: Arc<Place>,
}

impl Waiting<'_> {
    async fn settled(&self) -> Result<(), Unsent> {
        std::future::poll_fn(|cx| self.place.poll(cx.waker())).await
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Not there any more if it was sent, or failed.
        self.target.cancel(&self.place);
    }
}

impl<'a, M: RemoteMessage> IntoFuture for RemoteDelivery<'a, M> {
    type Output = Result<(), DeliveryError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<M> fmt::Debug for RemoteDelivery<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteDelivery")
            .field("target", &self.target)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Why a delivery ended without an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The message has a reply in it, which could be sent once only. Nothing was sent.
    HasReply,
    /// It was surely not handled; it can be sent again, or elsewhere, without harm.
    NotHandled {
        /// How often it was tried.
        attempts: u32,
        /// What became of the last attempt.
        reason: RemoteAskError,
    },
    /// It may have been handled, or may still be: its link was lost, its handler failed, or the deadline passed before an answer came. Sending
    /// it again to another boot or another actor is safe only if it may be handled twice.
    Unknown {
        /// How often it was tried.
        attempts: u32,
        /// What became of the last attempt.
        reason: RemoteAskError,
    },
}

impl DeliveryError {
    /// Whether the message has surely not been handled.
    #[must_use]
    pub fn is_safe_to_retry(&self) -> bool {
        match self {
            Self::HasReply | Self::NotHandled { .. } => true,
            Self::Unknown { .. } => false,
        }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HasReply => f.write_str(
                "a message with a reply in it cannot be delivered again, so it was not sent: ask instead",
            ),
            Self::NotHandled { attempts, reason } => write!(
                f,
                "the message was not handled, after {attempts} attempts: {reason}"
            ),
            Self::Unknown { attempts, reason } => write!(
                f,
                "the message was not acknowledged after {attempts} attempts, and may have been handled: {reason}"
            ),
        }
    }
}

impl std::error::Error for DeliveryError {}
