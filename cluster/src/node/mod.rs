//! [`Node`]: membership and links joined. What an application starts.
//!
//! A node listens on one port: UDP for gossip, TCP for links and for gossip that UDP does not carry. Its TCP address travels with its metadata, so that whoever
//! knows the member can dial it. What membership finds out is told to the links:
//!
//! | membership | links |
//! |---|---|
//! | a member is unreachable | monitors of its actors are told; links decide for themselves whether they still work |
//! | a member is down, or has a newer boot | its links end, references to that boot err for ever, it is refused if it calls |
//! | this node is down, and comes back under a new boot | all its links end; new ones are of the new boot |
//!
//! What is not here: the decisions, which are those of [`membership`](crate::membership), and the frames, which are those of
//! [`remote`](crate::remote).

mod config;
#[cfg(feature = "file")]
mod file;
mod operations;
pub(crate) mod refusals;

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{mpsc, watch},
    time::timeout,
};
use treewarden_runtime::{ActorRef, Inspect, NodeSnapshot, Root, RootAttachment, System};

use crate::{
    agent::{Agent, AgentHandle, CallError, Events, Incoming},
    datagram::Keyring,
    groups::{self, Clerk, ClusterGroups, Hall, Replica},
    membership::{Event, MemberInfo, Metadata, NodeId, State},
    remote::{
        Directory, ExposeError, LinkConfig, LinkCounters, LinkIdentity, LinkKeys, Links,
        LinksError, Location, RemoteMessage, RemoteRef,
    },
    singleton::{Desk, Duty, SingletonConfig},
    transport::{Gate, GatedDatagrams, GatedLinks, SharedPort, Tcp, Tls, Transport},
};

pub use crate::{
    agent::{Preset, Rejoin, Seed},
    datagram::Key,
};
pub use config::{LinkSecurity, NodeConfig, NodeError, Protocol};
#[cfg(feature = "file")]
pub use file::{NodeFileError, Wrong};
pub use operations::Drained;

/// How often a port that the system chose for TCP may turn out to be taken for UDP.
const PORT_ATTEMPTS_MAX: usize = 16;

/// Conversations of membership that wait to be answered; more are closed.
const CONVERSATIONS_WAITING_MAX: usize = 16;

/// Longest time that the work of singletons may take to stop before a leave.
const HAND_OVER_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest time to say goodbye to the cluster. The word is spread within the preset's `leave_linger`.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(10);

/// A member of a cluster, whose actors others can reach.
///
/// It belongs to its [`System`]: it appears in the system's snapshot, and the system's shutdown ends it in order. Dropping
/// it without [`shutdown`](Self::shutdown) is, to the other nodes, a crash.
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// # use treewarden_cluster::{Node, NodeConfig, node::Key, remote::{RemoteMessage, RemoteRef}};
/// # use treewarden_cluster::transport::Credentials;
/// # use treewarden_runtime::{ActorRef, Failure, Reply, System};
/// # #[derive(Serialize, Deserialize)] enum Words { Count(String, Reply<u64>) }
/// # impl RemoteMessage for Words { const NAME: &'static str = "words"; const VERSION: u32 = 1; }
/// # async fn run(worker: ActorRef<Words>) -> Result<(), Failure> {
/// let system = System::new("words");
/// let config = NodeConfig::new("demo", "node-1")
///     .listen("127.0.0.1:7001".parse()?)
///     .seeds(["127.0.0.1:7002".parse::<std::net::SocketAddr>()?])
///     .key(Key::from_hex(&std::env::var("CLUSTER_KEY")?)?)
///     .credentials(Credentials::from_dir("certs", "node-1")?);
/// let node = Node::start(&system, config).await?;
/// node.expose("workers/1", &worker)?;
///
/// for member in node.members() {
///     let worker: RemoteRef<Words> = node.remote(&member.id, "workers/1");
///     let count = worker.ask(|reply| Words::Count("one two".into(), reply)).await?;
///     println!("{} counted {count}", member.id);
/// }
/// node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Node {
    inner: Arc<Inner>,
    _attachment: RootAttachment,
}

struct Inner {
    system: System,
    links: Links,
    agent: AgentHandle,
    local_addr: SocketAddr,
    /// It has no seeds: others find it.
    founds: bool,
    leaving: watch::Sender<bool>,
    duties: Arc<Desk>,
    duties_made: AtomicU64,
    hall: Arc<Hall>,
}

