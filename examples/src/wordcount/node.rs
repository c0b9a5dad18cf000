//! One node of the word count: its supervision tree.
//!
//! ```text
//! node (one_for_one)
//! ├─ workers (one_for_one): worker-1, worker-2, ...
//! ├─ foreman
//! └─ coordinator: works while this node is the one whose turn it is
//! ```
//!
//! The coordinator is a child like any other: when it crashes or its node dies, the next one, here or on another node,
//! begins with what the archives of the nodes hold.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use treewarden::{
    cluster::{
        Node, NodeConfig,
        node::{Key, Preset},
        singleton::{SingletonConfig, Verdict},
        transport::{Credentials, Gate},
    },
    runtime::{Failure, System},
    supervisor::{Child, Supervisor, Tree},
};

use super::{
    archive::SharedArchive,
    coordinator::{self, Outcome},
    crew::Crew,
    messages::{FOREMAN, WorkerMsg, worker_name},
    neighbours::{self, Listener},
    protocol::{Control, Event, EventSink, Job, Settings},
    worker::{Foreman, Worker},
};

/// The cluster of all word counts; their keys keep them apart.
pub(super) const CLUSTER: &str = "wordcount";

/// Workers may crash so often within [`CRASH_PERIOD`], all together, before the node gives up. Chaos is not to reach it.
const CRASHES_MAX: u32 = 100;

/// News of nodes that wait for the coordinator.
const PEERS_WAITING_MAX: usize = 64;

/// See [`CRASHES_MAX`].
const CRASH_PERIOD: Duration = Duration::from_secs(10);

/// How long the next coordinator waits when the node of the last one was declared dead. Two at once would waste work, and do
/// no other harm, so this is short.
const MARGIN: Duration = Duration::from_secs(1);

/// The name of the singleton.
const COORDINATOR: &str = "coordinator";

/// Starts the workers of a node, and returns the tree with the crew in it.
///
/// # Errors
///
/// If a child does not start. Nothing is left then.
pub async fn start(
    system: &System,
    workers: u32,
    pace: Duration,
    events: &EventSink,
) -> Result<(Tree, Crew), Failure> {
    let archive = SharedArchive::default();
    let children = (1..=workers).map(|number| {
        let worker = (archive.clone(), pace);
        self::worker(number, worker, events.clone())
    });
    let tree = Supervisor::one_for_one("node")
        .child(
            Supervisor::one_for_one("workers")
                .intensity(CRASHES_MAX, CRASH_PERIOD)
                .children(children),
        )
        .child(Child::actor(FOREMAN, {
            let archive = archive.clone();
            move |_init| {
                let foreman = Foreman::new(workers, archive.clone());
                async { Ok(foreman) }
            }
        }))
        .start(system)
        .await?;
    let worker = |number| tree.actor(&format!("workers/{}", worker_name(number)));
    let crew = Crew::Here {
        foreman: tree.actor(FOREMAN)?,
        workers: (1..=workers).map(worker).collect::<Result<_, _>>()?,
    };
    Ok((tree, crew))
}

fn worker(number: u32, (archive, pace): (SharedArchive, Duration), events: EventSink) -> Child {
    Child::actor(worker_name(number), move |init| {
        if let Some(reason) = init.last_exit() {
            events(Event::Restarted {
                worker: worker_name(number),
                incarnation: init.incarnation(),
                reason: reason.to_string(),
            });
        }
        let worker = Worker::new(archive.clone(), pace);
        async { Ok(worker) }
    })
}

/// What a coordinator needs. Cloning it is cheap, but for the names of the files.
#[derive(Clone)]
struct Coordination {
    node: Arc<Node>,
    home: Crew,
    job: Job,
    /// Nobody is older than the node that the others joined.
    founds: bool,
    events: EventSink,
}

