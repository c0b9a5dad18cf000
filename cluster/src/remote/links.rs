//! [`Links`]: everything that one node has to do with actors on other nodes.
//!
//! A link is one TCP connection, dialed by the node whose references are used: its messages go out on it, and credit,
//! answers and ends of actors come back. So two nodes that use each other's actors have two links, which know nothing of
//! each other; and each [lane](Lane) is a link of its own. Of the links from one boot of one node on one lane only the newest is served: an
//! older one ends, wholly, before the newer one is read.

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use treewarden_runtime::ActorRef;

use super::{
    TARGET_BYTES_MAX,
    auth::LinkKeys,
    config::{LinkConfig, LinkConfigError},
    counters::{LinkCount, LinkCounters},
    deliveries::{Deliveries, DeliveryId},
    dial::{drive, note_end},
    directory::{Directory, Location},
    error::{ExposeError, LinkError},
    exposed::Exposures,
    frame::{self, Frame, Refusal},
    handshake::{self, Caller, Greeted, Local},
    inbound::{self, Awaited, Household},
    lane::Lane,
    message::RemoteMessage,
    peer::{Peer, TargetKey},
    pipe::{StopSender, stopped},
    place::Unsent,
    reference::RemoteRef,
    sync_ext::MutexExt,
};
use crate::{
    membership::NodeId,
    transport::{Arriving, Transport},
};

/// How long to wait after the operating system could not give a connection, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The links of one node, those that it dials and those that it accepts.
///
/// Dropping it closes all links in the background; [`shutdown`](Self::shutdown) waits for that.
pub struct Links {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
}

/// What to start [`Links`] with.
#[derive(Debug)]
pub struct LinkIdentity {
    /// Which boot of which node this is.
    pub id: NodeId,
    /// The cluster; others are refused.
    pub cluster: String,
    /// What all nodes of the cluster share.
    pub keys: LinkKeys,
}

pub(crate) struct Shared {
    local: Mutex<Local>,
    pub(crate) config: LinkConfig,
    pub(crate) directory: Arc<dyn Directory>,
    /// Let go when the links close, so that its address can be used again.
    transport: Mutex<Option<Arc<dyn Transport>>>,
    pub(crate) counters: Arc<LinkCounters>,
    exposures: Exposures,
    peers: Mutex<HashMap<(NodeId, Lane), Arc<Peer>>>,
    callers: Mutex<HashMap<(NodeId, Lane), Served>>,
    next_link: AtomicU64,
    next_delivery: AtomicU64,
    deliveries: Arc<Mutex<Deliveries<Awaited>>>,
    handshakes: Arc<Semaphore>,
    closed: AtomicBool,
    stop: StopSender,
    runtime: Handle,
    tasks: Mutex<JoinSet<()>>,
}

/// A link that is being served.
struct Served {
    link: u64,
    stop: StopSender,
    /// Closed when nothing of it is at work any more.
    ended: watch::Receiver<()>,
}

