//! What lies in a slot of a mailbox: the message, and the context that travels with it.

use std::{fmt, num::NonZeroU64, sync::Arc};

use tokio::time::Instant;

use crate::{dead_letter::DeadLetterReason, receipt::Receipt, scope};

/// A message and its context. No context costs one null word.
pub(crate) struct Envelope<M> {
    pub(crate) message: M,
    pub(crate) context: Option<Arc<MessageContext>>,
}

impl<M> Envelope<M> {
    pub(crate) fn bare(message: M) -> Self {
        Self {
            message,
            context: None,
        }
    }

    pub(crate) fn with(message: M, context: MessageContext) -> Self {
        Self {
            message,
            context: Some(Arc::new(context)),
        }
    }

    /// What the message matters.
    pub(crate) fn criticality(&self) -> Criticality {
        self.context
            .as_ref()
            .map_or_else(Criticality::default, |context| context.criticality)
    }

    /// Writes on it that it is to be discarded when it is taken out.
    pub(crate) fn sentence(&mut self, reason: DeadLetterReason) {
        // The context may be shared with asks that inherited it; then this makes a copy.
        Arc::make_mut(self.context.get_or_insert_default()).sentence = Some(reason);
    }
}

/// What travels with a message beside its payload.
///
/// Nothing of it is needed: a message without a context costs one null word in its slot. The asks that a handler makes
/// inherit the context of the message that it handles, unless they are given one of their own; see
/// [`Ask::context`](crate::Ask::context).
#[derive(Default)]
pub struct MessageContext {
    deadline: Option<Instant>,
    criticality: Criticality,
    attempt: u32,
    request_id: Option<NonZeroU64>,
    trace_parent: Option<Arc<str>>,
    /// Is told what became of the message.
    receipt: Option<Receipt>,
    /// Set on the messages of monitors and timers alone: gives the reserved slot free when the message leaves the queue.
    pub(crate) slot: Option<SlotGuard>,
    /// Set by a mailbox that gave the message up: it is discarded when it is taken out.
    pub(crate) sentence: Option<DeadLetterReason>,
}

/// A slot beyond the capacity of a mailbox, reserved for one message at a time.
pub(crate) trait Slot: Send + Sync {
    /// Which incarnation the message is for.
    fn incarnation(&self) -> u64;
    /// Whether it was cancelled.
    fn is_void(&self) -> bool;
    /// The message has left the mailbox.
    fn release(self: Arc<Self>);
}

/// Lies in the context of such a message; its drop gives the slot free.
pub(crate) struct SlotGuard(pub(crate) Arc<dyn Slot>);

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.0.clone().release();
    }
}

/// How much a message matters when not all can be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criticality {
    /// The first to be given up.
    Sheddable,
    /// What is not said otherwise.
    #[default]
    Default,
    /// The last to be given up.
    Critical,
}

impl MessageContext {
    /// An empty context.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same context with a deadline: after it the message is not handled any more, but becomes a dead letter.
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The same context with a criticality.
    pub fn with_criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = criticality;
        self
    }

    /// The same context as attempt number `attempt`; the first is 0.
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same context with a request id.
    pub fn with_request_id(mut self, id: NonZeroU64) -> Self {
        self.request_id = Some(id);
        self
    }

    /// The same context with a W3C `traceparent`.
    pub fn with_trace_parent(mut self, parent: impl Into<Arc<str>>) -> Self {
        self.trace_parent = Some(parent.into());
        self
    }

    /// The same context with somebody who is told what becomes of the message. An earlier one is told that it was not handled.
    pub fn with_receipt(mut self, receipt: Receipt) -> Self {
        self.receipt = Some(receipt);
        self
    }

    /// Tells the receipt, if there is one and it was not told yet, what became of the message.
    pub(crate) fn settle(&self, handled: bool) {
        if let Some(receipt) = &self.receipt {
            receipt.settle(handled);
        }
    }

    /// What an ask made at this point would inherit: the context of the message whose handler is polled on this thread. `None`
    /// outside a handler, and in that of a message without a context. For those who pass a request on by other means than
    /// an ask.
    pub fn inherited() -> Option<Self> {
        scope::inherited().map(|context| (*context).clone())
    }

    /// When the message loses its worth.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How much the message matters.
    pub fn criticality(&self) -> Criticality {
        self.criticality
    }

    /// Which attempt this is; the first is 0.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The request that this message belongs to.
    pub fn request_id(&self) -> Option<NonZeroU64> {
        self.request_id
    }

    /// The W3C `traceparent` of the span that sent it.
    pub fn trace_parent(&self) -> Option<&str> {
        self.trace_parent.as_deref()
    }
}

impl Clone for MessageContext {
    /// What is said of the message; a reserved slot and a receipt stay with the message itself.
    fn clone(&self) -> Self {
        Self {
            deadline: self.deadline,
            criticality: self.criticality,
            attempt: self.attempt,
            request_id: self.request_id,
            trace_parent: self.trace_parent.clone(),
            receipt: None,
            slot: None,
            sentence: None,
        }
    }
}

impl fmt::Debug for MessageContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageContext")
            .field("deadline", &self.deadline)
            .field("criticality", &self.criticality)
            .field("attempt", &self.attempt)
            .field("request_id", &self.request_id)
            .field("trace_parent", &self.trace_parent)
            .finish()
    }
}
