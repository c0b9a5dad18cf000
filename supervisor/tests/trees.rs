//! Subtrees, look-ups, snapshots and administration.

mod common;

use std::time::Duration;

use common::{Log, Order, actor, puppet, settle, system};
use treewarden_runtime::{ActorRef, AddressState, ExitReason, LookupError};
use treewarden_supervisor::{AdminError, Child, Escalation, Restart, Status, Supervisor};

#[tokio::test(start_paused = true)]
async fn references_into_a_subtree_outlive_the_restart_of_its_supervisor() {
    let log = Log::default();
    let sub = Supervisor::one_for_one("sub").intensity(0, Duration::from_secs(5));
    let tree = Supervisor::one_for_one("app")
        .child(sub.child(puppet("a", &log)).child(puppet("b", &log)))
        .start(&system())
        .await
        .expect("the tree starts");
    let (a, b) = (actor(&tree, "sub/a"), actor(&tree, "sub/b"));
    a.tell(Order::Fail).await.expect("a runs");
    let handled = b
        .ask(Order::Count)
        .await
        .expect("the next incarnation answers");
    assert_eq!(log.take(), "+a +b -a -b +a +b");
    assert_eq!((handled, a.incarnation(), b.incarnation()), (1, 2, 2));
    // And again; but that is one more restart than the root tolerates.
    b.tell(Order::Fail).await.expect("b runs");
    assert!(matches!(tree.wait().await, ExitReason::Escalated(_)));
    assert_eq!(log.take(), "-b -a");
    settle().await;
    assert!(a.is_gone() && b.is_gone());
}

#[tokio::test(start_paused = true)]
async fn a_restarted_subtree_has_the_children_of_its_specification() {
    let log = Log::default();
    let sub = Supervisor::one_for_one("sub").intensity(0, Duration::from_secs(5));
    let tree = Supervisor::one_for_one("app")
        .child(sub.child(puppet("a", &log)).child(puppet("b", &log)))
        .start(&system())
        .await
        .expect("the tree starts");
    let sub = tree.supervisor("sub").expect("it is there");
    sub.terminate_child("a").await.expect("a is there");
    sub.delete_child("a").await.expect("a does not run");
    let extra: ActorRef<Order> = sub
        .start_child(puppet("x", &log))
        .await
        .expect("x starts")
        .actor()
        .expect("x is an actor");
    actor(&tree, "sub/b")
        .tell(Order::Fail)
        .await
        .expect("b runs");
    settle().await;
    assert_eq!(log.take(), "+a +b -a +x -b -x +a +b");
    assert!(extra.is_gone());
    let ids: Vec<_> = sub
        .which_children()
        .await
        .expect("it runs")
        .into_iter()
        .map(|child| child.id)
        .collect();
    assert_eq!(ids.iter().map(|id| &**id).collect::<Vec<_>>(), ["a", "b"]);
}