impl Links {
    /// Takes links on `transport`, and dials others over it when references are used.
    ///
    /// # Errors
    ///
    /// Settings that make no sense, or a transport without an address. Nothing was started then.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(
        transport: impl Transport + 'static,
        identity: LinkIdentity,
        config: LinkConfig,
        directory: Arc<dyn Directory>,
    ) -> Result<Self, LinksError> {
        config.validate().map_err(LinksError::Config)?;
        let transport: Arc<dyn Transport> = Arc::new(transport);
        let local_addr = transport.local_addr().map_err(LinksError::Io)?;
        let shared = Arc::new(Shared {
            local: Mutex::new(Local {
                id: identity.id,
                cluster: identity.cluster,
                keys: identity.keys,
                message_bytes_max: config.message_bytes_max,
                timeout: config.connect_timeout,
            }),
            handshakes: Arc::new(Semaphore::new(config.handshakes_max)),
            config,
            directory,
            transport: Mutex::new(Some(transport.clone())),
            counters: Arc::default(),
            exposures: Exposures::default(),
            peers: Mutex::default(),
            callers: Mutex::default(),
            next_link: AtomicU64::new(1),
            next_delivery: AtomicU64::new(1),
            deliveries: Arc::default(),
            closed: AtomicBool::new(false),
            stop: watch::Sender::new(None),
            runtime: Handle::current(),
            tasks: Mutex::default(),
        });
        shared.spawn(accept(shared.clone(), transport));
        Ok(Self { shared, local_addr })
    }

    /// Where it takes links.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Makes an actor reachable from other nodes under a name of 1 to [`TARGET_BYTES_MAX`] bytes. The name belongs to the
    /// address: it survives restarts, and is free again when the address is gone.
    ///
    /// # Errors
    ///
    /// See [`ExposeError`]. Exposing the same actor under the same name again is no error.
    pub fn expose<M: RemoteMessage>(
        &self,
        name: &str,
        target: &ActorRef<M>,
    ) -> Result<(), ExposeError> {
        self.shared.expose(name, target)
    }

    /// Lets an actor that is [exposed](Self::expose) as `name` take messages of type `W` as well, which become its own by `From`: an earlier
    /// version of its messages, for a rolling upgrade, or a part of them.
    ///
    /// # Errors
    ///
    /// [`ExposeError::NotExposed`].
    pub fn expose_also<W: RemoteMessage, M: From<W> + Send + 'static>(
        &self,
        name: &str,
        target: &ActorRef<M>,
    ) -> Result<(), ExposeError> {
        self.shared.exposures.also::<W, M>(name, target)
    }

    /// Takes a name back. Channels that are open to it stay open until their senders are done. False: there was none.
    pub fn withdraw(&self, name: &str) -> bool {
        self.shared.exposures.remove(name, None)
    }

    /// A reference to what `node` exposes as `name`. Nothing is checked or sent before it is used. A name of more than
    /// [`TARGET_BYTES_MAX`] bytes stands for nothing.
    pub fn remote<M: RemoteMessage>(&self, node: &NodeId, name: &str) -> RemoteRef<M> {
        self.shared.remote(node, name)
    }

    /// What names and groups work with; it keeps no link open.
    pub(crate) fn weak(&self) -> Weak<Shared> {
        Arc::downgrade(&self.shared)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &LinkCounters {
        &self.shared.counters
    }

    /// That boot of that node is down for ever: its links end, what waits for it is told, and it is not served again.
    pub fn node_down(&self, node: &NodeId) {
        for lane in Lane::ALL {
            let link = (node.clone(), lane);
            let peer = self.shared.peers.locked().remove(&link);
            if let Some(peer) = peer {
                peer.end(Unsent::NodeDown);
            }
            if let Some(served) = self.shared.callers.locked().get(&link) {
                served.stop.send_replace(Some(LinkError::NodeDown));
            }
        }
    }

    /// Every boot of that name but `node` is down for ever: a newer one has taken its place.
    pub fn node_superseded(&self, node: &NodeId) {
        let is_older = |other: &NodeId| other.name == node.name && other.boot < node.boot;
        let older: Vec<NodeId> = {
            let peers = self.shared.peers.locked();
            let callers = self.shared.callers.locked();
            peers
                .keys()
                .chain(callers.keys())
                .map(|(other, _)| other)
                .filter(|other| is_older(other))
                .cloned()
                .collect()
        };
        for other in older {
            self.node_down(&other);
        }
    }

    /// Membership cannot reach that node: monitors of its actors are told. Its links decide for themselves whether they
    /// still work.
    pub fn node_unreachable(&self, node: &NodeId) {
        for peer in self.shared.peers_of(node) {
            peer.unreachable();
        }
    }

    /// Membership can reach that node again.
    pub fn node_reachable(&self, node: &NodeId) {
        for peer in self.shared.peers_of(node) {
            peer.reachable();
        }
    }

    /// This node goes on as another boot: every link of the one before ends, and what depended on it is told.
    pub fn begin_boot(&self, id: NodeId) {
        self.shared.local.locked().id = id;
        self.break_all();
    }

    /// Ends every link, as if each had been cut. The next messages dial again.
    pub fn break_all(&self) {
        let peers: Vec<_> = self.shared.peers.locked().values().cloned().collect();
        for peer in peers {
            peer.break_link();
        }
        for served in self.shared.callers.locked().values() {
            served.stop.send_replace(Some(LinkError::Replaced));
        }
    }

    /// Proves and verifies with other keys from now on. Links that have come about stay.
    pub fn set_keys(&self, keys: LinkKeys) {
        self.shared.local.locked().keys = keys;
    }

    /// Closes all links in order: nothing new is taken, what is queued is written as far as the other sides read it within
    /// the [`close_timeout`](LinkConfig::close_timeout), asks in flight end. Returns when nothing of the links is at work.
    pub async fn shutdown(&self) {
        self.shared.close();
        let mut tasks = std::mem::take(&mut *self.shared.tasks.locked());
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        // Twice the time: once for the goodbye of a link, and as much again for whatever the machine is busy with.
        if timeout(self.shared.config.close_timeout * 2, all_ended)
            .await
            .is_err()
        {
            tasks.shutdown().await;
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    /// See [`Links::remote`].
    pub(crate) fn remote<M: RemoteMessage>(
        self: &Arc<Self>,
        node: &NodeId,
        name: &str,
    ) -> RemoteRef<M> {
        let on_the_wire = if name.len() <= TARGET_BYTES_MAX {
            name
        } else {
            // Nothing can be exposed under the empty name.
            ""
        };
        let key = TargetKey {
            name: on_the_wire.into(),
            message: M::NAME,
            version: M::VERSION,
        };
        RemoteRef::new(self.peer(node, Lane::default()).target(key), name.into())
    }

    /// Where tasks of the links run.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn peer(self: &Arc<Self>, node: &NodeId, lane: Lane) -> Arc<Peer> {
        let mut peers = self.peers.locked();
        let link = (node.clone(), lane);
        if let Some(peer) = peers.get(&link) {
            return peer.clone();
        }
        let peer = Peer::new(
            link.clone(),
            &self.config,
            &self.counters,
            Arc::downgrade(self),
        );
        if self.closed.load(Ordering::SeqCst) {
            peer.end(Unsent::ShutDown);
        } else {
            peers.insert(link, peer.clone());
        }
        peer
    }

    /// The links to a node that were ever wanted.
    fn peers_of(&self, node: &NodeId) -> Vec<Arc<Peer>> {
        let peers = self.peers.locked();
        let of_lane = |lane| peers.get(&(node.clone(), lane)).cloned();
        Lane::ALL.into_iter().filter_map(of_lane).collect()
    }

    pub(crate) fn expose<M: RemoteMessage>(
        self: &Arc<Self>,
        name: &str,
        target: &ActorRef<M>,
    ) -> Result<(), ExposeError> {
        self.exposures.insert(name, target)?;
        // The name is taken back when the address ends; until then this costs one parked task.
        let (links, target, name) = (Arc::downgrade(self), target.clone(), Arc::<str>::from(name));
        let mut stop = self.stop.subscribe();
        self.spawn(async move {
            tokio::select! {
                _ = target.closed() => {}
                _ = stopped(&mut stop) => {}
            }
            if let Some(links) = links.upgrade() {
                links.exposures.remove(&name, Some(target.id()));
            }
        });
        Ok(())
    }

    /// What this node says of itself.
    pub(crate) fn local(&self) -> Local {
        self.local.locked().clone()
    }

    /// `None`: the links are closed.
    pub(crate) fn transport(&self) -> Option<Arc<dyn Transport>> {
        self.transport.locked().clone()
    }

    pub(crate) fn next_link(&self) -> u64 {
        self.next_link.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_delivery(&self) -> DeliveryId {
        DeliveryId {
            boot: self.local.locked().id.boot,
            number: self.next_delivery.fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(crate) fn spawn_dial(self: &Arc<Self>, peer: Arc<Peer>, pause: Duration) {
        self.spawn(drive(peer, self.clone(), pause));
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.locked();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &self.runtime);
    }

    /// Tells everything to end.
    fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.stop.send_replace(Some(LinkError::ShutDown));
        self.transport.locked().take();
        let peers = std::mem::take(&mut *self.peers.locked());
        for peer in peers.into_values() {
            peer.end(Unsent::ShutDown);
        }
        for served in self.callers.locked().values() {
            served.stop.send_replace(Some(LinkError::ShutDown));
        }
        self.exposures.clear();
    }

    /// Whether a caller that has the key is welcome.
    fn judge(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Refusal::Busy);
        }
        if self.directory.locate(&caller.id) == Location::Down {
            return Err(Refusal::DialerDown);
        }
        match self.callers.locked().get(&caller.key()) {
            Some(served) if served.link >= caller.call.link => Err(Refusal::Outdated),
            _ => Ok(()),
        }
    }

    /// Makes a link the one that is served for its caller, and says which one has to end first.
    fn take_over(
        &self,
        caller: &Caller,
        stop: StopSender,
        ended: watch::Receiver<()>,
    ) -> Result<Option<watch::Receiver<()>>, Refusal> {
        self.judge(caller)?;
        let mut callers = self.callers.locked();
        // Under the lock that `close` takes: a link that is entered here is told to end there.
        if self.closed.load(Ordering::SeqCst) {
            return Err(Refusal::Busy);
        }
        match callers.get(&caller.key()) {
            Some(older) if older.link >= caller.call.link => return Err(Refusal::Outdated),
            _ => {}
        }
        let served = Served {
            link: caller.call.link,
            stop,
            ended,
        };
        let older = callers.insert(caller.key(), served);
        Ok(older.map(|older| {
            older.stop.send_replace(Some(LinkError::Replaced));
            older.ended
        }))
    }
}

