//! Partitions: routing by key, restarts, resizes.

mod common;

use std::time::Duration;

use common::{Log, Order, faulty, puppet, settle, system};
use treewarden_supervisor::{PartitionSupervisor, Partitions, Supervisor, Tree};
use treewarden_testkit::FaultPlan;

const IDS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

async fn start(log: &Log, partitions: usize) -> (Tree, Partitions<Order>) {
    let log = log.clone();
    let plan = PartitionSupervisor::new("parts", partitions, move |number| {
        puppet(IDS[number], &log).drain(true)
    })
    .with(|supervisor| supervisor.intensity(0, Duration::from_secs(5)));
    let tree = Supervisor::one_for_one("app")
        .intensity(10, Duration::from_secs(5))
        .child(plan.child())
        .start(&system())
        .await
        .expect("the tree starts");
    let partitions = plan.find(&tree).expect("they are there");
    (tree, partitions)
}

#[tokio::test(start_paused = true)]
async fn a_key_belongs_to_one_partition_also_after_a_crash() {
    let log = Log::default();
    let (_tree, partitions) = start(&log, 4).await;
    assert_eq!(log.take(), "+0 +1 +2 +3");
    let of = |key: &str| partitions.of(key).id();
    for key in ["a", "b", "c"] {
        assert_eq!(of(key), of(key));
    }
    let distinct: std::collections::HashSet<_> =
        (0..100).map(|key| partitions.of(&key).id()).collect();
    assert_eq!(distinct.len(), 4);
    let a = partitions.of("a");
    a.tell(Order::Fail).await.expect("it runs");
    settle().await;
    assert_eq!(partitions.of("a").id(), a.id());
    assert_eq!(a.ask(Order::Count).await.expect("it runs again"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_resize_starts_and_drains_partitions_and_outlives_a_restart_of_the_supervisor() {
    let log = Log::default();
    let (tree, partitions) = start(&log, 2).await;
    log.take();
    partitions.resize(5).await.expect("they start");
    assert_eq!(log.take(), "+2 +3 +4");
    assert_eq!(partitions.count(), 5);
    let last = partitions.all()[4].clone();
    last.tell(Order::Note("drained")).await.expect("it runs");
    partitions.resize(3).await.expect("they stop");
    assert_eq!(log.take(), "drained -4 -3");
    assert!(last.is_gone());
    for key in 0..100 {
        assert!(partitions.all().contains(&partitions.of(&key)));
    }
    // The supervisor gives up at the first failure, and is restarted with three.
    partitions.of("a").tell(Order::Fail).await.expect("it runs");
    settle().await;
    let restarted = log.take();
    assert!(restarted.ends_with("+0 +1 +2"), "{restarted}");
    let counts = tree.supervisor("parts").expect("it is there");
    assert_eq!(counts.count_children().await.expect("it runs").active, 3);
    assert_eq!(
        partitions.of("a").ask(Order::Count).await.expect("it runs"),
        1
    );
    partitions.resize(0).await.expect("they stop");
    assert_eq!(partitions.count(), 1, "there is always one");
}

#[tokio::test(start_paused = true)]
async fn a_resize_that_fails_leaves_what_there_is() {
    let log = Log::default();
    let faults = FaultPlan::seeded(1).fail_starts(2..=2);
    let plan =
        PartitionSupervisor::new("parts", 1, move |number| faulty(IDS[number], &log, &faults));
    let tree = Supervisor::one_for_one("app")
        .child(plan.child())
        .start(&system())
        .await
        .expect("the tree starts");
    let partitions = plan.find::<Order>(&tree).expect("they are there");
    assert!(partitions.resize(3).await.is_err());
    assert_eq!(partitions.count(), 1);
    let sub = tree.supervisor("parts").expect("it is there");
    assert_eq!(sub.count_children().await.expect("it runs").specs, 1);
    partitions.resize(3).await.expect("now they start");
    assert_eq!(partitions.count(), 3);
}
