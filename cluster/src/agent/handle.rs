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
use crate::membership::{
    Event, Machine, MemberInfo, Metadata, NodeId, NodeName, Notice, State, Stats,
};

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
    notices: broadcast::WeakSender<Notice>,
    view: SharedView,
    addr: SocketAddr,
}

impl AgentHandle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        events: broadcast::WeakSender<Event>,
        notices: broadcast::WeakSender<Notice>,
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
            notices,
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

    /// Tells all other members something small, and returns the notice's number. They hear it through [`notices`](Self::notices), within a few
    /// rounds of gossip: about a second in a data centre. Good for hints that are worth little later, such as "the cache of this key is void"
    /// or "the configuration has a new version": best effort, without order, and each member hears it once or, if it was cut off meanwhile,
    /// never. This node is not told its own notices.
    ///
    /// A notice that still waits to be sent gives way to a later one of the same `name`; an empty name replaces nothing. Names have at most
    /// [`NOTICE_NAME_BYTES_MAX`](crate::membership::NOTICE_NAME_BYTES_MAX) bytes and payloads at most
    /// [`NOTICE_BYTES_MAX`](crate::membership::NOTICE_BYTES_MAX). Members whose version of the protocol has no notices hear none.
    ///
    /// If this future is dropped before it is ready, the notice may have been posted or not.
    ///
    /// ```
    /// # use treewarden_cluster::agent::{Agent, AgentConfig, AgentHandle, CallError, Preset, Seed};
    /// # use treewarden_cluster::datagram::Key;
    /// # async fn start(node: &str, seeds: Vec<Seed>) -> AgentHandle {
    /// #     let bind = ([127, 0, 0, 1], 0).into();
    /// #     let mut config = AgentConfig::new("c", node, bind, Key::from_bytes([1; 32]), Preset::Local);
    /// #     config.seeds = seeds;
    /// #     Agent::start(config).await.unwrap()
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), CallError> {
    /// # let one = start("one", Vec::new()).await;
    /// # let other = start("other", vec![Seed::Addr(one.addr())]).await;
    /// let mut notices = other.notices();
    /// one.post("config", b"version 7").await?;
    /// let heard = notices.next().await.expect("the agent runs");
    /// assert_eq!(heard.origin, one.id());
    /// assert_eq!((&*heard.name, &*heard.payload), ("config", &b"version 7"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CallError`]; nothing was posted. [`NoticeError::TooManyWaiting`](crate::membership::NoticeError::TooManyWaiting) is a reason to try
    /// again later.
    pub async fn post(&self, name: &str, payload: &[u8]) -> Result<u64, CallError> {
        let (name, payload) = (name.to_owned(), payload.to_vec());
        self.call(|reply| Command::Post(name, payload, reply))
            .await?
    }

    /// Notices of others from now on, until the agent ends. They have a queue of their own, so that many of them hide no change of the view. A
    /// subscriber that falls behind misses the oldest, and is told how many; nobody else waits for it.
    pub fn notices(&self) -> Notices {
        let receiver = match self.notices.upgrade() {
            Some(notices) => notices.subscribe(),
            None => broadcast::channel(1).1, // ended already: so is this one
        };
        Notices {
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
        next(&mut self.receiver, &mut self.missed).await
    }

    /// How many events were missed so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// A subscription to notices. Dropping it ends it.
#[derive(Debug)]
pub struct Notices {
    receiver: broadcast::Receiver<Notice>,
    missed: u64,
}

impl Notices {
    /// The next notice; `None` when the agent has ended. Cancel safe.
    ///
    /// If this subscriber fell behind, the notices that it missed are counted in [`missed`](Self::missed) and it goes on with the oldest
    /// that is left.
    pub async fn next(&mut self) -> Option<Notice> {
        next(&mut self.receiver, &mut self.missed).await
    }

    /// How many notices were missed so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

async fn next<T: Clone>(receiver: &mut broadcast::Receiver<T>, missed: &mut u64) -> Option<T> {
    loop {
        match receiver.recv().await {
            Ok(told) => return Some(told),
            Err(RecvError::Lagged(more)) => *missed += more,
            Err(RecvError::Closed) => return None,
        }
    }
}
