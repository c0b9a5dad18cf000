//! How trees end: order, deadlines, who stalled, and what interrupts what.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Log, Order, actor, puppet, settle, system};
use treewarden_runtime::{AddressState, ExitReason, Failure};
use treewarden_supervisor::{AutoShutdown, Child, Restart, Shutdown, StartError, Supervisor};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn children_stop_in_reverse_start_order_across_subtrees() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .child(puppet("a", &log))
        .child(
            Supervisor::one_for_one("sub")
                .child(puppet("b", &log))
                .child(puppet("c", &log)),
        )
        .child(puppet("d", &log))
        .start(&system())
        .await
        .expect("the tree starts");
    let a = actor(&tree, "a");
    let report = tree.shutdown().await;
    assert!(report.is_clean(), "{report}");
    assert!(matches!(report.reason, ExitReason::Shutdown));
    assert_eq!(log.take(), "+a +b +c +d -d -c -b -a");
    assert_eq!(a.state(), AddressState::Gone);
    assert!(matches!(tree.wait().await, ExitReason::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn the_report_says_who_stalled_for_how_long_and_in_which_handler() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .child(
            Supervisor::one_for_one("sub")
                .child(puppet("b", &log).shutdown(Shutdown::Timeout(2 * SECOND))),
        )
        .child(puppet("c", &log))
        .start(&system())
        .await
        .expect("the tree starts");
    actor(&tree, "sub/b")
        .tell(Order::Busy(60 * SECOND))
        .await
        .expect("b runs");
    settle().await;
    let report = tree.shutdown().await;
    assert_eq!(report.took, 2 * SECOND);
    let [stall] = &report.stalled[..] else {
        panic!("{report}")
    };
    assert_eq!(
        (&*stall.path, stall.waited, stall.handling),
        ("/app/sub/b", 2 * SECOND, Some("busy"))
    );
    assert!(matches!(stall.reason, Some(ExitReason::Killed)));
    assert_eq!(
        report.to_string(),
        "ended (shutdown) after 2s\n/app/sub/b did not stop within 2s; it was handling busy; killed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_brutal_kill_skips_the_cleanup() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .child(puppet("a", &log).shutdown(Shutdown::BrutalKill))
        .start(&system())
        .await
        .expect("the tree starts");
    assert!(tree.shutdown().await.is_clean());
    assert_eq!(log.take(), "+a");
}

#[tokio::test(start_paused = true)]
async fn infinity_waits_as_long_as_it_takes() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .child(puppet("a", &log).shutdown(Shutdown::Infinity))
        .start(&system())
        .await
        .expect("the tree starts");
    actor(&tree, "a")
        .tell(Order::Busy(3600 * SECOND))
        .await
        .expect("a runs");
    settle().await;
    let report = tree.shutdown().await;
    assert!(report.is_clean());
    assert_eq!((report.took, log.take().as_str()), (3600 * SECOND, "+a -a"));
}

#[tokio::test(start_paused = true)]
async fn draining_handles_what_waits_and_refuses_what_comes() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .child(puppet("a", &log).drain(true))
        .start(&system())
        .await
        .expect("the tree starts");
    let a = actor(&tree, "a");
    for order in [
        Order::Busy(SECOND),
        Order::Note("first"),
        Order::Note("second"),
    ] {
        a.tell(order).await.expect("a runs");
    }
    assert!(tree.shutdown().await.is_clean());
    assert_eq!(log.take(), "+a first second -a");
    assert_eq!(tree.system().dead_letters().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failing_start_stops_what_had_started_and_names_the_child() {
    let log = Log::default();
    let failing = Child::task("c", |_cx| async {
        Err::<(), _>(Failure::msg("no database"))
    });
    let error = Supervisor::one_for_one("app")
        .child(puppet("a", &log))
        .child(
            Supervisor::one_for_one("sub")
                .child(puppet("b", &log))
                .child(failing),
        )
        .child(puppet("d", &log))
        .start(&system())
        .await
        .expect_err("a child fails");
    assert_eq!(log.take(), "+a +b -b -a");
    let StartError::Child { path, reason } = &error else {
        panic!("{error}")
    };
    assert_eq!(&**path, "/app/sub");
    assert!(
        reason
            .to_string()
            .contains("/app/sub/c failed to start (failed: no database)"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn specifications_that_make_no_sense_are_refused_before_anything_starts() {
    let log = Log::default();
    let twins = || {
        Supervisor::one_for_one("app")
            .child(puppet("a", &log))
            .child(puppet("a", &log))
    };
    let error = twins()
        .start(&system())
        .await
        .expect_err("two children have one id");
    assert!(
        error.to_string().contains("two children have the id \"a\""),
        "{error}"
    );
    let error = Supervisor::one_for_one("top")
        .child(twins())
        .start(&system())
        .await
        .expect_err("deep down as well");
    assert!(
        error.to_string().contains("two children have the id \"a\""),
        "{error}"
    );
    let significant = puppet("a", &log)
        .restart(Restart::Transient)
        .significant(true);
    let error = Supervisor::one_for_one("app")
        .child(significant)
        .start(&system())
        .await
        .expect_err("never significant");
    assert!(error.to_string().contains("set auto_shutdown"), "{error}");
    assert_eq!(log.take(), "");
}

/// A supervisor whose last child never comes up.
fn hanging(log: &Log) -> Supervisor {
    let hang = Child::task("hang", |cx| async move {
        std::future::pending::<()>().await;
        drop(cx);
        Ok::<_, Failure>(())
    });
    Supervisor::one_for_one("app")
        .child(puppet("a", log))
        .child(hang.shutdown(Shutdown::Timeout(SECOND)))
}

#[tokio::test(start_paused = true)]
async fn shutdown_interrupts_a_start() {
    let (log, system) = (Log::default(), system());
    let starting = tokio::spawn({
        let (supervisor, system) = (hanging(&log), system.clone());
        async move { supervisor.start(&system).await }
    });
    settle().await;
    system.shutdown().await;
    let error = starting
        .await
        .expect("no panic")
        .expect_err("it was interrupted");
    assert!(matches!(error, StartError::Interrupted { .. }), "{error}");
    assert_eq!(log.take(), "+a -a");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_start_stops_what_had_started() {
    let (log, system) = (Log::default(), system());
    let start = hanging(&log);
    assert!(
        tokio::time::timeout(10 * SECOND, start.start(&system))
            .await
            .is_err()
    );
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(log.take(), "+a -a");
    assert!(system.snapshot().roots.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_start_deadline_fails_the_start() {
    let hang = Child::task("hang", |cx| async move {
        std::future::pending::<()>().await;
        drop(cx);
        Ok::<_, Failure>(())
    });
    let error = Supervisor::one_for_one("app")
        .child(hang.start_timeout(3 * SECOND))
        .start(&system())
        .await
        .expect_err("it never comes up");
    assert!(
        matches!(
            &error,
            StartError::Child {
                reason: ExitReason::Killed,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_killed_tree_ends_at_once_and_takes_everything_along() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .child(puppet("a", &log).shutdown(Shutdown::Infinity))
        .child(Supervisor::one_for_one("sub").child(puppet("b", &log)))
        .start(&system())
        .await
        .expect("the tree starts");
    let b = actor(&tree, "sub/b");
    b.tell(Order::Busy(60 * SECOND)).await.expect("b runs");
    settle().await;
    tree.kill();
    assert!(matches!(tree.wait().await, ExitReason::Killed));
    assert_eq!(log.take(), "+a +b");
    settle().await;
    assert!(b.is_gone());
}

#[tokio::test(start_paused = true)]
async fn a_system_shuts_its_trees_down_the_newest_first() {
    let (log, system) = (Log::default(), system());
    for id in ["a", "b"] {
        let tree = Supervisor::one_for_one(id)
            .child(puppet(id, &log))
            .start(&system)
            .await
            .expect("the tree starts");
        // A handle is not what keeps a tree alive.
        drop(tree);
    }
    settle().await;
    assert_eq!(log.take(), "+a +b");
    assert_eq!(system.snapshot().roots.len(), 2);
    system.shutdown().await;
    assert_eq!(log.take(), "-b -a");
    assert!(system.snapshot().roots.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_is_started_in_a_closed_system_ends() {
    let system = system();
    system.shutdown().await;
    let reason = match Supervisor::one_for_one("app").start(&system).await {
        Ok(tree) => tree.wait().await,
        Err(StartError::Interrupted { reason, .. }) => reason,
        Err(other) => panic!("{other}"),
    };
    assert!(matches!(reason, ExitReason::Shutdown), "{reason}");
}

#[test]
fn when_the_runtime_is_dropped_the_tree_has_been_killed() {
    let (log, system) = (Log::default(), system());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tree = runtime
        .block_on(
            Supervisor::one_for_one("app")
                .child(puppet("a", &log))
                .start(&system),
        )
        .expect("the tree starts");
    let a = actor(&tree, "a");
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    assert!(matches!(other.block_on(tree.wait()), ExitReason::Killed));
    assert!(a.is_gone());
    assert!(matches!(
        other.block_on(tree.which_children()),
        Err(treewarden_supervisor::AdminError::ShuttingDown)
    ));
    assert!(system.snapshot().roots.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_blocks_its_thread_is_reported_and_left_behind() {
    // The blocked thread is a real one, so this child is not one of tokio's.
    struct Deaf(treewarden_supervisor::ChildPlace);
    impl treewarden_supervisor::ChildKind for Deaf {
        fn kind(&self) -> std::borrow::Cow<'static, str> {
            "deaf".into()
        }
        fn start(&mut self, incarnation: u64) {
            self.0
                .observer()
                .on_life(treewarden_runtime::host::Life::Started { incarnation });
        }
        fn stop(&mut self) {}
        fn kill(&mut self) {}
    }
    let deaf = Child::custom("deaf", |place| Ok(Box::new(Deaf(place))));
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .report_hung_after(3 * SECOND)
        .abandon_hung_on_shutdown()
        .child(puppet("a", &log))
        .child(deaf.shutdown(Shutdown::Timeout(SECOND)))
        .start(&system())
        .await
        .expect("the tree starts");
    let report = tree.shutdown().await;
    assert_eq!(report.took, 4 * SECOND);
    assert!(
        report
            .to_string()
            .ends_with("it blocks its thread, and was left behind"),
        "{report}"
    );
    assert_eq!(log.take(), "+a -a");
}

#[tokio::test(start_paused = true)]
async fn significant_children_end_the_tree() {
    let log = Log::default();
    let tree = Supervisor::one_for_one("app")
        .auto_shutdown(AutoShutdown::AnySignificant)
        .child(puppet("a", &log))
        .child(
            puppet("b", &log)
                .restart(Restart::Transient)
                .significant(true),
        )
        .start(&system())
        .await
        .expect("the tree starts");
    actor(&tree, "b").tell(Order::Stop).await.expect("b runs");
    assert!(matches!(tree.wait().await, ExitReason::Shutdown));
    assert_eq!(log.take(), "+a +b -b -a");
}

#[tokio::test(start_paused = true)]
async fn a_custom_kind_that_panics_in_an_order_fails_its_start() {
    struct Bomb(Arc<str>);
    impl treewarden_supervisor::ChildKind for Bomb {
        fn kind(&self) -> std::borrow::Cow<'static, str> {
            "bomb".into()
        }
        fn start(&mut self, _incarnation: u64) {
            panic!("{} went off", self.0);
        }
        fn stop(&mut self) {}
        fn kill(&mut self) {}
    }
    let error = Supervisor::one_for_one("app")
        .child(Child::custom("bomb", |place| {
            Ok(Box::new(Bomb(place.path().clone())))
        }))
        .start(&system())
        .await
        .expect_err("it panics");
    assert!(
        error.to_string().contains("panicked: /app/bomb went off"),
        "{error}"
    );
}
