//! Tasks and plain futures as children.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Log, puppet, settle, system};
use tokio::sync::Notify;
use treewarden_runtime::{ExitReason, Failure};
use treewarden_supervisor::{Child, Report, Restart, Shutdown, Supervisor, TaskContext, Tree};

const SECOND: Duration = Duration::from_secs(1);

async fn start(child: Child) -> Tree {
    Supervisor::one_for_one("app")
        .child(child)
        .start(&system())
        .await
        .expect("the tree starts")
}

/// How a temporary task ended.
async fn exit_of<F, Fut>(task: F) -> ExitReason
where
    F: FnMut(TaskContext) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let tree = Supervisor::one_for_one("app")
        .start(&system())
        .await
        .expect("the tree starts");
    let mut events = tree.events();
    tree.start_child(Child::task("t", task).restart(Restart::Temporary))
        .await
        .expect("the task starts");
    match common::next(&mut events, |report| {
        matches!(report, Report::Exited { .. })
    })
    .await
    .report
    {
        Report::Exited { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_task_is_typed() {
    let reason = exit_of(|cx| async move {
        cx.ready();
        Ok(())
    });
    assert!(matches!(reason.await, ExitReason::Normal));
    let reason = exit_of(|cx| async move {
        cx.ready();
        Err(Failure::msg("broken"))
    });
    assert_eq!(reason.await.to_string(), "failed: broken");
    let reason = exit_of(|cx| async move {
        cx.ready();
        panic!("oh no")
    });
    assert_eq!(reason.await.to_string(), "panicked: oh no");
}

#[tokio::test(start_paused = true)]
async fn later_siblings_start_when_the_task_is_ready() {
    let (log, gate) = (Log::default(), Arc::new(Notify::new()));
    let task = {
        let (log, gate) = (log.clone(), gate.clone());
        Child::task("t", move |cx| {
            let (log, gate) = (log.clone(), gate.clone());
            async move {
                gate.notified().await;
                log.note("+t");
                cx.ready();
                cx.cancelled().await;
                log.note("-t");
                Ok::<_, Failure>(())
            }
        })
    };
    let supervisor = Supervisor::one_for_one("app")
        .child(task)
        .child(puppet("b", &log));
    let starting = tokio::spawn(async move { supervisor.start(&system()).await });
    settle().await;
    assert_eq!(log.take(), "");
    gate.notify_one();
    let tree = starting.await.expect("no panic").expect("the tree starts");
    assert_eq!(log.take(), "+t +b");
    assert!(tree.shutdown().await.is_clean());
    assert_eq!(log.take(), "-b -t");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_drops_its_context_is_ready() {
    let tree = start(Child::task("t", |_cx| {
        std::future::pending::<Result<(), Failure>>()
    }))
    .await;
    assert_eq!(tree.count_children().await.expect("it runs").active, 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_returns_before_it_is_ready_has_started_unless_it_failed() {
    let tree = Supervisor::one_for_one("app")
        .start(&system())
        .await
        .expect("the tree starts");
    let ok = Child::task("ok", |_cx| async { Ok::<_, Failure>(()) }).restart(Restart::Transient);
    tree.start_child(ok).await.expect("it was up for a moment");
    for failing in [
        Child::task("failed", |cx| async move {
            Err::<(), _>(Failure::msg("no"))?;
            cx.ready();
            Ok::<_, Failure>(())
        }),
        Child::task("panicked", |_cx| async {
            panic!("no") as Result<(), Failure>
        }),
        Child::task(
            "no future",
            |_cx| -> std::future::Ready<Result<(), Failure>> { panic!("no") },
        ),
    ] {
        let id = failing.id().clone();
        assert!(tree.start_child(failing).await.is_err(), "{id}");
    }
    assert_eq!(tree.count_children().await.expect("it runs").specs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_listen_is_killed_at_its_deadline() {
    let task = Child::task("t", |cx| async move {
        cx.ready();
        std::future::pending::<()>().await;
        drop(cx);
        Ok::<_, Failure>(())
    });
    let tree = start(task.shutdown(Shutdown::Timeout(3 * SECOND))).await;
    let report = tree.shutdown().await;
    assert_eq!((report.took, report.stalled.len()), (3 * SECOND, 1));
}

#[tokio::test(start_paused = true)]
async fn a_plain_future_is_up_at_once_restarted_when_it_ends_and_dropped_to_stop() {
    let (runs, drops) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    struct Guard(Arc<AtomicU32>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (runs_in, drops_in) = (runs.clone(), drops.clone());
    let tree = start(Child::future("f", move || {
        let (run, guard) = (
            runs_in.fetch_add(1, Ordering::Relaxed),
            Guard(drops_in.clone()),
        );
        async move {
            let _guard = guard;
            if run > 0 {
                std::future::pending::<()>().await;
            }
        }
    }))
    .await;
    settle().await;
    assert_eq!(
        (runs.load(Ordering::Relaxed), drops.load(Ordering::Relaxed)),
        (2, 1)
    );
    assert!(tree.shutdown().await.is_clean());
    assert_eq!(drops.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_task_knows_how_the_one_before_ended() {
    let log = Log::default();
    let noted = log.clone();
    let tree = start(Child::task("t", move |cx| {
        let log = noted.clone();
        async move {
            cx.ready();
            log.note(format!(
                "{}:{}",
                cx.incarnation(),
                cx.last_exit().map_or("none", ExitReason::kind)
            ));
            if cx.incarnation() == 1 {
                return Err(Failure::msg("no"));
            }
            cx.cancelled().await;
            Ok(())
        }
    }))
    .await;
    settle().await;
    assert_eq!(log.take(), "1:none 2:failed");
    tree.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_future_is_dropped_is_caught() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in drop");
            }
        }
    }
    let tree = start(Child::future("f", || async {
        let _bomb = Bomb;
        std::future::pending::<()>().await;
    }))
    .await;
    let report = tree.shutdown().await;
    let [(path, reason)] = &report.ended_badly[..] else {
        panic!("{report}")
    };
    assert_eq!(
        (&**path, reason.to_string().as_str()),
        ("/app/f", "panicked: in drop")
    );
}
