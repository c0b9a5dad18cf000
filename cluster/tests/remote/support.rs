//! Nodes for tests, and a wire between them that can be cut.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use treewarden_cluster::transport::{Credentials, Tcp, Tls};
use treewarden_cluster::{
    membership::{BootUid, NodeId, NodeName},
    remote::{
        Directory, LinkConfig, LinkCount, LinkIdentity, LinkKeys, Links, Location, RemoteMessage,
        RemoteRef,
    },
};
use treewarden_runtime::{Actor, ActorRef, Context, Failure, Reply, System};

/// Nothing here takes long; whoever waits longer waits for ever.
const SAFETY_NET: Duration = Duration::from_secs(20);

pub(crate) async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(SAFETY_NET, what.into_future())
        .await
        .expect("it takes much longer than it may")
}

/// Waits for something that only counters show.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Msg {
    Note(u64),
    Noted(Reply<Vec<u64>>),
    Echo(String, Reply<String>),
    Forget(Reply<()>),
    Crash(Reply<()>),
    Fail,
    Hold(Reply<u64>),
    Big(u32, Reply<Vec<u8>>),
    Blob(Vec<u8>),
    Stop,
}

impl RemoteMessage for Msg {
    const NAME: &'static str = "test/msg";
    const VERSION: u32 = 1;
}

/// Notes what it is told. With a gate, each note takes a permit.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) notes: Vec<u64>,
    pub(crate) held: Vec<Reply<u64>>,
    pub(crate) gate: Option<Arc<Semaphore>>,
}

impl Actor for Recorder {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        if let (Msg::Note(_) | Msg::Blob(_), Some(gate)) = (&msg, &self.gate) {
            gate.acquire().await?.forget();
        }
        match msg {
            Msg::Note(number) => self.notes.push(number),
            Msg::Noted(reply) => reply.send(self.notes.clone()),
            Msg::Echo(text, reply) => reply.send(text),
            Msg::Forget(reply) => drop(reply),
            Msg::Crash(_reply) => panic!("asked to crash"),
            Msg::Fail => return Err(Failure::msg("asked to fail")),
            Msg::Hold(reply) => self.held.push(reply),
            Msg::Big(bytes, reply) => reply.send(vec![7; bytes as usize]),
            Msg::Blob(bytes) => self.notes.push(bytes.len() as u64),
            Msg::Stop => cx.stop(),
        }
        Ok(())
    }
}

/// Where everybody is.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<HashMap<NodeId, Location>>>);

impl World {
    pub(crate) fn place(&self, id: &NodeId, location: Location) {
        self.0.lock().unwrap().insert(id.clone(), location);
    }
}

impl Directory for World {
    fn locate(&self, node: &NodeId) -> Location {
        let world = self.0.lock().unwrap();
        world.get(node).copied().unwrap_or(Location::Unknown)
    }
}

pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) system: System,
    pub(crate) links: Links,
    pub(crate) world: World,
}

pub(crate) fn id(name: &str, boot: u64) -> NodeId {
    NodeId {
        name: NodeName::new(name).unwrap(),
        boot: BootUid(boot),
    }
}

/// Everything that can be different about a node.
pub(crate) struct Spec {
    pub(crate) cluster: &'static str,
    pub(crate) secret: u8,
    pub(crate) config: LinkConfig,
    /// `None`: links are in the clear.
    pub(crate) credentials: Option<Credentials>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            cluster: "test",
            secret: 1,
            config: LinkConfig {
                backoff_min: Duration::from_millis(1),
                backoff_max: Duration::from_millis(20),
                close_timeout: Duration::from_millis(500),
                ..LinkConfig::default()
            },
            credentials: None,
        }
    }
}

impl Node {
    pub(crate) async fn start(world: &World, name: &str) -> Self {
        Self::start_with(world, id(name, 1), Spec::default()).await
    }

    pub(crate) async fn start_with(world: &World, id: NodeId, spec: Spec) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let identity = LinkIdentity {
            id: id.clone(),
            cluster: spec.cluster.into(),
            keys: LinkKeys::derive([[spec.secret; 32]]),
        };
        let directory = Arc::new(world.clone());
        let links = match spec.credentials {
            Some(credentials) => Links::start(
                Tls::new(listener, credentials),
                identity,
                spec.config,
                directory,
            ),
            None => Links::start(Tcp::new(listener), identity, spec.config, directory),
        }
        .unwrap();
        world.place(&id, Location::At(addr));
        Self {
            system: System::new(id.name.as_str()),
            id,
            links,
            world: world.clone(),
        }
    }

    /// Spawns a recorder here, and exposes it.
    pub(crate) fn expose(&self, name: &str, recorder: Recorder) -> ActorRef<Msg> {
        let actor = self.system.spawn(recorder);
        self.links.expose(name, &actor).unwrap();
        actor
    }

    pub(crate) fn remote(&self, node: &Node, name: &str) -> RemoteRef<Msg> {
        self.links.remote(&node.id, name)
    }

    pub(crate) fn count(&self, what: LinkCount) -> u64 {
        self.links.counters().count(what)
    }
}

/// Two nodes, of which the second exposes a recorder as "r".
pub(crate) async fn pair() -> (Node, Node, RemoteRef<Msg>) {
    let world = World::default();
    let (a, b) = (
        Node::start(&world, "a").await,
        Node::start(&world, "b").await,
    );
    b.expose("r", Recorder::default());
    let r = a.remote(&b, "r");
    (a, b, r)
}

/// Passes bytes on between whoever connects and one node, until it is cut or frozen.
pub(crate) struct Wire {
    state: watch::Sender<WireState>,
}

#[derive(Clone, Copy, PartialEq)]
enum WireState {
    Works,
    /// Connections are reset, and new ones are refused.
    Cut,
    /// Bytes are read no more.
    Frozen,
}

impl Wire {
    /// Puts a wire in front of `node`.
    pub(crate) async fn to(node: &Node) -> Self {
        let behind = node.links.local_addr();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (state, watched) = watch::channel(WireState::Works);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = watched.clone();
                if *state.borrow() == WireState::Cut {
                    continue;
                }
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(behind).await.unwrap();
                    let now = tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                        now = state.wait_for(|state| *state != WireState::Works) => *now.unwrap(),
                    };
                    if now == WireState::Frozen {
                        // The connections stay, and nothing moves.
                        let _ = state.wait_for(|state| *state == WireState::Cut).await;
                    }
                });
            }
        });
        node.world.place(&node.id, Location::At(addr));
        Self { state }
    }

    pub(crate) fn cut(&self) {
        self.state.send_replace(WireState::Cut);
    }

    pub(crate) fn freeze(&self) {
        self.state.send_replace(WireState::Frozen);
    }

    pub(crate) fn mend(&self) {
        self.state.send_replace(WireState::Works);
    }
}
