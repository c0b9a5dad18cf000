//! One node of the word count: its supervision tree.
//!
//! ```text
//! node (one_for_one)
//! ├─ workers (one_for_one): worker-1, worker-2, ...
//! ├─ foreman
//! └─ coordinator, on the first node
//! ```
//!
//! The coordinator is temporary and significant: it holds the job in memory, so a new one could only begin anew. Its end
//! ends the tree, and with it the node, and the launcher hears of it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};
use treewarden::{
    cluster::{
        Node, NodeConfig,
        node::{Key, Preset},
        transport::Credentials,
    },
    runtime::{Failure, System},
    supervisor::{AutoShutdown, Child, Restart, Supervisor, Tree},
};

use super::{
    coordinator::{self, News, Peer},
    crew::Crew,
    ledger::HOME,
    messages::{FOREMAN, worker_name},
    neighbours,
    protocol::{Event, EventSink, Job, Settings},
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

/// What a coordinator is started with.
pub struct Coordination {
    /// What to do.
    pub job: Job,
    /// What it hears of nodes, its own included.
    pub peers: mpsc::Receiver<Peer>,
}

/// Starts the tree of a node, and returns it with the crew in it.
///
/// # Errors
///
/// If a child does not start. Nothing is left then.
pub async fn start(
    system: &System,
    workers: u32,
    coordination: Option<Coordination>,
    events: &EventSink,
) -> Result<(Tree, Crew), Failure> {
    let children = (1..=workers).map(|number| worker(number, events.clone()));
    let mut supervisor = Supervisor::one_for_one("node")
        .auto_shutdown(AutoShutdown::AnySignificant)
        .child(
            Supervisor::one_for_one("workers")
                .intensity(CRASHES_MAX, CRASH_PERIOD)
                .children(children),
        )
        .child(Child::actor(FOREMAN, move |_init| async move {
            Ok(Foreman::new(workers))
        }));
    if let Some(coordination) = coordination {
        supervisor = supervisor.child(coordinator(coordination, events.clone()));
    }
    let tree = supervisor.start(system).await?;
    let worker = |number| tree.actor(&format!("workers/{}", worker_name(number)));
    let crew = Crew::Here {
        foreman: tree.actor(FOREMAN)?,
        workers: (1..=workers).map(worker).collect::<Result<_, _>>()?,
    };
    Ok((tree, crew))
}

fn worker(number: u32, events: EventSink) -> Child {
    Child::actor(worker_name(number), move |init| {
        if let Some(reason) = init.last_exit() {
            events(Event::Restarted {
                worker: worker_name(number),
                incarnation: init.incarnation(),
                reason: reason.to_string(),
            });
        }
        async { Ok(Worker) }
    })
}

fn coordinator(coordination: Coordination, events: EventSink) -> Child {
    // A temporary child has one incarnation, so this is taken once.
    let coordination = Mutex::new(Some(coordination));
    Child::task("coordinator", move |cx| {
        let coordination = coordination
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        let events = events.clone();
        async move {
            cx.ready();
            let Some(Coordination { job, peers }) = coordination else {
                return Err(Failure::msg("a job is coordinated once"));
            };
            let counted = tokio::select! {
                counted = coordinator::run(job, peers, events.clone()) => counted,
                () = cx.cancelled() => return Ok(()),
            };
            if let Err(failure) = &counted {
                events(Event::Failed(format!("{failure:#}")));
                return counted;
            }
            // The node goes on until it is told to stop.
            cx.cancelled().await;
            Ok(())
        }
    })
    .restart(Restart::Temporary)
    .significant(true)
}

/// Runs a node until `stop` resolves or its sender is dropped.
///
/// # Errors
///
/// If the node cannot be started, or its tree ends by itself.
pub async fn run(
    settings: Settings,
    events: EventSink,
    stop: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let system = System::new(settings.name.clone());
    let secrets = &settings.secrets;
    let credentials = Credentials::from_pem(
        secrets.authority.as_bytes(),
        secrets.certificate.as_bytes(),
        secrets.private_key.as_bytes(),
    )?;
    let config = NodeConfig::new(CLUSTER, &*settings.name)
        .listen(settings.listen)
        .seeds(settings.seeds)
        .key(Key::from_bytes(secrets.gossip_key))
        .credentials(credentials)
        .preset(Preset::Local);
    let node = Arc::new(Node::start(&system, config).await?);
    // Before anybody can be told of this node, so that nothing is missed.
    let membership = node.events();
    events(Event::Listening(node.local_addr()));

    let (peers, heard) = mpsc::channel(PEERS_WAITING_MAX);
    let coordination = settings.job.map(|job| Coordination { job, peers: heard });
    let (tree, crew) = start(&system, settings.workers, coordination, &events).await?;
    expose(&node, &crew)?;
    let home = News::Joined {
        name: settings.name,
        crew,
    };
    // Fails on a node that coordinates nothing.
    let _ = peers
        .send(Peer {
            node: HOME,
            news: home,
        })
        .await;

    let watching = neighbours::watch(&node, membership, &peers, &events);
    let ended = tokio::select! {
        () = watching => Err(Failure::msg("its membership ended")),
        reason = tree.wait() => Err(Failure::msg(format!("its supervision tree ended: {reason}"))),
        _ = stop => Ok(()),
    };
    tree.shutdown().await;
    node.shutdown().await;
    ended
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
