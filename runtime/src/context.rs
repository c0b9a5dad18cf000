//! What a handler knows of the world: [`Context`]; and what a factory knows: [`Init`].

use std::{fmt, sync::Arc};

use crate::{
    actor::Actor,
    cell::{Cell, order},
    dead_letter::DeadLetterReason,
    envelope::{Envelope, MessageContext},
    exit::ExitReason,
    id::ActorId,
    monitor::{MonitorEvent, MonitorHandle, ReservedSlot, SlotWatcher},
    reference::ActorRef,
    scope,
    system::System,
};

/// The surroundings of a handler: who the actor is, and what it can do beside sending messages.
pub struct Context<A: Actor> {
    pub(crate) cell: Arc<Cell<A::Msg>>,
    /// What travelled with the message that is being handled.
    pub(crate) message: Option<Arc<MessageContext>>,
    /// The label of the message that is being handled.
    pub(crate) in_handler: Option<&'static str>,
}

impl<A: Actor> Context<A> {
    pub(crate) fn new(cell: Arc<Cell<A::Msg>>) -> Self {
        Self {
            cell,
            message: None,
            in_handler: None,
        }
    }

    /// The message has been handled: tells its receipt, if it has one.
    #[inline]
    pub(crate) fn settle_message(&self) {
        if let Some(context) = &self.message {
            context.settle(true);
        }
    }

    /// The same surroundings for an actor that this one wraps, and passes the message to that it is handling.
    ///
    /// It says what is true during that message; the next one needs another.
    pub fn wrapped<B: Actor<Msg = A::Msg>>(&self) -> Context<B> {
        Context {
            cell: self.cell.clone(),
            message: self.message.clone(),
            in_handler: None,
        }
    }

    /// A reference to this actor.
    pub fn myself(&self) -> ActorRef<A::Msg> {
        ActorRef {
            cell: self.cell.clone(),
        }
    }

    /// The system in which it lives.
    pub fn system(&self) -> &System {
        &self.cell.core.system
    }

    /// The path of its address.
    pub fn path(&self) -> Arc<str> {
        self.cell.core.path()
    }

    /// The number of its address.
    pub fn id(&self) -> ActorId {
        self.cell.core.id
    }

    /// Which incarnation this is; the first is 1.
    pub fn incarnation(&self) -> u64 {
        self.cell.core.incarnation()
    }

    /// What travelled with the message that is being handled.
    pub fn message(&self) -> Option<&MessageContext> {
        self.message.as_deref()
    }

    /// Stops this actor after the message that it is handling, with [`ExitReason::Normal`]. What is queued stays queued
    /// for a next incarnation, if its supervisor starts one.
    pub fn stop(&self) {
        if scope::is_given_up() {
            return;
        }
        self.cell.core.give_order(order::STOP);
    }

    /// Refuses new messages, handles what is queued, and then stops with [`ExitReason::Normal`].
    pub fn drain(&self) {
        if scope::is_given_up() {
            return;
        }
        self.cell.queue.close();
        self.cell.core.give_order(order::DRAIN);
    }

    /// Monitors `subject`: its ends arrive here as messages that `message` makes, each behind everything that the
    /// subject had sent to this actor before.
    ///
    /// One slot beyond the capacity of this mailbox is reserved for each monitoring, so that it neither waits nor is
    /// lost; events that come while the one before is still queued are merged (see [`MonitorEvent`]). A monitoring
    /// ends with the incarnation that made it. `message` must not block; if it panics, the monitoring ends.
    pub fn monitor<N, F>(&self, subject: &ActorRef<N>, message: F) -> MonitorHandle
    where
        N: Send + 'static,
        F: Fn(MonitorEvent) -> A::Msg + Send + Sync + 'static,
    {
        let owner = Arc::downgrade(&self.cell);
        // A handler that was given up monitors nothing any more: its incarnation is over.
        let incarnation = match scope::is_given_up() {
            true => u64::MAX,
            false => self.incarnation(),
        };
        let slot = ReservedSlot::new(incarnation, move |event, guard| {
            let Some(owner) = owner.upgrade() else {
                return false;
            };
            if owner.core.incarnation() != incarnation {
                return false;
            }
            let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| message(event)));
            let Ok(message) = made else {
                tracing::error!(path = %owner.core.path(), "the function of a monitor panicked; the monitoring ends");
                return false;
            };
            let mut context = MessageContext::new();
            context.slot = Some(guard);
            let envelope = Envelope::with(message, context);
            match owner.queue.force_push(envelope) {
                Ok(()) => true,
                Err(envelope) => {
                    owner.discard(envelope, DeadLetterReason::Stopped);
                    false
                }
            }
        });
        subject.cell.watch(Arc::new(SlotWatcher(slot.clone())));
        MonitorHandle(slot)
    }
}

impl<A: Actor> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("path", &self.path())
            .field("incarnation", &self.incarnation())
            .finish_non_exhaustive()
    }
}

/// What a factory knows when it makes an incarnation. It is owned, so that the factory's future can keep it.
pub struct Init<M> {
    pub(crate) myself: ActorRef<M>,
}

impl<M: Send + 'static> Init<M> {
    /// A reference to the actor that is being made. Messages that are sent to it wait until it runs.
    pub fn myself(&self) -> ActorRef<M> {
        self.myself.clone()
    }

    /// The system in which it will live.
    pub fn system(&self) -> &System {
        self.myself.system()
    }

    /// Which incarnation this will be; the first is 1.
    pub fn incarnation(&self) -> u64 {
        self.myself.incarnation()
    }

    /// How the incarnation before it ended, or failed to start.
    pub fn last_exit(&self) -> Option<ExitReason> {
        self.myself.cell.core.last_exit()
    }
}

impl<M: Send + 'static> fmt::Debug for Init<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Init")
            .field("path", &self.myself.path())
            .field("incarnation", &self.incarnation())
            .field("last_exit", &self.last_exit())
            .finish()
    }
}
