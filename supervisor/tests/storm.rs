//! Restarts, calls and shutdown at the same time, on several threads.

mod common;

use std::time::Duration;

use common::{Log, Order, actor, puppet, settle, system};
use treewarden_runtime::TellError;
use treewarden_supervisor::{AdminError, Restart, Supervisor};

const CHILDREN: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const CRASHES: u64 = 200;
/// Only a deadlock takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn crashes_on_all_sides_lose_no_incarnation_and_no_call() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .intensity(u32::MAX, Duration::from_secs(3600))
        .children(CHILDREN.map(|id| puppet(id, &log)))
        .child(Supervisor::dynamic("pool"))
        .start(&system())
        .await
        .expect("the tree starts");
    let storm = async {
        let mut tasks = tokio::task::JoinSet::new();
        for id in CHILDREN {
            let target = actor(&tree, id);
            tasks.spawn(async move {
                for crash in 0..CRASHES {
                    let order = if crash % 2 == 0 {
                        Order::Panic
                    } else {
                        Order::Fail
                    };
                    target.tell(order).await.expect("it runs or restarts");
                }
                // Everything before this has been handled, each time by another incarnation.
                let handled = target
                    .ask(Order::Count)
                    .await
                    .expect("the last incarnation answers");
                assert_eq!((handled, target.incarnation()), (1, CRASHES + 1));
            });
        }
        let pool = tree.supervisor("pool").expect("it is there");
        for _ in 0..4 {
            let (tree, pool, log) = (tree.clone(), pool.clone(), log.clone());
            tasks.spawn(async move {
                for _ in 0..50 {
                    let child = pool
                        .start_child(puppet("w", &log).restart(Restart::Temporary))
                        .await
                        .expect("it starts");
                    let worker = child.actor::<Order>().expect("it is an actor");
                    worker.tell(Order::Panic).await.expect("it runs");
                    pool.terminate_child(&child)
                        .await
                        .expect("it ends, one way or the other");
                    assert!(matches!(
                        worker.try_tell(Order::Stop),
                        Err(TellError::Gone(_) | TellError::Stopped(_))
                    ));
                    assert_eq!(
                        tree.count_children().await.expect("it runs").specs,
                        CHILDREN.len() + 1
                    );
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no task panics");
        }
        assert_eq!(pool.count_children().await.expect("it runs").active, 0);
    };
    tokio::time::timeout(PATIENCE, storm)
        .await
        .expect("no deadlock");
    let report = tokio::time::timeout(PATIENCE, tree.shutdown())
        .await
        .expect("no deadlock");
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_in_the_middle_of_it_ends_everything() {
    for _ in 0..20 {
        let log = Log::default();
        let tree = Supervisor::one_for_all("app")
            .intensity(u32::MAX, Duration::from_secs(3600))
            .children(CHILDREN.map(|id| puppet(id, &log)))
            .start(&system())
            .await
            .expect("the tree starts");
        let mut tasks = tokio::task::JoinSet::new();
        for id in CHILDREN {
            let (target, tree) = (actor(&tree, id), tree.clone());
            tasks.spawn(async move {
                // Until the address is gone.
                while target.tell(Order::Fail).await.is_ok() {
                    match tree.restart_child(id).await {
                        Ok(_)
                        | Err(
                            AdminError::Running | AdminError::Restarting | AdminError::ShuttingDown,
                        ) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        // Some restarts later, wherever they are just then.
        settle().await;
        tokio::time::timeout(PATIENCE, tree.shutdown())
            .await
            .expect("no deadlock");
        while let Some(done) = tokio::time::timeout(PATIENCE, tasks.join_next())
            .await
            .expect("no deadlock")
        {
            done.expect("no task panics");
        }
        assert!(CHILDREN.iter().all(|id| tree.actor::<Order>(id).is_err()));
    }
}

#[tokio::test]
async fn twenty_thousand_dynamic_actors_start_crash_and_stop() {
    const MANY: usize = 20_000;
    let log = Log::default();
    let pool = Supervisor::dynamic("pool")
        .intensity(u32::MAX, Duration::from_secs(3600))
        .start(&system())
        .await
        .expect("the tree starts");
    let mut actors = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        let child = pool
            .start_child(puppet("w", &log))
            .await
            .expect("it starts");
        actors.push(child.actor::<Order>().expect("it is an actor"));
    }
    for actor in &actors {
        actor.tell(Order::Fail).await.expect("it runs");
    }
    for actor in &actors {
        actor
            .ask(Order::Count)
            .await
            .expect("the next incarnation answers");
    }
    assert!(actors.iter().all(|actor| actor.incarnation() == 2));
    assert_eq!(pool.count_children().await.expect("it runs").active, MANY);
    assert!(pool.shutdown().await.is_clean());
}