impl Coordination {
    /// Coordinates whenever it is this node's turn, until the node ends.
    async fn run(self) -> Result<(), Failure> {
        type Term = Pin<Box<dyn Future<Output = Result<Outcome, Failure>> + Send>>;

        let mut config = SingletonConfig::new(MARGIN);
        if self.founds {
            config.settling = Duration::ZERO;
        }
        let mut duty = self.node.singleton(COORDINATOR, config);
        let mut term: Option<Term> = None;
        loop {
            let ended = async {
                match &mut term {
                    Some(term) => term.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                verdict = duty.next() => match verdict {
                    Some(Verdict::Begin(at)) => term = Some(Box::pin(self.clone().coordinate(at.epoch))),
                    Some(Verdict::Stop) => {
                        term = None;
                        duty.stopped();
                    }
                    None => return Ok(()),
                },
                ended = ended => {
                    term = None;
                    if let Err(failure) = ended {
                        (self.events)(Event::Failed(format!("{failure:#}")));
                        return Err(failure);
                    }
                }
            }
        }
    }

    /// One time in office.
    async fn coordinate(self, epoch: u64) -> Result<Outcome, Failure> {
        let (peers, heard) = mpsc::channel(PEERS_WAITING_MAX);
        let listener = Listener::Coordinator {
            peers: &peers,
            home: &self.home,
        };
        let membership = self.node.events();
        tokio::select! {
            ended = coordinator::run(self.job, epoch, heard, self.events) => ended,
            () = neighbours::watch(&self.node, membership, listener) => {
                Err(Failure::msg("its membership ended"))
            }
        }
    }
}

fn coordinator(coordination: Coordination) -> Child {
    Child::task(COORDINATOR, move |cx| {
        let coordination = coordination.clone();
        async move {
            cx.ready();
            tokio::select! {
                ended = coordination.run() => ended,
                () = cx.cancelled() => Ok(()),
            }
        }
    })
}

/// Runs a node until `stop` resolves or its sender is dropped, and does what `controls` say.
///
/// # Errors
///
/// If the node cannot be started, or its tree ends by itself.
pub async fn run(
    settings: Settings,
    events: EventSink,
    mut controls: mpsc::Receiver<Control>,
    stop: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let system = System::new(settings.name.clone());
    let secrets = &settings.secrets;
    let credentials = Credentials::from_pem(
        secrets.authority.as_bytes(),
        secrets.certificate.as_bytes(),
        secrets.private_key.as_bytes(),
    )?;
    let founds = settings.seeds.is_empty();
    let gate = Gate::new();
    let mut config = NodeConfig::new(CLUSTER, &*settings.name)
        .listen(settings.listen)
        .seeds(settings.seeds)
        .key(Key::from_bytes(secrets.gossip_key))
        .credentials(credentials)
        .gate(gate.clone())
        .preset(Preset::Local);
    if settings.is_plaintext {
        config = config.plaintext_links_on_loopback();
    }
    let node = Arc::new(Node::start(&system, config).await?);
    // Before anybody can be told of this node, so that nothing is missed.
    let membership = node.events();
    events(Event::Listening(node.local_addr()));

    let (tree, crew) = start(&system, settings.workers, settings.pace, &events).await?;
    expose(&node, &crew)?;
    let coordination = Coordination {
        node: node.clone(),
        home: crew.clone(),
        job: settings.job,
        founds,
        events: events.clone(),
    };
    tree.start_child(coordinator(coordination)).await?;

    let watching = neighbours::watch(&node, membership, Listener::Launcher(&events));
    let controlled = async {
        while let Some(control) = controls.recv().await {
            obey(control, &gate, &crew);
        }
        // The input has ended, and `stop` says so.
        std::future::pending::<()>().await
    };
    let ended = tokio::select! {
        () = controlled => Ok(()),
        () = watching => Err(Failure::msg("its membership ended")),
        reason = tree.wait() => Err(Failure::msg(format!("its supervision tree ended: {reason}"))),
        _ = stop => Ok(()),
    };
    tree.shutdown().await;
    node.shutdown().await;
    ended
}

fn obey(control: Control, gate: &Gate, crew: &Crew) {
    match (control, crew) {
        (Control::Cut(addrs), _) => addrs.into_iter().for_each(|addr| gate.cut(addr)),
        (Control::Heal, _) => gate.heal_all(),
        (Control::Crash(number), Crew::Here { workers, .. }) => {
            let worker = (number as usize).checked_sub(1);
            if let Some(worker) = worker.and_then(|index| workers.get(index)) {
                // A worker whose mailbox is full has enough to do.
                let _ = worker.try_tell(WorkerMsg::Crash);
            }
        }
        (Control::Crash(_), Crew::There { .. }) => {}
    }
}

/// Lets the other nodes reach the crew.
fn expose(node: &Node, crew: &Crew) -> Result<(), Failure> {
    if let Crew::Here { foreman, workers } = crew {
        node.expose(FOREMAN, foreman)?;
        for (number, worker) in (1..).zip(workers) {
            node.expose(&worker_name(number), worker)?;
        }
    }
    Ok(())
}