/// Whether a transient subtree that gave up is restarted.
async fn check_escalation(escalation: Escalation, expected: &str) {
    let log = Log::default();
    let sub = Supervisor::one_for_one("sub")
        .intensity(0, Duration::from_secs(5))
        .escalation(escalation);
    let tree = Supervisor::one_for_one("app")
        .child(Child::from(sub.child(puppet("a", &log))).restart(Restart::Transient))
        .start(&system())
        .await
        .expect("the tree starts");
    actor(&tree, "sub/a")
        .tell(Order::Fail)
        .await
        .expect("a runs");
    settle().await;
    assert_eq!(log.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_transient_subtree_that_gave_up_is_restarted() {
    check_escalation(Escalation::Escalated, "+a -a +a").await;
}

#[tokio::test(start_paused = true)]
async fn but_not_when_it_ends_as_otp_does() {
    check_escalation(Escalation::Shutdown, "+a -a").await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_in_a_tree_is_found_by_its_path_from_the_system() {
    let system = system();
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .child(Supervisor::one_for_one("sub").child(puppet("a", &log)))
        .start(&system)
        .await
        .expect("the tree starts");
    let found = system.actor::<Order>("/app/sub/a");
    assert_eq!(found, Ok(actor(&tree, "sub/a")));
    for (path, is_there) in [("/app/sub", true), ("/app", false), ("/apps/a", false)] {
        let error = system.actor::<Order>(path).expect_err("it is no actor");
        assert_eq!(
            matches!(error, LookupError::OtherType { .. }),
            is_there,
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn look_ups_name_what_they_found_instead() {
    let tree = Supervisor::one_for_one("app")
        .child(puppet("a", &Log::default()))
        .child(Supervisor::one_for_one("sub"))
        .start(&system())
        .await
        .expect("the tree starts");
    assert!(matches!(
        tree.actor::<Order>("x"),
        Err(LookupError::NotFound { .. })
    ));
    assert!(matches!(
        tree.actor::<Order>("sub/x"),
        Err(LookupError::NotFound { .. })
    ));
    assert!(matches!(
        tree.actor::<Order>("a/x"),
        Err(LookupError::NotFound { .. })
    ));
    assert!(tree.supervisor("/app/sub").is_ok(), "as logs name it");
    assert!(tree.actor::<Order>("/app/a").is_ok(), "as logs name it");
    assert!(tree.supervisor("/app").is_ok() && tree.actor::<Order>("/app").is_err());
    assert!(tree.supervisor("/apps").is_err());
    let error = tree.actor::<String>("a").expect_err("it takes orders");
    assert!(error.to_string().contains("common::Order"), "{error}");
    let error = tree.actor::<Order>("sub").expect_err("it is no actor");
    assert!(error.to_string().ends_with("it is a supervisor"), "{error}");
    let error = tree.supervisor("a").expect_err("it is no supervisor");
    assert!(error.to_string().contains("common::Order"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_the_whole_tree() {
    let system = system();
    let log = Log::default();
    let tree = Supervisor::rest_for_one("app")
        .child(puppet("a", &log))
        .child(Supervisor::one_for_one("sub").child(puppet("b", &log)))
        .child(Child::future("f", std::future::pending))
        .start(&system)
        .await
        .expect("the tree starts");
    actor(&tree, "sub/b")
        .tell(Order::Panic)
        .await
        .expect("b runs");
    tree.terminate_child("f").await.expect("f is there");
    settle().await;
    assert_eq!(
        system.snapshot().to_string(),
        "test (0 dead letters)\n\
         └─ app [supervisor (rest_for_one)] running\n   \
            ├─ a [actor] running, 0 queued, 0 handled\n   \
            ├─ sub [supervisor (one_for_one)] running\n   \
            │  └─ b [actor] running, 0 queued, 1 handled, 1 restart, last exit 0 s ago: panicked: told to\n   \
            └─ f [future] stopped\n"
    );
}

#[tokio::test(start_paused = true)]
async fn administration_has_the_errors_of_otp() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .child(puppet("a", &log))
        .start(&system())
        .await
        .expect("the tree starts");
    assert!(matches!(
        tree.start_child(puppet("a", &log)).await,
        Err(AdminError::AlreadyStarted(_))
    ));
    assert!(matches!(
        tree.restart_child("a").await,
        Err(AdminError::Running)
    ));
    assert!(matches!(
        tree.delete_child("a").await,
        Err(AdminError::Running)
    ));
    assert!(matches!(
        tree.terminate_child("x").await,
        Err(AdminError::NotFound)
    ));
    let a = actor(&tree, "a");
    tree.terminate_child("a").await.expect("a runs");
    assert_eq!(a.state(), AddressState::Stopped);
    assert!(matches!(
        tree.start_child(puppet("a", &log)).await,
        Err(AdminError::AlreadyPresent)
    ));
    let children = tree.which_children().await.expect("it runs");
    assert_eq!((children.len(), children[0].status), (1, Status::Stopped));
    tree.delete_child("a").await.expect("a does not run");
    settle().await;
    assert!(a.is_gone());
    tree.shutdown().await;
    assert!(matches!(
        tree.which_children().await,
        Err(AdminError::ShuttingDown)
    ));
}

#[tokio::test(start_paused = true)]
async fn dynamic_children_come_and_go() {
    let log = Log::default();
    let tree = Supervisor::dynamic("pool")
        .max_children(2)
        .start(&system())
        .await
        .expect("the tree starts");
    let first = tree
        .start_child(puppet("w", &log))
        .await
        .expect("it starts");
    let second = tree
        .start_child(puppet("w", &log))
        .await
        .expect("ids need not be unique");
    assert_eq!(
        (&**first.path(), &**second.path()),
        ("/pool/w#1", "/pool/w#2")
    );
    assert!(matches!(
        tree.start_child(puppet("w", &log)).await,
        Err(AdminError::MaxChildren)
    ));
    let reference: ActorRef<Order> = second.actor().expect("it is an actor");
    assert_eq!(actor(&tree, "w#2"), reference);
    reference.tell(Order::Fail).await.expect("it runs");
    settle().await;
    assert_eq!(reference.incarnation(), 2);
    assert!(matches!(
        tree.terminate_child("w").await,
        Err(AdminError::Dynamic)
    ));
    tree.terminate_child(&second).await.expect("it runs");
    tree.terminate_child(&second)
        .await
        .expect("it is gone, which is what was asked for");
    assert!(reference.is_gone());
    assert_eq!(tree.count_children().await.expect("it runs").active, 1);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_declines_is_kept_without_an_instance() {
    let tree = Supervisor::one_for_one("app")
        .start(&system())
        .await
        .expect("the tree starts");
    let declining = Child::actor_or_ignore("a", |_| async { Ok(None::<common::Puppet>) });
    assert!(matches!(
        tree.start_child(declining).await,
        Err(AdminError::Declined)
    ));
    assert_eq!(
        tree.which_children().await.expect("it runs")[0].status,
        Status::Stopped
    );
    assert_eq!(actor(&tree, "a").state(), AddressState::Stopped);
}

#[tokio::test(start_paused = true)]
async fn the_shutdown_of_a_subtree_has_its_own_report() {
    let log = Log::default();
    let sub = Child::from(Supervisor::one_for_one("sub").child(puppet("a", &log)));
    let tree = Supervisor::one_for_one("app")
        .child(sub.restart(Restart::Transient))
        .start(&system())
        .await
        .expect("the tree starts");
    let sub = tree.supervisor("sub").expect("it is there");
    for _ in 0..2 {
        actor(&tree, "sub/a")
            .tell(Order::Busy(Duration::from_secs(60)))
            .await
            .expect("a runs");
        settle().await;
        let report = sub.shutdown().await;
        assert_eq!(
            (report.took, report.stalled.len()),
            (Duration::from_secs(5), 1),
            "{report}"
        );
        settle().await;
        // For its parent it has ended by itself, with `Shutdown`: a transient one stays down.
        tree.restart_child("sub").await.expect("it starts again");
    }
    assert!(tree.shutdown().await.is_clean());
}
