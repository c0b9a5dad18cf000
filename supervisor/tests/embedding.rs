//! Trees in applications that exist: joined tasks, tokens, and shutdown in phases.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Log, Order, actor, puppet, settle, system};
use treewarden_runtime::ExitReason;
use treewarden_supervisor::{Child, Report, Restart, Shutdown, ShutdownPlan, Supervisor};

/// Says when it is dropped.
struct Guard(Log, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_joined_task_ends_as_its_handle_says() {
    type Spawned = tokio::task::JoinHandle<Result<(), std::io::Error>>;
    type Row = (fn() -> Spawned, &'static str);
    let table: [Row; 4] = [
        (|| tokio::spawn(async { Ok(()) }), "Normal"),
        (
            || tokio::spawn(async { Err(std::io::Error::other("no luck")) }),
            "no luck",
        ),
        (|| tokio::spawn(async { panic!("ouch") }), "ouch"),
        (
            || {
                let task = tokio::spawn(std::future::pending());
                task.abort();
                task
            },
            "Killed",
        ),
    ];
    for (spawn, expected) in table {
        let tree = Supervisor::one_for_one("app")
            .start(&system())
            .await
            .expect("it starts");
        let mut events = tree.events();
        let child = Child::join_handle("task", spawn).restart(Restart::Temporary);
        tree.start_child(child).await.expect("it starts");
        let is_exit = |report: &Report<ExitReason>| matches!(report, Report::Exited { .. });
        let event = common::next(&mut events, is_exit).await;
        let Report::Exited { reason, .. } = event.report else {
            panic!("an exit");
        };
        assert!(
            format!("{reason:?} {reason}").contains(expected),
            "{reason:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_joined_task_is_aborted_and_has_ended_before_its_successor_starts() {
    let log = Log::default();
    let its_log = log.clone();
    let tree = Supervisor::one_for_all("app")
        .child(puppet("a", &log))
        .child(Child::join_handle("task", move || {
            its_log.note("+task");
            let guard = Guard(its_log.clone(), "-task");
            tokio::spawn(async move {
                let _guard = guard;
                std::future::pending::<Result<(), std::io::Error>>().await
            })
        }))
        .start(&system())
        .await
        .expect("it starts");
    settle().await;
    actor(&tree, "a").tell(Order::Fail).await.expect("a runs");
    settle().await;
    assert_eq!(log.take(), "+a +task -a -task +a +task");
    let report = tree.shutdown().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(log.take(), "-task -a");
}

#[tokio::test(start_paused = true)]
async fn a_plan_goes_through_its_phases_and_names_what_it_gave_up() {
    let log = Log::default();
    let note = |what: &'static str, after_s: u64| {
        let log = log.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(after_s)).await;
            log.note(what);
        }
    };
    let tree = Supervisor::one_for_one("app")
        .child(puppet("database", &log))
        .child(Supervisor::one_for_one("front").child(puppet("http", &log)))
        .start(&system())
        .await
        .expect("it starts");
    log.take();
    let report = ShutdownPlan::new()
        .phase("stop taking work", Duration::from_secs(5))
        .child("front/http")
        .action("tell the balancer", note("balancer", 1))
        .phase("drain", Duration::from_secs(10))
        .action("the queue", note("queue", 3))
        .action("a stuck client", note("never", 1000))
        .phase("close resources", Duration::from_secs(5))
        .action("files", note("files", 0))
        .child("no such child")
        .run(&tree)
        .await;
    assert_eq!(log.take(), "-http balancer queue files -database");
    let phases: Vec<_> = report
        .phases
        .iter()
        .map(|phase| {
            (
                &*phase.name,
                phase.took.as_secs(),
                phase.unfinished.join(" "),
            )
        })
        .collect();
    let expected = [
        ("stop taking work", 1, String::new()),
        ("drain", 10, "a stuck client".to_owned()),
        ("close resources", 0, String::new()),
    ];
    assert_eq!(phases, expected);
    assert_eq!(*report.phases[2].not_found, [Arc::from("no such child")]);
    assert!(!report.is_clean() && report.tree.is_clean());
    assert!(
        report
            .to_string()
            .contains("drain: 10s; not done: a stuck client")
    );
}

#[tokio::test(start_paused = true)]
async fn a_child_that_does_not_stop_in_its_phase_is_waited_for_at_the_end() {
    let log = Log::default();
    let slow = puppet("slow", &log).shutdown(Shutdown::Timeout(Duration::from_secs(30)));
    let tree = Supervisor::one_for_one("app")
        .child(slow)
        .start(&system())
        .await
        .expect("it starts");
    let busy = Order::Busy(Duration::from_secs(20));
    actor(&tree, "slow").tell(busy).await.expect("it runs");
    settle().await;
    let report = ShutdownPlan::new()
        .phase("stop", Duration::from_secs(5))
        .child("slow")
        .run(&tree)
        .await;
    assert_eq!(*report.phases[0].unfinished, [Arc::from("slow")]);
    assert_eq!(report.tree.took.as_secs(), 15, "the order was given before");
    assert_eq!(log.take(), "+slow -slow");
}

#[cfg(feature = "cancellation")]
#[tokio::test(start_paused = true)]
async fn a_token_is_cancelled_with_its_task_and_a_tree_ends_with_a_token() {
    use tokio_util::sync::CancellationToken;

    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tokens = seen.clone();
    let tree = Supervisor::one_for_one("app")
        .child(Child::task("http", move |cx| {
            let token = cx.cancellation_token();
            tokens.lock().expect("no test panics").push(token.clone());
            cx.ready();
            async move {
                token.cancelled().await;
                Ok::<(), std::io::Error>(())
            }
        }))
        .start(&system())
        .await
        .expect("it starts");
    let app = CancellationToken::new();
    let ended = tokio::spawn({
        let (tree, app) = (tree.clone(), app.clone());
        async move { tree.shutdown_when(&app).await }
    });
    settle().await;
    let token = seen.lock().expect("no test panics")[0].clone();
    assert!(!token.is_cancelled() && !ended.is_finished());
    app.cancel();
    let report = ended.await.expect("no panic").expect("it was the token");
    assert!(report.is_clean(), "{report}");
    assert!(token.is_cancelled());
    assert!(
        tree.shutdown_when(&CancellationToken::new())
            .await
            .is_none()
    );
}