impl Node {
    /// Listens, takes links, and begins to look for the cluster. Does not wait until others are found:
    /// [`Event::Joined`] tells.
    ///
    /// Has to be called within a tokio runtime with time and I/O.
    ///
    /// # Errors
    ///
    /// See [`NodeError`]; nothing is left running.
    pub async fn start(system: &System, config: NodeConfig) -> Result<Self, NodeError> {
        let Some(keyring) = config.keyring.clone() else {
            return Err(NodeError::KeyNeeded);
        };
        let link_config = config.links.clone();
        link_config.validate().map_err(NodeError::Links)?;
        let security = config.checked_security()?;
        let (listener, socket) = listen(config.listen).await?;
        let local_addr = listener
            .local_addr()
            .map_err(|error| NodeError::from_bind(config.listen, Protocol::Tcp, error))?;

        let mut metadata = config.metadata.clone();
        metadata.stream_addr = Some(match config.advertise {
            Some(addr) if addr.port() == 0 => SocketAddr::new(addr.ip(), local_addr.port()),
            Some(addr) => addr,
            None => local_addr,
        });
        let founds = config.seeds.is_empty();
        let cluster = config.cluster.clone();
        let key = keyring.sealing().clone();
        let gate = config.gate.clone();
        let agent_config = config.into_agent(key, keyring.clone(), metadata);
        let (hand_on, handed) = mpsc::channel(CONVERSATIONS_WAITING_MAX);
        let handed = Incoming::Handed(handed);
        let agent = match gate.clone() {
            Some(gate) => {
                Agent::start_with(GatedDatagrams::new(socket, gate), handed, agent_config)
            }
            None => Agent::start_with(socket, handed, agent_config),
        }
        .map_err(NodeError::Agent)?;
        let port = SharedPort(hand_on);
        let events = agent.subscribe();

        let identity = LinkIdentity {
            id: agent.id(),
            cluster,
            keys: link_keys(&keyring),
        };
        let directory = Arc::new(Members {
            agent: agent.clone(),
            local_addr,
        });
        let started = match security {
            LinkSecurity::Tls(credentials) => {
                let transport = Tls::new(listener, credentials).on_shared_port(port);
                start_links(transport, gate, identity, link_config, directory)
            }
            LinkSecurity::PlaintextOnLoopback => {
                let transport = Tcp::new(listener).on_shared_port(port);
                start_links(transport, gate, identity, link_config, directory)
            }
        };
        let links = match started {
            Ok(links) => links,
            Err(error) => {
                agent.shutdown().await;
                return Err(match error {
                    LinksError::Config(error) => NodeError::Links(error),
                    LinksError::Io(error) => NodeError::from_bind(local_addr, Protocol::Tcp, error),
                });
            }
        };
        let seed = RandomState::new().build_hasher().finish();
        let replica = Replica::new(agent.id(), groups::SYNC_INTERVAL, seed);
        let hall = Hall::new(replica, links.weak());
        let clerk = system.spawn(Clerk(hall.clone()));
        if let Err(error) = links.expose(groups::TARGET, &clerk) {
            unreachable!("nothing is exposed yet: {error}");
        }
        let inner = Arc::new(Inner {
            system: system.clone(),
            links,
            agent,
            local_addr,
            founds,
            leaving: watch::Sender::new(false),
            duties: Arc::default(),
            duties_made: AtomicU64::new(0),
            hall: hall.clone(),
        });
        let look = Membership(Arc::downgrade(&inner));
        tokio::spawn(groups::run(hall, clerk, inner.agent.subscribe(), look));
        tokio::spawn(tell_links(Arc::downgrade(&inner), events));
        let suspicions = inner.agent.subscribe();
        tokio::spawn(refusals::watch(Arc::downgrade(&inner), suspicions));
        let root: Weak<dyn Root> = Arc::downgrade(&inner) as Weak<dyn Root>;
        Ok(Self {
            _attachment: system.attach_root(root),
            inner,
        })
    }

    // Who is there.

    /// Which process of which node this is. The boot changes when a node that was declared down comes back.
    pub fn id(&self) -> NodeId {
        self.inner.agent.id()
    }

    /// Where it listens, with TCP and UDP.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// The system that it belongs to.
    pub fn system(&self) -> &System {
        &self.inner.system
    }

    /// The other members, as they are believed at this moment, with those that are down and not yet forgotten.
    pub fn members(&self) -> Vec<MemberInfo> {
        self.inner.agent.members()
    }

    /// What is believed of one other member.
    pub fn member(&self, name: &str) -> Option<MemberInfo> {
        self.inner.agent.member(name)
    }

