//! Monitors of actors on other nodes.

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
};

use treewarden_runtime::{ExitReason, Failure, MonitorEvent, Panic};

use super::{
    error::UnknownTarget, frame::WireExit, inbound::UNKNOWN_TARGET, peer::Target, place::Unsent,
    sync_ext::MutexExt,
};

/// Hears of the ends of an actor on another node. Made by [`RemoteRef::monitor`](super::RemoteRef::monitor).
///
/// What it tells, beside what the actor's own node knows of it (panics and errors arrive as their text):
///
/// * [`Down`](MonitorEvent::Down) with [`Unreachable`](ExitReason::Unreachable), once, when the link is lost or membership
///   finds the node unreachable. Nothing is known of the actor then; it may go on. The monitor asks for a new link at the
///   next call of [`next`](Self::next); ends that happened in between and left the address alive are not told.
/// * [`Gone`](MonitorEvent::Gone) with [`NodeDown`](ExitReason::NodeDown) when that boot of the node is declared down.
/// * [`Gone`](MonitorEvent::Gone) with [`Failed`](ExitReason::Failed)`(`[`UnknownTarget`]`)` if nothing is exposed under
///   the name when the monitor arrives there.
/// * [`Gone`](MonitorEvent::Gone) with [`Shutdown`](ExitReason::Shutdown) when *this* node shuts down.
///
/// Events that are not taken are merged as a local monitor does it. Dropping it ends the monitoring.
#[derive(Debug)]
pub struct RemoteMonitor {
    target: Arc<Target>,
    inbox: Arc<MonitorInbox>,
    /// On the present link.
    number: Option<u64>,
}

/// Where the link leaves what it hears.
pub(crate) struct MonitorInbox {
    target: Arc<str>,
    node: crate::membership::NodeId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    event: Option<MonitorEvent>,
    waker: Option<Waker>,
    /// The link knows of this monitor, or the next one will.
    is_armed: bool,
    is_told_unreachable: bool,
    has_ended: bool,
    /// The newest incarnation that was heard of.
    incarnation: u64,
}

impl RemoteMonitor {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        let inbox = Arc::new(MonitorInbox {
            target: target.key.name.clone(),
            node: target.peer.id.clone(),
            state: Mutex::default(),
        });
        let mut monitor = Self {
            target,
            inbox,
            number: None,
        };
        monitor.arm();
        monitor
    }

    fn arm(&mut self) {
        {
            let mut state = self.inbox.state.locked();
            if state.is_armed || state.has_ended {
                return;
            }
            state.is_armed = true;
        }
        match self.target.peer.monitor(&self.target.key.name, &self.inbox) {
            Ok(number) => self.number = Some(number),
            Err(cause) => self.inbox.ended(cause),
        }
    }

    /// The next event; `None` once [`MonitorEvent::Gone`] has been taken.
    ///
    /// The number of the incarnation in an event that this node made up is the newest that was heard of, or 0.
    ///
    /// Cancel safe: an event is taken only by a call that returns it.
    pub async fn next(&mut self) -> Option<MonitorEvent> {
        poll_fn(|cx| {
            loop {
                let mut state = self.inbox.state.locked();
                if let Some(event) = state.event.take() {
                    return Poll::Ready(Some(event));
                }
                if state.has_ended {
                    return Poll::Ready(None);
                }
                state.waker = Some(cx.waker().clone());
                if state.is_armed {
                    return Poll::Pending;
                }
                drop(state);
                self.arm();
            }
        })
        .await
    }
}

impl Drop for RemoteMonitor {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.target.peer.demonitor(number);
        }
    }
}

impl MonitorInbox {
    /// What the actor's node says.
    pub(crate) fn exit(&self, exit: &WireExit<'_>) {
        let reason = self.reason(exit);
        let missed = exit.missed;
        self.tell(match exit.incarnation {
            Some(incarnation) => MonitorEvent::Down {
                incarnation,
                reason,
                restart_follows: exit.restart_follows,
                missed,
            },
            None => MonitorEvent::Gone { reason, missed },
        });
    }

    fn reason(&self, exit: &WireExit<'_>) -> ExitReason {
        match exit.kind {
            "normal" => ExitReason::Normal,
            "shutdown" => ExitReason::Shutdown,
            "failed" => ExitReason::Failed(Failure::msg(exit.text)),
            "panicked" => ExitReason::Panicked(Panic::from_payload(Box::new(exit.text.to_owned()))),
            "killed" => ExitReason::Killed,
            "hung" => ExitReason::Hung,
            "escalated" => ExitReason::Escalated(Failure::msg(exit.text)),
            "node_down" => ExitReason::NodeDown,
            "unreachable" => ExitReason::Unreachable,
            UNKNOWN_TARGET => ExitReason::Failed(Failure::from(UnknownTarget {
                node: self.node.clone(),
                target: self.target.clone(),
            })),
            // A reason of a newer version.
            other => ExitReason::Failed(Failure::msg(format!("{other}: {}", exit.text))),
        }
    }

    /// The link is gone, and with it the monitoring on the other side.
    pub(crate) fn link_lost(&self) {
        self.tell_unreachable(true);
    }

    /// Membership cannot reach the node; the link stays.
    pub(crate) fn unreachable(&self) {
        self.tell_unreachable(false);
    }

    fn tell_unreachable(&self, disarm: bool) {
        let mut state = self.state.locked();
        if state.has_ended {
            return;
        }
        if disarm {
            state.is_armed = false;
        }
        if !std::mem::replace(&mut state.is_told_unreachable, true) {
            let incarnation = state.incarnation;
            state.add(MonitorEvent::Down {
                incarnation,
                reason: ExitReason::Unreachable,
                restart_follows: false,
                missed: 0,
            });
        }
        // Also without an event: whoever waits has to ask for a new link.
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// There is a sign of life: the next loss is worth an event again.
    pub(crate) fn reachable(&self) {
        self.state.locked().is_told_unreachable = false;
    }

    /// The peer has ended for ever.
    pub(crate) fn ended(&self, cause: Unsent) {
        self.tell(MonitorEvent::Gone {
            reason: match cause {
                Unsent::NodeDown => ExitReason::NodeDown,
                _ => ExitReason::Shutdown,
            },
            missed: 0,
        });
    }

    fn tell(&self, event: MonitorEvent) {
        let mut state = self.state.locked();
        if state.has_ended {
            return;
        }
        match &event {
            MonitorEvent::Down { incarnation, .. } => state.incarnation = *incarnation,
            _ => state.has_ended = true,
        }
        state.add(event);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    /// Takes an event in; one that was not taken is merged into it.
    fn add(&mut self, mut event: MonitorEvent) {
        if let Some(
            MonitorEvent::Down { missed: before, .. } | MonitorEvent::Gone { missed: before, .. },
        ) = self.event.take()
            && let MonitorEvent::Down { missed, .. } | MonitorEvent::Gone { missed, .. } =
                &mut event
        {
            *missed += before + 1;
        }
        self.event = Some(event);
    }
}

impl fmt::Debug for MonitorInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MonitorInbox({} on {})", self.target, self.node)
    }
}