/// Takes calls until the node shuts down.
async fn accept(shared: Arc<Shared>, transport: Arc<dyn Transport>) {
    let mut stop = shared.stop.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = transport.accept() => accepted,
            _ = stopped(&mut stop) => return,
        };
        let arriving = match accepted {
            Ok(arriving) => arriving,
            Err(error) => {
                tracing::warn!(%error, "a link could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = shared.handshakes.clone().try_acquire_owned() else {
            turn_away(&shared, arriving);
            continue;
        };
        let links = shared.clone();
        shared.spawn(async move {
            let local = links.local();
            let greeted = greet(&links, arriving, &local).await;
            drop(permit);
            match greeted {
                Ok((greeted, caller)) => serve(&links, greeted, caller).await,
                Err(LinkError::Refused(why)) => {
                    tracing::debug!(%why, "a link was refused");
                    links.counters.note_refused(why);
                }
                Err(LinkError::WasRefused(why)) => links.counters.note_was_refused(why),
                Err(why) => {
                    tracing::debug!(%why, "a call ended before it was a link");
                    links.counters.add(LinkCount::CallsLost, 1);
                }
            }
        });
    }
}

/// Lets somebody in, and finds out who it is.
async fn greet(
    links: &Shared,
    arriving: Box<dyn Arriving>,
    local: &Local,
) -> Result<(Greeted, Caller), LinkError> {
    let connection = timeout(links.config.connect_timeout, arriving.establish())
        .await
        .map_err(|_| LinkError::Refused(Refusal::TooSlow))??;
    handshake::accept(connection, local, |caller| links.judge(caller)).await
}