    /// Changes of membership from now on. A subscriber that falls behind misses the oldest, and can know how many.
    pub fn events(&self) -> Events {
        self.inner.agent.subscribe()
    }

    /// Membership itself: keys, metadata, counters, declaring others down.
    ///
    /// Keys that are added or removed there are those of datagrams; links go on with the keys that the node was started
    /// with.
    pub fn agent(&self) -> &AgentHandle {
        &self.inner.agent
    }

    // Actors.

    /// Makes an actor reachable from other nodes. See [`Links::expose`].
    ///
    /// # Errors
    ///
    /// See [`ExposeError`].
    pub fn expose<M: RemoteMessage>(
        &self,
        name: &str,
        target: &ActorRef<M>,
    ) -> Result<(), ExposeError> {
        self.inner.links.expose(name, target)
    }

    /// Lets an exposed actor take messages of another version as well. See [`Links::expose_also`].
    ///
    /// # Errors
    ///
    /// See [`ExposeError`].
    pub fn expose_also<W: RemoteMessage, M: From<W> + Send + 'static>(
        &self,
        name: &str,
        target: &ActorRef<M>,
    ) -> Result<(), ExposeError> {
        self.inner.links.expose_also::<W, M>(name, target)
    }

    /// Takes a name back. See [`Links::withdraw`].
    pub fn withdraw(&self, name: &str) -> bool {
        self.inner.links.withdraw(name)
    }

    /// A reference to what that boot of that node exposes as `name`. Nothing is checked or sent before it is used. This
    /// node's own id is allowed: the messages then go over loopback.
    pub fn remote<M: RemoteMessage>(&self, node: &NodeId, name: &str) -> RemoteRef<M> {
        self.inner.links.remote(node, name)
    }

    /// What was counted on links since the start.
    pub fn counters(&self) -> &LinkCounters {
        self.inner.links.counters()
    }

    /// Names and groups of the cluster.
    pub fn groups(&self) -> ClusterGroups {
        ClusterGroups::new(self.inner.hall.clone())
    }

    // Work for the cluster.

    /// This node's part in the singleton `name`: the oldest member with the role does its work. Every node that may do it asks once for each
    /// singleton, with the same settings, and does what it is [told](Duty::next).
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn singleton(&self, name: &str, config: SingletonConfig) -> Duty {
        let inner = &self.inner;
        let number = inner.duties_made.fetch_add(1, Ordering::Relaxed);
        let office = (inner.leaving.subscribe(), inner.duties.clone(), number);
        Duty::new(name, inner.agent.clone(), inner.founds, config, office)
    }

    // The end.

    /// Stops the work of singletons, says goodbye to the cluster and waits until the word is spread. The others then end their links to this node;
    /// what this node has queued may be lost. [`shutdown`](Self::shutdown) does it in the better order.
    ///
    /// # Errors
    ///
    /// [`CallError`] when there is nothing to leave.
    pub async fn leave(&self) -> Result<(), CallError> {
        self.inner.hand_over().await;
        self.inner.agent.leave().await
    }

    /// Ends in order: closes the links, after what is queued has been written; says goodbye to the cluster; stops.
    /// Asks in flight, in both directions, end with [`AskError::Disconnected`](treewarden_runtime::AskError::Disconnected).
    pub async fn shutdown(&self) {
        self.inner.end().await;
    }
}

impl Inner {
    /// Gives up the work of singletons, so that others can begin it as soon as they hear of the leave.
    async fn hand_over(&self) {
        self.leaving.send_replace(true);
        if timeout(HAND_OVER_TIME_MAX, self.duties.all_stopped())
            .await
            .is_err()
        {
            tracing::warn!(
                "the work of a singleton did not stop in time; the node leaves all the same"
            );
        }
    }

    async fn end(&self) {
        self.hand_over().await;
        self.links.shutdown().await;
        match timeout(LEAVE_TIME_MAX, self.agent.leave()).await {
            Ok(Ok(())) => {}
            // It has left before, or was declared down.
            Ok(Err(error)) => tracing::debug!(%error, "there was nothing to leave"),
            Err(_) => tracing::warn!("leaving took too long; the others will find this node gone"),
        }
        self.agent.shutdown().await;
    }
}

impl Root for Inner {
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.end())
    }
}

