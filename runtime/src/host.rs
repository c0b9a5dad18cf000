//! Hosting: addresses whose incarnations somebody else starts. For those who build supervisors.
//!
//! [`System::host`](crate::System::host) makes an address and its task, and starts nothing. The owner of the
//! [`HostHandle`] gives orders; the [`Observer`] hears what became of them. The calling order for one incarnation:
//!
//! 1. [`start`](HostHandle::start), answered by [`Life::Started`], [`Life::Ignored`] or [`Life::StartFailed`];
//! 2. at most once [`stop`](HostHandle::stop), and [`kill`](HostHandle::kill) at any time, also during the start;
//! 3. after `Started`: [`Life::Exited`], once, when the instance has been cleaned up and dropped;
//! 4. [`mark`](HostHandle::mark): whether another incarnation follows. Those who monitor the address hear of the exit now;
//! 5. `start` again, or [`retire`](HostHandle::retire).
//!
//! The queue stays through all of it unless it is discarded.

use std::{fmt, panic::Location, sync::Arc};

use crate::{
    cell::{Cell, order},
    dead_letter::DeadLetterReason,
    exit::{ExitReason, Suspect},
    mailbox::{Mailbox, MailboxLoad},
    reference::AddressState,
    snapshot::NodeSnapshot,
    system::Placement,
    watchdog::{HandlerBudget, Overrun},
};

/// What is to be hosted.
#[derive(Clone, Debug)]
pub struct HostSpec {
    pub(crate) path: Arc<str>,
    pub(crate) mailbox: Mailbox,
    pub(crate) placement: Placement,
    pub(crate) budget: Option<(HandlerBudget, &'static Location<'static>)>,
}

impl HostSpec {
    /// An address with this path, for example `/app/counter`, and the default mailbox.
    pub fn new(path: impl Into<Arc<str>>) -> Self {
        Self {
            path: path.into(),
            mailbox: Mailbox::default(),
            placement: Placement::Caller,
            budget: None,
        }
    }

    /// The same with another mailbox.
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.mailbox = mailbox;
        self
    }

    /// The same with a limit to how long a handler may take, and the line at which it was specified, for the reports.
    pub fn budget(
        mut self,
        budget: HandlerBudget,
        specified_at: &'static Location<'static>,
    ) -> Self {
        self.budget = Some((budget, specified_at));
        self
    }

    /// The same in another place than a task of the caller's runtime.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }
}

/// What happened to an incarnation.
#[derive(Clone, Debug)]
pub enum Life {
    /// It handles messages.
    Started {
        /// Which one.
        incarnation: u64,
    },
    /// Its factory said that there is to be none (OTP's `ignore`).
    Ignored {
        /// Which one.
        incarnation: u64,
    },
    /// Its factory, or [`Actor::started`](crate::Actor::started), failed, panicked or was killed.
    StartFailed {
        /// Which one.
        incarnation: u64,
        /// Why.
        reason: ExitReason,
    },
    /// It ended. Its state has been cleaned up and dropped.
    Exited {
        /// Which one.
        incarnation: u64,
        /// Why.
        reason: ExitReason,
        /// What is known of the message that was in the handler, if it ended there.
        suspect: Option<Suspect>,
    },
    /// A handler takes longer than its budget. If it was given up, [`Exited`](Self::Exited) follows.
    Overran {
        /// Which one.
        incarnation: u64,
        /// In which handler, for how long, and what was done about it.
        overrun: Overrun,
    },
}

/// Hears of the incarnations of a hosted address.
pub trait Observer: Send + Sync + 'static {
    /// Called in the task of the address, or by the watchdog, so it must not block; it may give orders to the same address.
    fn on_life(&self, event: Life);
}

/// The control of a hosted address, whatever the type of its messages. Dropping it changes nothing.
#[derive(Clone)]
pub struct HostHandle {
    target: Arc<dyn Hosted>,
}

impl HostHandle {
    pub(crate) fn new(target: Arc<dyn Hosted>) -> Self {
        Self { target }
    }

    /// Orders the next incarnation, in the same task and with the same mailbox. The mailbox accepts messages again.
    pub fn start(&self) {
        self.target.start();
    }

    /// Orders an orderly end with [`ExitReason::Shutdown`], after the message in the handler. With `drain`, new messages
    /// are refused from now on, and what is queued is handled first.
    pub fn stop(&self, drain: bool) {
        self.target.stop(drain);
    }

    /// Orders an end at the next await point, also of a start or of the clean-up.
    pub fn kill(&self) {
        self.target.kill();
    }

