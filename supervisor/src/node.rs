//! A supervisor as others see it: its place in the tree, what can be sent to it, and what it looks like.

use std::any::Any;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use treewarden_runtime::host::{Life, Observer};
use treewarden_runtime::{ExitReason, Inspect, NodeSnapshot, Root, RootAttachment, System};

use crate::child::Found;
use crate::core::{Core, End, Message, Slot};
use crate::error::{CallError, StartError};
use crate::machine::{
    AdminError, Answer, Child, ChildKey, Machine, Report, Request, Status, Strategy,
};
use crate::report::{ShutdownReport, TreeEvent, TreeLog};
use crate::supervisor::Supervisor;
use crate::sync::MutexExt;
use crate::tree::Tree;

/// What becomes of a supervisor.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Starting,
    Running,
    Ended(End),
}

/// A supervisor.
pub(crate) struct Node {
    pub(crate) path: Arc<str>,
    pub(crate) system: System,
    pub(crate) log: TreeLog,
    pub(crate) core: Mutex<Core>,
    pub(crate) inbox: mpsc::UnboundedSender<Message>,
    strategy: Strategy,
    state: watch::Sender<State>,
    /// Who supervises this supervisor; nobody, if it is a root.
    parent: Option<Arc<dyn Observer>>,
    /// The incarnation as the parent counts.
    incarnation: AtomicU64,
    /// For roots, while they run.
    attachment: Mutex<Option<RootAttachment>>,
}

impl Node {
    /// Makes the supervisor and everything below it, and starts nothing.
    pub(crate) fn build(
        supervisor: &Supervisor,
        path: Arc<str>,
        system: System,
        log: TreeLog,
        parent: Option<Arc<dyn Observer>>,
    ) -> Result<Arc<Node>, StartError> {
        let (inbox, receiver) = mpsc::unbounded_channel();
        // Jitter only has to differ between supervisors, and from process to process.
        let seed = path.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        let seed = seed ^ system.seed();
        let node = Node {
            path,
            system,
            log,
            core: Mutex::new(Core::new(
                Machine::new(supervisor.flags.clone(), seed),
                receiver,
            )),
            inbox,
            strategy: supervisor.flags.strategy,
            state: watch::Sender::new(State::Starting),
            parent,
            incarnation: AtomicU64::new(0),
            attachment: Mutex::new(None),
        };
        let added = node.core.locked().add_initial(&node, &supervisor.children);
        if let Err(error) = added {
            node.core.locked().retire();
            return Err(error);
        }
        Ok(Arc::new(node))
    }

    pub(crate) fn path_of(&self, id: &str) -> Arc<str> {
        format!("{}/{id}", self.path).into()
    }

    pub(crate) fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    /// Starts this supervisor as a root.
    pub(crate) fn start_as_root(self: &Arc<Self>) {
        let weak: std::sync::Weak<dyn Root> = Arc::downgrade(self) as std::sync::Weak<dyn Root>;
        *self.attachment.locked() = Some(self.system.attach_root(weak));
        crate::shell::spawn(self.clone());
        if self.system.is_closed() {
            self.order_shutdown();
        }
    }

    /// Starts this supervisor as a child.
    pub(crate) fn start_as_child(self: &Arc<Self>, incarnation: u64) {
        self.incarnation.store(incarnation, Ordering::Relaxed);
        crate::shell::spawn(self.clone());
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.send_replace(state);
    }

    /// All children have started.
    pub(crate) fn announce_start(&self) {
        self.set_state(State::Running);
        if let Some(parent) = &self.parent {
            parent.on_life(Life::Started {
                incarnation: self.incarnation.load(Ordering::Relaxed),
            });
        }
    }

    /// No child runs any more.
    pub(crate) fn announce_end(&self, end: End) {
        *self.attachment.locked() = None;
        let reason = end.reason.clone();
        self.log.end_shutdown(&self.path);
        self.set_state(State::Ended(end));
        if let Some(parent) = &self.parent {
            // Before `Started` this counts as a failed start.
            let incarnation = self.incarnation.load(Ordering::Relaxed);
            parent.on_life(Life::Exited {
                incarnation,
                reason,
                suspect: None,
            });
        }
    }

    pub(crate) fn record(&self, event: TreeEvent) {
        if self.is_root()
            && matches!(
                event.report,
                Report::Escalated { .. } | Report::AutoShutdown { .. }
            )
        {
            self.log.begin_shutdown(&self.path);
        }
        self.log.record(event);
    }

    // What can be sent to it.

    pub(crate) fn order_shutdown(&self) {
        let _ = self.inbox.send(Message::Shutdown);
    }

    pub(crate) fn order_kill(&self) {
        let _ = self.inbox.send(Message::Kill);
    }

    pub(crate) async fn call(&self, request: Request<Slot>) -> Result<Answer, CallError> {
        self.ask(|reply| Message::Call { request, reply }).await
    }

