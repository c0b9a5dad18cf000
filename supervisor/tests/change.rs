//! Other settings and specifications at run time.

mod common;

use std::time::Duration;

use common::{Log, Order, actor, puppet, settle, system};
use treewarden_supervisor::{AdminError, Child, Restart, Shutdown, Status, Supervisor};

#[tokio::test(start_paused = true)]
async fn a_change_touches_nothing_that_runs_and_counts_from_the_next_end_on() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .children(["a", "b", "c"].map(|id| puppet(id, &log)))
        .start(&system())
        .await
        .expect("the tree starts");
    let (a, c) = (actor(&tree, "a"), actor(&tree, "c"));
    log.take();
    let changed = tree
        .change(
            Supervisor::one_for_all("app")
                .intensity(10, Duration::from_secs(10))
                .child(puppet("d", &log))
                .child(puppet("c", &log).restart(Restart::Temporary))
                .child(puppet("a", &log)),
        )
        .await
        .expect("it makes sense");
    let ids = |ids: &[std::sync::Arc<str>]| ids.join(" ");
    assert_eq!(ids(&changed.changed), "c a");
    assert_eq!(ids(&changed.missing), "d");
    assert_eq!(ids(&changed.kept), "b");
    assert_eq!(log.take(), "", "nothing was started or stopped");
    let listed = tree.which_children().await.expect("it runs");
    let listed: Vec<_> = listed
        .iter()
        .map(|child| (&*child.id, child.status == Status::Running))
        .collect();
    assert_eq!(
        listed,
        [("d", false), ("c", true), ("a", true), ("b", true)]
    );

    // The strategy, the order and the restart types are the new ones. d, which never ran, starts with the group.
    a.tell(Order::Fail).await.expect("a runs");
    settle().await;
    assert_eq!(log.take(), "-a -b -c +d +a +b");
    assert!(c.is_gone(), "c is temporary now");
    assert!(!a.is_gone(), "a has its address still");
}

#[tokio::test(start_paused = true)]
async fn a_change_waits_for_what_is_under_way_and_a_restarted_supervisor_begins_with_it() {
    let log = Log::default();
    let sub = Supervisor::one_for_one("sub").intensity(0, Duration::from_secs(5));
    let tree = Supervisor::one_for_one("app")
        .child(sub.child(puppet("a", &log)).child(puppet("b", &log)))
        .start(&system())
        .await
        .expect("the tree starts");
    let sub = tree.supervisor("sub").expect("it is there");
    actor(&tree, "sub/a")
        .tell(Order::Busy(Duration::from_secs(3)))
        .await
        .expect("a runs");
    settle().await;
    let stopping = tokio::spawn({
        let sub = sub.clone();
        async move { sub.terminate_child("a").await }
    });
    settle().await;
    log.take();
    sub.change(
        Supervisor::one_for_one("sub")
            .intensity(0, Duration::from_secs(5))
            .child(puppet("b", &log))
            .child(puppet("x", &log)),
    )
    .await
    .expect("it makes sense");
    assert!(stopping.is_finished(), "the stop came first");
    sub.restart_child("x").await.expect("x was added");
    log.take();
    actor(&tree, "sub/b")
        .tell(Order::Fail)
        .await
        .expect("b runs");
    settle().await;
    assert_eq!(
        log.take(),
        "-b -x +b +x",
        "a is not of the specification any more"
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_that_makes_no_sense_changes_nothing() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .child(puppet("a", &log))
        .start(&system())
        .await
        .expect("the tree starts");
    for senseless in [
        Supervisor::dynamic("app"),
        Supervisor::one_for_one("app").children([puppet("b", &log), puppet("b", &log)]),
        Supervisor::one_for_one("app").child(puppet("b", &log).significant(true)),
    ] {
        let refused = tree.change(senseless).await;
        assert!(
            matches!(refused, Err(AdminError::Invalid(_))),
            "{refused:?}"
        );
    }
    let impossible = Child::custom("c", |_place| {
        Err(treewarden_runtime::Failure::msg("no such thing"))
    });
    let refused = tree
        .change(
            Supervisor::one_for_one("app")
                .child(puppet("b", &log))
                .child(impossible),
        )
        .await;
    assert!(
        matches!(refused, Err(AdminError::StartFailed(_))),
        "{refused:?}"
    );
    assert_eq!(tree.count_children().await.expect("it runs").specs, 1);
    tree.start_child(puppet("b", &log).shutdown(Shutdown::BrutalKill))
        .await
        .expect("nothing of the refused b is left");
}