    /// Says what follows an exit: [`AddressState::Restarting`] (messages wait) or [`AddressState::Stopped`] (the mailbox
    /// refuses messages, and what is queued becomes dead letters). The monitors of the address hear of the exit.
    ///
    /// [`AddressState::Running`] and [`AddressState::Gone`] cannot be said, and are ignored.
    pub fn mark(&self, state: AddressState) {
        self.target.mark(state);
    }

    /// Makes dead letters of what is queued, before the next start: [`DeadLetterReason::GroupRestart`], or
    /// [`DeadLetterReason::Stopped`] for every other reason that is given.
    pub fn discard_queue(&self, reason: DeadLetterReason) {
        self.target.discard_queue(reason);
    }

    /// Ends the address between two incarnations: what is queued becomes dead letters, monitors hear that it is gone, its
    /// task ends.
    pub fn retire(&self) {
        self.target.retire();
    }

    /// What senders meet.
    pub fn state(&self) -> AddressState {
        self.target.state()
    }

    /// How many messages are queued.
    pub fn queue_depth(&self) -> usize {
        self.target.queue_depth()
    }

    /// How full the mailbox is, and what it refused and shed.
    pub fn mailbox_load(&self) -> MailboxLoad {
        self.target.mailbox_load()
    }

    /// How many messages were taken into a handler, over all incarnations.
    pub fn handled(&self) -> u64 {
        self.target.handled()
    }

    /// The path of the address.
    pub fn path(&self) -> Arc<str> {
        self.target.path()
    }

    /// The address as a leaf of the tree. Restarts are counted as incarnations after the first.
    pub fn inspect(&self) -> NodeSnapshot {
        self.target.inspect()
    }
}

impl fmt::Debug for HostHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostHandle({}, {})", self.path(), self.state().kind())
    }
}

/// A cell without the type of its messages.
pub(crate) trait Hosted: Send + Sync {
    fn start(&self);
    fn stop(&self, drain: bool);
    fn kill(&self);
    fn mark(&self, state: AddressState);
    fn discard_queue(&self, reason: DeadLetterReason);
    fn retire(&self);
    fn state(&self) -> AddressState;
    fn queue_depth(&self) -> usize;
    fn mailbox_load(&self) -> MailboxLoad;
    fn handled(&self) -> u64;
    fn path(&self) -> Arc<str>;
    fn inspect(&self) -> NodeSnapshot;
}

impl<M: Send + 'static> Cell<M> {
    fn order(&self, orders: u32) {
        self.core.give_order(orders);
        self.queue.signal().wake();
    }
}

impl<M: Send + 'static> Hosted for Cell<M> {
    fn start(&self) {
        self.core.order_start();
        self.queue.signal().wake();
    }

    fn stop(&self, drain: bool) {
        if drain {
            self.queue.close();
            self.order(order::SHUTDOWN | order::DRAIN);
        } else {
            self.order(order::SHUTDOWN);
        }
    }

    fn kill(&self) {
        self.order(order::KILL);
    }

    fn mark(&self, state: AddressState) {
        let restart_follows = match state {
            AddressState::Restarting => {
                // A drain may have closed it.
                self.queue.reopen();
                true
            }
            AddressState::Stopped => {
                self.queue.close();
                false
            }
            AddressState::Running | AddressState::Gone => return,
        };
        if self.core.state() == AddressState::Gone {
            self.queue.close();
            return;
        }
        self.core.set_state(state);
        if !restart_follows {
            self.order(order::DISCARD_STOPPED);
        }
        self.core.tell_down(restart_follows);
    }

    fn discard_queue(&self, reason: DeadLetterReason) {
        self.order(match reason {
            DeadLetterReason::GroupRestart => order::DISCARD_GROUP,
            _ => order::DISCARD_STOPPED,
        });
    }

    fn retire(&self) {
        self.order(order::RETIRE);
    }

    fn state(&self) -> AddressState {
        self.core.state()
    }

    fn queue_depth(&self) -> usize {
        self.queue.len()
    }

    fn mailbox_load(&self) -> MailboxLoad {
        self.queue.load()
    }

    fn handled(&self) -> u64 {
        self.core.handled()
    }

    fn path(&self) -> Arc<str> {
        self.core.path()
    }

    fn inspect(&self) -> NodeSnapshot {
        NodeSnapshot {
            path: self.core.path(),
            kind: "actor".into(),
            state: self.core.state().kind().into(),
            queue_depth: Some(self.queue.len()),
            handled: Some(self.core.handled()),
            shed: self.queue.load().given_up(),
            restarts: self.core.incarnation().saturating_sub(1),
            last_exits: self.core.last_exit().into_iter().collect(),
            since_last_exit: None,
            children: Vec::new(),
        }
    }
}