    pub(crate) async fn ask(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<Answer, CallError>>) -> Message,
    ) -> Result<Answer, CallError> {
        self.ask_for(message).await
    }

    pub(crate) async fn ask_for<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, CallError>>) -> Message,
    ) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        {
            // Under the lock, so that no call slips into the inbox of a supervisor that has just ended.
            let core = self.core.locked();
            if !core.is_running() {
                return Err(AdminError::ShuttingDown);
            }
            let _ = self.inbox.send(message(reply));
        }
        answer.await.unwrap_or(Err(AdminError::ShuttingDown))
    }

    /// Resolves when the supervisor has started, or failed to.
    pub(crate) async fn started(&self) -> Result<(), StartError> {
        let mut states = self.state.subscribe();
        let state = states
            .wait_for(|state| !matches!(state, State::Starting))
            .await;
        match state.as_deref() {
            Ok(State::Ended(End {
                start_error: Some(error),
                ..
            })) => Err(error.clone()),
            Ok(State::Ended(End { reason, .. })) => Err(StartError::Interrupted {
                path: self.path.clone(),
                reason: reason.clone(),
            }),
            // The node holds the sender, so there is no error.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn has_ended(&self) -> bool {
        matches!(&*self.state.borrow(), State::Ended(_))
    }

    /// Resolves with the exit reason when the supervisor has ended (an incarnation of it, if it is no root).
    pub(crate) async fn ended(&self) -> ExitReason {
        let mut states = self.state.subscribe();
        loop {
            if let State::Ended(end) = &*states.borrow_and_update() {
                return end.reason.clone();
            }
            // The node holds the sender, so there is no error.
            let _ = states.changed().await;
        }
    }

    pub(crate) async fn shut_down(&self) -> ShutdownReport {
        if !self.has_ended() {
            self.log.begin_shutdown(&self.path);
        }
        self.order_shutdown();
        let reason = self.ended().await;
        self.log.shutdown_report(&self.path, reason)
    }

    // What it looks like.

    pub(crate) fn find_below(self: &Arc<Self>, path_below: &str) -> Option<Found> {
        if path_below.is_empty() {
            return Some(Found::other(
                Box::new(Tree { node: self.clone() }),
                "a supervisor",
            ));
        }
        let (id, rest) = path_below.split_once('/').unwrap_or((path_below, ""));
        let core = self.core.locked();
        let key = match self.strategy {
            Strategy::Dynamic => {
                let is_it = |slot: &Slot| slot.path.rsplit('/').next() == Some(id);
                core.machine
                    .children_in_start_order()
                    .find(|(_, child)| is_it(child.handle()))
                    .map(|(key, _)| key)
            }
            _ => core.machine.child_by_id(id),
        };
        core.machine.child(key?)?.handle().kind.find(rest)
    }

    pub(crate) fn find_child(&self, key: ChildKey) -> Option<Found> {
        self.core
            .locked()
            .machine
            .child(key)?
            .handle()
            .kind
            .find("")
    }

    pub(crate) fn path_of_child(&self, key: ChildKey) -> Option<Arc<str>> {
        self.core
            .locked()
            .machine
            .child(key)
            .map(|child| child.handle().path.clone())
    }

    /// Gives an order to all children of a supervisor that does not run.
    pub(crate) fn for_each_child(&self, order: impl Fn(&mut Slot)) {
        let mut core = self.core.locked();
        let keys: Vec<_> = core
            .machine
            .children_in_start_order()
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            if let Some(slot) = core.machine.handle_mut(key) {
                order(slot);
            }
        }
    }

    pub(crate) fn kind(&self) -> Cow<'static, str> {
        match self.strategy {
            Strategy::OneForOne => "supervisor (one_for_one)".into(),
            Strategy::OneForAll => "supervisor (one_for_all)".into(),
            Strategy::RestForOne => "supervisor (rest_for_one)".into(),
            Strategy::Dynamic => "supervisor (dynamic)".into(),
        }
    }

    pub(crate) fn inspect_children(&self) -> Vec<NodeSnapshot> {
        let core = self.core.locked();
        core.machine
            .children_in_start_order()
            .map(|(_, child)| inspect(child, core.now()))
            .collect()
    }
}

fn inspect(child: &Child<Slot, ExitReason>, now: Duration) -> NodeSnapshot {
    let slot = child.handle();
    let state = match child.status() {
        Status::Stopped => "stopped",
        Status::AwaitingGroup => "awaiting group restart",
        Status::Starting => "starting",
        Status::Running => "running",
        Status::Stopping => "stopping",
        Status::Ended => "ended",
        Status::Restarting => "restarting",
    };
    let mut node = NodeSnapshot {
        path: slot.path.clone(),
        kind: slot.kind.kind(),
        state: state.into(),
        queue_depth: None,
        handled: None,
        shed: Default::default(),
        restarts: child.restarts(),
        last_exits: child
            .failures()
            .iter()
            .map(|failed| failed.reason.clone())
            .collect(),
        since_last_exit: child
            .failures()
            .last()
            .map(|failed| now.saturating_sub(failed.at)),
        children: Vec::new(),
    };
    slot.kind.inspect(&mut node);
    node
}

impl Inspect for Node {
    fn inspect(&self) -> NodeSnapshot {
        let state = match &*self.state.borrow() {
            State::Starting => "starting",
            State::Running => "running",
            State::Ended(_) => "ended",
        };
        NodeSnapshot {
            path: self.path.clone(),
            kind: self.kind(),
            state: state.into(),
            queue_depth: None,
            handled: None,
            shed: Default::default(),
            restarts: 0,
            last_exits: Vec::new(),
            since_last_exit: None,
            children: self.inspect_children(),
        }
    }
}

impl Root for Node {
    fn find(self: Arc<Self>, path: &str) -> Option<(Box<dyn Any + Send>, &'static str)> {
        let below = path.strip_prefix(&*self.path)?.strip_prefix('/')?;
        self.find_below(below).map(Found::into_parts)
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let report = self.shut_down().await;
            if !report.is_clean() {
                tracing::warn!(path = %self.path, "{report}");
            }
        })
    }
}