/// Refuses a call without waiting for it.
fn turn_away(shared: &Shared, arriving: Box<dyn Arriving>) {
    shared.counters.note_refused(Refusal::Busy);
    let mut bytes = Vec::new();
    frame::encode(
        &mut bytes,
        &Frame::Refuse {
            reason: Refusal::Busy,
        },
    );
    arriving.turn_away(&bytes);
}

/// Serves a link that came about.
async fn serve(shared: &Arc<Shared>, greeted: Greeted, caller: Caller) {
    let stop = StopSender::new(None);
    let mut told_to_stop = stop.subscribe();
    let (at_work, ended) = watch::channel(());
    let older = match shared.take_over(&caller, stop, ended) {
        Ok(older) => older,
        Err(reason) => {
            shared.counters.note_refused(reason);
            handshake::refuse(greeted.writer, reason).await;
            return;
        }
    };
    if let Some(mut older) = older {
        // It is closed when the older link has wholly ended; that is an error to the receiver.
        let _ = older.changed().await;
    }
    shared.counters.add(LinkCount::LinksAccepted, 1);
    let why = inbound::serve(
        greeted,
        &Household {
            exposures: &shared.exposures,
            config: &shared.config,
            counters: &shared.counters,
            deliveries: &shared.deliveries,
        },
        &caller.id,
        &mut told_to_stop,
    )
    .await;
    drop(at_work);
    note_end(&shared.counters, &why);
    tracing::debug!(node = %caller.id, %why, "an accepted link ended");
    let mut callers = shared.callers.locked();
    if callers
        .get(&caller.key())
        .is_some_and(|served| served.link == caller.call.link)
    {
        callers.remove(&caller.key());
    }
}

/// Why links were not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinksError {
    /// Settings that make no sense.
    Config(LinkConfigError),
    /// The operating system said no.
    Io(io::Error),
}

impl fmt::Display for LinksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LinksError {}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("id", &self.shared.local().id)
            .field("addr", &self.local_addr)
            .field("exposed", &self.shared.exposures)
            .finish_non_exhaustive()
    }
}
