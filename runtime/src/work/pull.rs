//! How an actor asks for work: the next item comes as a message to itself.
//!
//! The message lies in a slot of its own beyond the capacity of the mailbox, as those of monitors and timers do, so that it is neither refused nor shed. A
//! pull belongs to the incarnation that made it: when that ends, the pull is withdrawn, and an item that is in the mailbox by then goes back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, Weak},
};

use super::{Inner, Work, WorkQueue};
use crate::{
    actor::Actor,
    cell::{Belonging, Cell},
    context::Context,
    envelope::{Envelope, MessageContext, Slot, SlotGuard},
    scope,
    sync_ext::MutexExt,
};

/// An incarnation of an actor: its address, and its number.
pub(super) type Holder = (usize, u64);

/// Somebody who waits for an item.
pub(super) trait Pull<T: Send + 'static>: Send + Sync {
    fn holder(&self) -> Holder;
    /// Puts the item on its way. If it cannot be, it is dropped, and so goes back.
    fn deliver(self: Arc<Self>, work: Work<T>);
}

impl<T: Send + 'static> WorkQueue<T> {
    /// Asks for one item, for a worker that is an actor: it comes as the message that `message` makes. To be called when the worker starts, and
    /// again whenever it is free.
    ///
    /// An actor has at most one pull open at a time; to pull again before it has been answered does nothing. It ends with the incarnation. `message` must
    /// not block.
    pub fn pull<A: Actor>(
        &self,
        cx: &Context<A>,
        message: impl FnOnce(Work<T>) -> A::Msg + Send + 'static,
    ) {
        let holder = (cx.cell.address(), cx.incarnation());
        // What a handler does that was given up has no effect.
        if scope::is_given_up() {
            return;
        }
        let pull = Arc::new(ActorPull {
            owner: Arc::downgrade(&cx.cell),
            queue: Arc::downgrade(&self.inner),
            holder,
            state: Mutex::new(State {
                make: Some(Box::new(message)),
                belonging: None,
            }),
        });
        {
            let mut state = self.inner.state.locked();
            if state.pulls.iter().any(|open| open.holder() == holder) {
                return;
            }
            let belonging = cx.cell.core.own(pull.clone());
            pull.state.locked().belonging = Some(belonging);
            state.pulls.push_back(pull);
        }
        self.inner.give_out();
    }
}

struct ActorPull<M, T: Send + 'static> {
    owner: Weak<Cell<M>>,
    queue: Weak<Inner<T>>,
    holder: Holder,
    state: Mutex<State<M, T>>,
}

struct State<M, T: Send + 'static> {
    /// Makes the message, once.
    make: Option<Make<M, T>>,
    /// Its key among what belongs to the incarnation.
    belonging: Option<usize>,
}

type Make<M, T> = Box<dyn FnOnce(Work<T>) -> M + Send>;

impl<M: Send + 'static, T: Send + 'static> Pull<T> for ActorPull<M, T> {
    fn holder(&self) -> Holder {
        self.holder
    }

    fn deliver(self: Arc<Self>, work: Work<T>) {
        let (make, belonging) = {
            let mut state = self.state.locked();
            (state.make.take(), state.belonging.take())
        };
        let (Some(owner), Some(make)) = (self.owner.upgrade(), make) else {
            return;
        };
        drop(belonging.and_then(|key| owner.core.disown(key)));
        let Ok(message) = catch_unwind(AssertUnwindSafe(|| make(work))) else {
            tracing::error!(path = %owner.core.path(), "the function that makes a message of work panicked");
            return;
        };
        let mut context = MessageContext::new();
        context.slot = Some(SlotGuard(self));
        // If the mailbox is closed the message is dropped here, and the work goes back.
        drop(owner.queue.force_push(Envelope::with(message, context)));
    }
}

impl<M: Send + 'static, T: Send + 'static> Slot for ActorPull<M, T> {
    fn incarnation(&self) -> u64 {
        self.holder.1
    }

    fn is_void(&self) -> bool {
        false
    }

    fn release(self: Arc<Self>) {}
}

impl<M: Send + 'static, T: Send + 'static> Belonging for ActorPull<M, T> {
    fn end(&self) {
        let make = {
            let mut state = self.state.locked();
            state.belonging = None;
            state.make.take()
        };
        drop(make);
        if let Some(queue) = self.queue.upgrade() {
            let mut state = queue.state.locked();
            state.pulls.retain(|open| open.holder() != self.holder);
        }
    }
}