impl Inspect for Inner {
    fn inspect(&self) -> NodeSnapshot {
        let id = self.agent.id();
        let path = format!("/node:{}", id.name);
        let snapshot = |path: String, kind: &'static str, state: State| NodeSnapshot {
            path: path.into(),
            kind: kind.into(),
            state: state_kind(state).into(),
            queue_depth: None,
            handled: None,
            shed: Default::default(),
            restarts: 0,
            last_exits: Vec::new(),
            since_last_exit: None,
            children: Vec::new(),
        };
        let members = self.agent.members();
        let member =
            |info: MemberInfo| snapshot(format!("{path}/{}", info.id.name), "member", info.state);
        let children = members.into_iter().map(member).collect();
        NodeSnapshot {
            children,
            ..snapshot(path.clone(), "node", self.agent.state())
        }
    }
}

/// One word for a member's state.
fn state_kind(state: State) -> &'static str {
    match state {
        State::Alive => "alive",
        State::Suspect => "suspect",
        State::Unreachable => "unreachable",
        State::Down(_) => "down",
    }
}

/// What the task of names and groups asks.
struct Membership(Weak<Inner>);

impl groups::Look for Membership {
    fn look(&self) -> Option<(NodeId, Metadata, Vec<MemberInfo>)> {
        let agent = &self.0.upgrade()?.agent;
        Some((agent.id(), agent.metadata(), agent.members()))
    }
}

/// The members as a directory for links.
struct Members {
    agent: AgentHandle,
    local_addr: SocketAddr,
}

impl Directory for Members {
    fn locate(&self, node: &NodeId) -> Location {
        let me = self.agent.id();
        if *node == me {
            return Location::At(self.local_addr);
        }
        if node.name == me.name {
            // Another boot of this very node.
            return Location::Down;
        }
        let Some(member) = self.agent.member(node.name.as_str()) else {
            return Location::Unknown;
        };
        match member.id.boot.cmp(&node.boot) {
            // What is asked about is news here.
            std::cmp::Ordering::Less => Location::Unknown,
            std::cmp::Ordering::Greater => Location::Down,
            std::cmp::Ordering::Equal if member.state.is_down() => Location::Down,
            std::cmp::Ordering::Equal => match member.record.metadata.stream_addr {
                Some(addr) => Location::At(addr),
                None => Location::Unknown,
            },
        }
    }
}

/// Tells the links what membership finds out, until either ends.
async fn tell_links(node: Weak<Inner>, mut events: Events) {
    let mut missed = 0;
    while let Some(event) = events.next().await {
        let Some(node) = node.upgrade() else {
            return;
        };
        let links = &node.links;
        match event {
            Event::MemberJoined(info) => links.node_superseded(&info.id),
            Event::MemberUnreachable { id, .. } => links.node_unreachable(&id),
            Event::MemberReachable { id } => links.node_reachable(&id),
            Event::MemberDown { id, .. } => links.node_down(&id),
            Event::SelfDown { .. } => links.break_all(),
            Event::Rejoined { id } => links.begin_boot(id),
            _ => {}
        }
        if events.missed() > missed {
            missed = events.missed();
            for member in node.agent.members() {
                links.node_superseded(&member.id);
                match member.state {
                    State::Alive | State::Suspect => links.node_reachable(&member.id),
                    State::Unreachable => links.node_unreachable(&member.id),
                    State::Down(_) => links.node_down(&member.id),
                }
            }
        }
    }
}

fn start_links(
    transport: impl Transport + 'static,
    gate: Option<Gate>,
    identity: LinkIdentity,
    config: LinkConfig,
    directory: Arc<Members>,
) -> Result<Links, LinksError> {
    match gate {
        Some(gate) => {
            let transport = GatedLinks::new(transport, gate);
            Links::start(transport, identity, config, directory)
        }
        None => Links::start(transport, identity, config, directory),
    }
}

/// One port for both protocols.
async fn listen(addr: SocketAddr) -> Result<(TcpListener, UdpSocket), NodeError> {
    let attempts_max = if addr.port() == 0 {
        PORT_ATTEMPTS_MAX
    } else {
        1
    };
    let mut attempt = 1;
    loop {
        let listener = TcpListener::bind(addr)
            .await
            .map_err(|error| NodeError::from_bind(addr, Protocol::Tcp, error))?;
        let both = listener
            .local_addr()
            .map_err(|error| NodeError::from_bind(addr, Protocol::Tcp, error))?;
        match UdpSocket::bind(both).await {
            Ok(socket) => return Ok((listener, socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < attempts_max => {
                attempt += 1;
            }
            Err(error) => return Err(NodeError::from_bind(both, Protocol::Udp, error)),
        }
    }
}

fn link_keys(keyring: &Keyring) -> LinkKeys {
    LinkKeys::derive(keyring.sealing_first().map(crate::datagram::Key::to_bytes))
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.agent.id())
            .field("addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}
