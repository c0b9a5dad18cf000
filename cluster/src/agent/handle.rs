//! What the application holds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::error::CallError;
use super::run::Command;
use crate::datagram::{Key, Refusals};
use crate::membership::{Event, Machine, MemberInfo, Metadata, NodeId, NodeName, State, Stats};

/// What readers see without asking the task.
#[derive(Debug)]
pub(super) struct View {
    pub(super) me: NodeId,
    pub(super) my_state: State,
    pub(super) my_metadata: Metadata,
    pub(super) members: BTreeMap<NodeName, MemberInfo>,
}

/// Shared between the task, which writes, and the handles.
pub(super) type SharedView = Arc<Mutex<View>>;

pub(super) fn lock(view: &SharedView) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counters of an agent. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentStats {
    /// Of the membership machine.
    pub membership: Stats,
    /// Datagrams that were refused before the machine saw them.
    pub refusals: Refusals,
    /// Datagrams that the socket did not take.
    pub send_errors: u64,
    /// Errors while receiving.
    pub receive_errors: u64,
    /// Conversations over streams that ended with an error at this node's end: of a stranger, sealed with another key, cut off, or too many
    /// at a time.
    pub streams_refused: u64,
    /// Names among the seeds that could not be resolved, files of seeds that could not be read, and texts in them that are no seeds. Each
    /// look at them counts anew.
    pub seeds_failed: u64,
}

/// Speaks to a running agent. Cheap to clone. When the last one is dropped the agent ends without leaving.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    commands: mpsc::Sender<Command>,
    /// Weak, so that subscriptions end with the task and not with the last handle.
    events: broadcast::WeakSender<Event>,
    view: SharedView,
    addr: SocketAddr,
}

impl AgentHandle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        events: broadcast::WeakSender<Event>,
        machine: &Machine,
        addr: SocketAddr,
    ) -> Self {
        let view = View {
            me: machine.id().clone(),
            my_state: machine.state(),
            my_metadata: machine.record().metadata.clone(),
            members: BTreeMap::new(),
        };
        Self {
            commands,
            events,
            view: Arc::new(Mutex::new(view)),
            addr,
        }
    }

    pub(super) fn view(&self) -> SharedView {
        self.view.clone()
    }

    /// Which process of which node this is. The boot changes with a rejoin.
    pub fn id(&self) -> NodeId {
        lock(&self.view).me.clone()
    }

    /// Where others reach it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What this node knows of its own boot.
    pub fn state(&self) -> State {
        lock(&self.view).my_state
    }

    /// What this node tells the others about itself.
    pub fn metadata(&self) -> Metadata {
        lock(&self.view).my_metadata.clone()
    }

    /// The other members by name, as they are believed at this moment, with those that are down and not yet forgotten.
    pub fn members(&self) -> Vec<MemberInfo> {
        lock(&self.view).members.values().cloned().collect()
    }

    /// What is believed of one member.
    pub fn member(&self, name: &str) -> Option<MemberInfo> {
        lock(&self.view).members.get(name).cloned()
    }

    /// Events from now on, until the agent ends. A subscriber that falls behind misses the oldest, and is told how many.
    pub fn subscribe(&self) -> Events {
        let receiver = match self.events.upgrade() {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1, // ended already: so is this one
        };
        Events {
            receiver,
            missed: 0,
        }
    }

    /// Replaces what others know of this node.
    ///
    /// # Errors
    /// [`CallError`]; the old metadata stays.
    pub async fn set_metadata(&self, metadata: Metadata) -> Result<(), CallError> {
        self.call(|reply| Command::SetMetadata(metadata, reply))
            .await?
    }

    /// Declares a member down for good, as far as its process is concerned.
    ///
    /// # Errors
    /// [`CallError`]; nothing has changed.
    pub async fn down(&self, member: &NodeName) -> Result<(), CallError> {
        self.call(|reply| Command::Down(member.clone(), reply))
            .await?
    }

    /// Says good-bye and waits until the word is spread; then the agent has ended. If this future is dropped the node leaves all the same.
    ///
    /// # Errors
    /// [`CallError`] when there is nothing to leave.
    pub async fn leave(&self) -> Result<(), CallError> {
        self.call(Command::Leave).await?
    }

    /// Ends the agent without a word. Others find it unreachable.
    pub async fn shutdown(&self) {
        if self.commands.send(Command::Shutdown).await.is_ok() {
            self.commands.closed().await;
        }
    }

    /// Opens datagrams with `key` too.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn add_key(&self, key: Key) -> Result<(), CallError> {
        self.call(|reply| Command::AddKey(key, reply)).await?
    }

    /// Seals datagrams with `key`, which has been added before, here and everywhere.
    ///
    /// # Errors
    /// [`CallError`]; the key in use stays.
    pub async fn use_key(&self, key: Key) -> Result<(), CallError> {
        self.call(|reply| Command::UseKey(key, reply)).await?
    }

    /// No longer opens datagrams with `key`.
    ///
    /// # Errors
    /// [`CallError`]; the key stays.
    pub async fn remove_key(&self, key: Key) -> Result<(), CallError> {
        self.call(|reply| Command::RemoveKey(key, reply)).await?
    }

    /// Whether enough others have answered within `within`; see [`Machine::is_in_touch`]. An agent that has ended is not in touch.
    pub(crate) async fn is_in_touch(&self, within: Duration) -> bool {
        let asked = self.call(|reply| Command::InTouch(within, reply)).await;
        asked.unwrap_or(false)
    }

    /// Whether that boot has not answered within `within`; see [`Machine::is_silent`].
    pub(crate) async fn is_silent(&self, id: NodeId, within: Duration) -> bool {
        let asked = self
            .call(|reply| Command::IsSilent(id, within, reply))
            .await;
        asked.unwrap_or(false)
    }

    /// The host of that boot refuses connections at its address; see [`Machine::handle_refused`].
    pub(crate) async fn note_refused(&self, id: NodeId) {
        let _ = self.commands.send(Command::Refused(id)).await; // an agent that has ended needs no news
    }

    /// Counters.
    ///
    /// # Errors
    /// [`CallError::Stopped`].
    pub async fn stats(&self) -> Result<AgentStats, CallError> {
        self.call(Command::Stats).await
    }

    async fn call<R>(
        &self,
        command: impl FnOnce(oneshot::Sender<R>) -> Command,
    ) -> Result<R, CallError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| CallError::Stopped)?;
        answer.await.map_err(|_| CallError::Stopped)
    }
}

/// A subscription. Dropping it ends it.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    missed: u64,
}

impl Events {
    /// The next event; `None` when the agent has ended. Cancel safe.
    ///
    /// If this subscriber fell behind, the events that it missed are counted in [`missed`](Self::missed) and it goes on with the oldest
    /// that is left: a reader that keeps a view of its own should then read [`AgentHandle::members`] anew.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many events were missed so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
