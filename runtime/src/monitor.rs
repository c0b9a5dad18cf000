//! Monitors: hearing of the ends of an address.
//!
//! Two kinds, for two kinds of listeners. [`Monitor`] is for code outside actors: it is awaited. An actor monitors with
//! [`Context::monitor`](crate::Context::monitor), and gets a message of its own type in its mailbox, behind everything
//! that the subject had sent to it before.
//!
//! Nothing here is unbounded. A [`Monitor`] keeps one event; a monitoring actor's mailbox has one slot reserved for each
//! monitor. Events that come while the one before has not been taken are merged into it: the newest stays, and says
//! how many it stands for.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
};

use crate::{
    envelope::{Slot, SlotGuard},
    exit::ExitReason,
    sync_ext::MutexExt,
};

/// What a monitor tells of its subject.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MonitorEvent {
    /// An incarnation ended, or did not come up.
    Down {
        /// Which one.
        incarnation: u64,
        /// Why it ended.
        reason: ExitReason,
        /// Whether its supervisor has decided to start another one. References stay valid either way.
        restart_follows: bool,
        /// How many earlier ends were merged into this event, because they were not taken in time.
        missed: u64,
    },
    /// The address itself ended: nothing will ever be handled there again. The last event.
    Gone {
        /// How the last incarnation ended.
        reason: ExitReason,
        /// How many earlier ends were merged into this event.
        missed: u64,
    },
}

impl MonitorEvent {
    /// Why the incarnation, or the address, ended.
    pub fn reason(&self) -> &ExitReason {
        match self {
            Self::Down { reason, .. } | Self::Gone { reason, .. } => reason,
        }
    }

    /// Takes over what `older`, which nobody took, stood for.
    fn merge(mut self, older: &Self) -> Self {
        let (Self::Down { missed: before, .. } | Self::Gone { missed: before, .. }) = older;
        let (Self::Down { missed, .. } | Self::Gone { missed, .. }) = &mut self;
        *missed += before + 1;
        self
    }
}

/// Somebody who is told. Returns false when it needs to be told no more.
pub(crate) trait Watcher: Send + Sync {
    fn tell(&self, event: MonitorEvent) -> bool;
}

/// Hears of the ends of one address, outside an actor. Made by [`ActorRef::monitor`](crate::ActorRef::monitor).
///
/// Dropping it ends the monitoring.
#[derive(Debug)]
pub struct Monitor {
    inbox: Arc<Inbox>,
}

#[derive(Debug)]
pub(crate) struct Inbox(Mutex<InboxState>);

#[derive(Debug, Default)]
struct InboxState {
    event: Option<MonitorEvent>,
    gone: bool,
    dropped: bool,
    waker: Option<Waker>,
}

impl Monitor {
    pub(crate) fn new() -> (Self, Arc<Inbox>) {
        let inbox = Arc::new(Inbox(Mutex::default()));
        (
            Self {
                inbox: inbox.clone(),
            },
            inbox,
        )
    }

    /// The next event; `None` once [`MonitorEvent::Gone`] has been taken.
    ///
    /// Cancel safe: an event is taken only by a call that returns it.
    pub async fn next(&mut self) -> Option<MonitorEvent> {
        poll_fn(|cx| {
            let mut state = self.inbox.0.locked();
            if let Some(event) = state.event.take() {
                Poll::Ready(Some(event))
            } else if state.gone {
                Poll::Ready(None)
            } else {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.inbox.0.locked().dropped = true;
    }
}

impl Watcher for Inbox {
    fn tell(&self, event: MonitorEvent) -> bool {
        let mut state = self.0.locked();
        if state.dropped {
            return false;
        }
        state.gone = matches!(event, MonitorEvent::Gone { .. });
        state.event = Some(match state.event.take() {
            Some(older) => event.merge(&older),
            None => event,
        });
        let waker = state.waker.take();
        let goes_on = !state.gone;
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        goes_on
    }
}

/// The reserved slot of a monitoring actor.
///
/// `queued` says that the slot is taken: an event of this monitor lies in the mailbox. While it is, newer events merge
/// in `waiting`; the message's [`SlotGuard`] is dropped when the message leaves the mailbox, and sends what waits.
pub(crate) struct ReservedSlot {
    state: Mutex<ReservedState>,
    /// The incarnation that monitors; no other one is told.
    incarnation: u64,
    /// Puts an event into the owner's mailbox, past its capacity. False: the owner is gone, or was restarted since.
    deliver: Box<dyn Fn(MonitorEvent, SlotGuard) -> bool + Send + Sync>,
}

#[derive(Default)]
struct ReservedState {
    queued: bool,
    waiting: Option<MonitorEvent>,
    cancelled: bool,
}

impl ReservedSlot {
    pub(crate) fn new(
        incarnation: u64,
        deliver: impl Fn(MonitorEvent, SlotGuard) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            incarnation,
            deliver: Box::new(deliver),
        })
    }
}

impl Slot for ReservedSlot {
    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// An event that lies in the mailbox is handled all the same.
    fn is_void(&self) -> bool {
        false
    }

    fn release(self: Arc<Self>) {
        let next = {
            let mut state = self.state.locked();
            state.queued = false;
            match state.waiting.take() {
                Some(event) if !state.cancelled => {
                    state.queued = true;
                    Some(event)
                }
                _ => None,
            }
        };
        if let Some(event) = next {
            let guard = SlotGuard(self.clone());
            (self.deliver)(event, guard);
        }
    }
}

/// Something that a [`ReservedSlot`] can be told through; `Arc` is needed to make the guard.
pub(crate) struct SlotWatcher(pub(crate) Arc<ReservedSlot>);

impl Watcher for SlotWatcher {
    fn tell(&self, event: MonitorEvent) -> bool {
        let gone = matches!(event, MonitorEvent::Gone { .. });
        let event = {
            let mut state = self.0.state.locked();
            if state.cancelled {
                return false;
            }
            if state.queued {
                let merged = match state.waiting.take() {
                    Some(older) => event.merge(&older),
                    None => event,
                };
                state.waiting = Some(merged);
                return !gone;
            }
            state.queued = true;
            event
        };
        (self.0.deliver)(event, SlotGuard(self.0.clone())) && !gone
    }
}

/// Ends a monitoring that an actor began with [`Context::monitor`](crate::Context::monitor).
///
/// Dropping it does not: monitorings end with the incarnation that made them.
#[derive(Clone)]
pub struct MonitorHandle(pub(crate) Arc<ReservedSlot>);

impl MonitorHandle {
    /// No event of this monitoring is put into the mailbox any more; one that lies there already is still handled.
    pub fn cancel(&self) {
        self.0.state.locked().cancelled = true;
    }
}

impl std::fmt::Debug for MonitorHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MonitorHandle").finish_non_exhaustive()
    }
}
