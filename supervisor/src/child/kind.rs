//! What a supervisor needs of whatever it supervises: the trait behind every kind of child.
//!
//! A kind obeys orders and reports what became of them; it decides nothing. To supervise something that Treewarden does
//! not know, implement [`ChildKind`] and hand it to [`Child::custom`](super::Child::custom).

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use treewarden_runtime::host::Observer;
use treewarden_runtime::{
    ActorRef, AddressState, HandlerBudget, LookupError, Mailbox, NodeSnapshot, Placement, System,
};

use crate::report::TreeLog;

/// Where a child lives, and whom it reports to.
#[derive(Clone)]
pub struct ChildPlace {
    pub(crate) system: System,
    pub(crate) path: Arc<str>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) options: ChildOptions,
    pub(crate) log: TreeLog,
}

/// What only some kinds of children care for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChildOptions {
    pub(crate) mailbox: Mailbox,
    pub(crate) placement: Placement,
    pub(crate) drain: bool,
    pub(crate) budget: Option<HandlerBudget>,
    /// The line at which the child was specified.
    pub(crate) specified_at: Option<&'static Location<'static>>,
}

impl ChildPlace {
    /// The system.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// The path of the child, for example `/app/counter`.
    #[must_use]
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// Whom to tell what happened to an incarnation. It may be told from any thread, and never blocks.
    #[must_use]
    pub fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }
}

impl fmt::Debug for ChildPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildPlace({})", self.path)
    }
}

/// Something that can be supervised.
///
/// The supervisor gives one order after the other, from its own task; no order may block. For each
/// [`start`](Self::start) the kind reports to the [observer](ChildPlace::observer), with the same incarnation number:
/// `Started`, `Ignored` or `StartFailed`; and after `Started`, once, `Exited`. `Exited` and `StartFailed` say that
/// everything of the incarnation has been cleaned up: the next one may start at once.
pub trait ChildKind: Send + 'static {
    /// What it is, for people: `actor`, `task`, ...
    fn kind(&self) -> Cow<'static, str>;

    /// Start the next incarnation.
    fn start(&mut self, incarnation: u64);

    /// Ask the incarnation to end with [`ExitReason::Shutdown`](treewarden_runtime::ExitReason::Shutdown), also while
    /// it starts.
    fn stop(&mut self);

    /// End the incarnation as soon as that is possible at all, also while it starts or stops.
    fn kill(&mut self);

    /// What follows the end of the incarnation: [`AddressState::Restarting`] or [`AddressState::Stopped`]. For kinds
    /// with an address.
    fn mark(&mut self, state: AddressState) {
        let _ = state;
    }

    /// Make dead letters of the messages that wait. For kinds with a mailbox.
    fn discard_queue(&mut self) {}

    /// The child has been removed, or its supervisor has ended for good; no order follows. Nothing runs just now,
    /// unless it was killed and did not end.
    fn retire(&mut self) {}

    /// Adds what it knows to its node of a snapshot: path, kind, state, restarts and exits are filled in already.
    fn inspect(&self, node: &mut NodeSnapshot) {
        let _ = node;
    }

    /// What lies at this path below the child; empty for the child itself. For kinds with an address, or with children.
    fn find(&self, path_below: &str) -> Option<Found> {
        let _ = path_below;
        None
    }
}

/// Something that was found in a tree by its path.
pub struct Found {
    what: Box<dyn Any + Send>,
    message_type: &'static str,
}

impl Found {
    /// The address of an actor.
    #[must_use]
    pub fn actor<M: Send + 'static>(reference: ActorRef<M>) -> Self {
        Found {
            what: Box::new(reference),
            message_type: type_name::<M>(),
        }
    }

    pub(crate) fn other(what: Box<dyn Any + Send>, description: &'static str) -> Self {
        Found {
            what,
            message_type: description,
        }
    }

    /// What was found, and what it is.
    pub(crate) fn into_parts(self) -> (Box<dyn Any + Send>, &'static str) {
        (self.what, self.message_type)
    }

    pub(crate) fn downcast<T: 'static>(self) -> Result<T, &'static str> {
        let message_type = self.message_type;
        self.what
            .downcast()
            .map(|what| *what)
            .map_err(|_| message_type)
    }

    /// The address, if it takes messages of this type.
    pub(crate) fn into_actor<M: Send + 'static>(
        self,
        path: &str,
    ) -> Result<ActorRef<M>, LookupError> {
        self.downcast().map_err(|found| LookupError::OtherType {
            name: path.into(),
            expected: type_name::<M>(),
            found,
        })
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Found({})", self.message_type)
    }
}
