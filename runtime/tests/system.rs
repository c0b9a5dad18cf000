//! What a system owns: names, pictures, its end.
#![allow(missing_docs)]

mod common;

use std::sync::Arc;

use common::{Log, Msg, Puppet, soon, system};
use futures_util::poll;
use treewarden_runtime::{
    Actor, Context, Failure, LookupError, Mailbox, NameTaken, Placement, Reply, SpawnError,
    SpawnOptions, System,
};

#[tokio::test(start_paused = true)]
async fn a_name_finds_its_actor_until_the_actor_is_gone() {
    let system = system();
    let actor = system.spawn_named("puppet", Puppet::default()).unwrap();
    assert_eq!(&*actor.path(), "/puppet");
    assert_eq!(system.registry().lookup::<Msg>("puppet").unwrap(), actor);
    let taken = system.spawn_named("puppet", Puppet::default());
    assert_eq!(
        taken.unwrap_err(),
        NameTaken {
            name: "puppet".into()
        }
    );
    let other_type = system.registry().lookup::<u8>("puppet").unwrap_err();
    assert!(matches!(other_type, LookupError::OtherType { .. }));
    assert!(other_type.to_string().contains("u8"));

    system.registry().register("alias", &actor).unwrap();
    actor.stop();
    soon(actor.closed()).await;
    for name in ["puppet", "alias"] {
        let not_found = system.registry().lookup::<Msg>(name).unwrap_err();
        assert!(matches!(not_found, LookupError::NotFound { .. }));
    }
    system.spawn_named("puppet", Puppet::default()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_systems_know_nothing_of_each_other() {
    let (one, other) = (System::new("one"), System::new("other"));
    one.spawn_named("puppet", Puppet::default()).unwrap();
    other.spawn_named("puppet", Puppet::default()).unwrap();
    assert_eq!(one.snapshot().roots.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_state_queue_and_ends() {
    let system = system();
    let actor = system.spawn_named("puppet", Puppet::default()).unwrap();
    actor.tell(Msg::Wait(Arc::default())).await.unwrap();
    tokio::task::yield_now().await;
    actor.tell(Msg::Add(1)).await.unwrap();
    let snapshot = system.snapshot();
    let node = snapshot.find("/puppet").unwrap();
    assert_eq!((&*node.kind, &*node.state), ("actor", "running"));
    assert_eq!((node.queue_depth, node.handled), (Some(1), Some(1)));
    assert_eq!(
        snapshot.to_string(),
        "test (0 dead letters)\n└─ puppet [actor] running, 1 queued, 1 handled\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_all_actors_newest_first_and_kills_what_does_not_stop() {
    let system = system();
    let log = Log::default();
    let first = system.spawn(Puppet::logging(&log));
    let second = system.spawn(Puppet::logging(&log));
    second.tell(Msg::Wait(Arc::default())).await.unwrap();
    tokio::task::yield_now().await;
    let began = tokio::time::Instant::now();
    system.shutdown().await;
    assert_eq!(began.elapsed().as_secs(), 5);
    assert!(first.is_gone() && second.is_gone());
    assert_eq!(
        log.lines(),
        [
            "started 1",
            "started 1",
            "waiting",
            "dropped",
            "stopped shutdown",
            "dropped"
        ]
    );
    let late = system.spawn(Puppet::logging(&log));
    late.try_tell(Msg::Note(1)).ok();
    assert_eq!(soon(late.closed()).await.kind(), "shutdown");
    assert!(!log.lines().contains(&"note 1".to_owned()));
    assert!(system.snapshot().roots.is_empty());
}

/// Blocks its thread in each message until it is released.
struct Blocks(std::sync::mpsc::Receiver<()>);

impl Actor for Blocks {
    type Msg = Reply<std::thread::ThreadId>;
    type Error = Failure;

    async fn handle(&mut self, msg: Self::Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.recv()?;
        msg.send(std::thread::current().id());
        Ok(())
    }
}

#[tokio::test]
async fn what_blocks_elsewhere_does_not_block_its_neighbours() {
    let own = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let system = System::builder("test")
        .dispatcher("slow", own.handle().clone())
        .build();
    for placement in [Placement::Dispatcher("slow".into()), Placement::OwnThread] {
        let (release, blocked) = std::sync::mpsc::channel();
        let options = SpawnOptions::new().placement(placement.clone());
        let blocks = system.spawn_with(options, Blocks(blocked)).unwrap();
        let ask = blocks.ask(|reply| reply);
        tokio::pin!(ask);
        assert!(poll!(&mut ask).is_pending());
        // This test runs on one thread; if the blocking handler were on it, this would never be answered.
        let neighbour = system.spawn(Puppet::default());
        assert_eq!(neighbour.ask(Msg::Total).await, Ok(0));
        release.send(()).unwrap();
        assert_ne!(
            ask.await.unwrap(),
            std::thread::current().id(),
            "{placement:?}"
        );
        blocks.stop();
        assert_eq!(blocks.closed().await.kind(), "normal");
    }
    own.shutdown_background();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_spawned_says_why() {
    let system = system();
    let unknown = system.spawn_with(
        SpawnOptions::new().placement(Placement::Dispatcher("gpu".into())),
        Puppet::default(),
    );
    assert!(matches!(unknown, Err(SpawnError::NoSuchDispatcher { .. })));
    let mailbox = Mailbox::bounded(8).weigh(100, |_: &u8| 1);
    let wrong = system.spawn_with(SpawnOptions::new().mailbox(mailbox), Puppet::default());
    assert!(matches!(wrong, Err(SpawnError::WeighsOtherMessages(_))));
    assert!(system.snapshot().roots.is_empty());
}
