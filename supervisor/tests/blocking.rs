//! Blocking functions as children. Threads are real, so time is, too.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Log, puppet, system};
use crossbeam_channel::{bounded, select};
use treewarden_runtime::{ExitReason, Failure};
use treewarden_supervisor::{BlockingContext, Child, Report, Restart, Shutdown, Supervisor};

const LIMIT: Duration = Duration::from_secs(30);

async fn within_limit<T>(future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(LIMIT, future).await;
    waited.expect("it happens within the limit")
}

#[tokio::test]
async fn how_a_blocking_function_returns_is_its_exit_reason() {
    type Row = (fn(&BlockingContext) -> Result<(), Failure>, &'static str);
    let table: [Row; 3] = [
        (|cx| (cx.ready(), Ok(())).1, "Normal"),
        (|cx| (cx.ready(), Err(Failure::msg("no luck"))).1, "no luck"),
        (
            |cx| {
                cx.ready();
                panic!("ouch")
            },
            "ouch",
        ),
    ];
    for (function, expected) in table {
        let tree = Supervisor::one_for_one("app").start(&system()).await;
        let tree = tree.expect("it starts");
        let mut events = tree.events();
        let child = Child::blocking("work", function).restart(Restart::Temporary);
        within_limit(tree.start_child(child))
            .await
            .expect("it starts");
        let is_exit = |report: &Report<ExitReason>| matches!(report, Report::Exited { .. });
        let event = within_limit(common::next(&mut events, is_exit)).await;
        let Report::Exited { reason, .. } = event.report else {
            panic!("an exit");
        };
        let told = format!("{reason:?} {reason}");
        assert!(told.contains(expected), "{told}");
    }
}

#[tokio::test]
async fn one_that_fails_before_it_is_ready_has_failed_to_start() {
    let child = Child::blocking("work", |_| Err(Failure::msg("no file")));
    let tree = Supervisor::one_for_one("app").child(child);
    let error = within_limit(tree.start(&system()))
        .await
        .expect_err("it fails");
    assert!(error.to_string().contains("no file"), "{error}");
}

#[tokio::test]
async fn it_works_off_a_channel_that_outlives_its_crashes() {
    let (jobs, waiting) = bounded::<u32>(100);
    let (done, results) = bounded::<(u32, u64)>(100);
    let tree = Supervisor::one_for_one("app")
        .intensity(10, Duration::from_secs(60))
        .child(Child::blocking("work", move |cx| {
            cx.each(&waiting, |job| {
                assert_ne!(job, 3, "the third is poison");
                done.send((job, cx.incarnation()))
            })
        }))
        .start(&system())
        .await
        .expect("it starts");
    for job in 1..=5 {
        jobs.send(job).expect("it takes jobs");
    }
    let done = tokio::task::spawn_blocking(move || results.iter().take(4).collect::<Vec<_>>());
    let done = within_limit(done).await.expect("no panic");
    assert_eq!(done, [(1, 1), (2, 1), (4, 2), (5, 2)]);
    assert!(within_limit(tree.shutdown()).await.is_clean());
}

#[tokio::test]
async fn it_hears_of_the_order_to_stop_in_a_select_and_by_looking() {
    let log = Log::default();
    let selecting = Child::blocking("selecting", |cx| {
        let (_nobody, never) = bounded::<()>(0);
        cx.ready();
        select! {
            recv(cx.cancelled()) -> _ => Ok::<(), Failure>(()),
            recv(never) -> _ => panic!("nobody sends"),
        }
    });
    let looking = Child::blocking("looking", |cx| {
        cx.ready();
        while !cx.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok::<(), Failure>(())
    });
    let tree = Supervisor::one_for_one("app")
        .child(selecting)
        .child(puppet("a", &log))
        .child(looking)
        .start(&system())
        .await
        .expect("it starts");
    let report = within_limit(tree.shutdown()).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn one_that_does_not_listen_is_reported_and_left_behind_and_one_that_comes_back_late_was_killed()
 {
    let released = Arc::new(AtomicBool::new(false));
    let its_released = released.clone();
    let deaf = Child::blocking("deaf", move |cx| {
        cx.ready();
        while !its_released.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok::<(), Failure>(())
    });
    let late = Child::blocking("late", |cx| {
        cx.ready();
        let _ = cx.cancelled().recv();
        std::thread::sleep(Duration::from_millis(100));
        Ok::<(), Failure>(())
    });
    let soon = Shutdown::Timeout(Duration::from_millis(20));
    let tree = Supervisor::one_for_one("app")
        .report_hung_after(Duration::from_millis(500))
        .abandon_hung_on_shutdown()
        .child(deaf.shutdown(soon))
        .child(late.shutdown(soon))
        .start(&system())
        .await
        .expect("it starts");
    let report = within_limit(tree.shutdown()).await;
    let stalled: Vec<_> = report
        .stalled
        .iter()
        .map(|stall| (&*stall.path, stall.reason.as_ref().map(ExitReason::kind)))
        .collect();
    assert_eq!(
        stalled,
        [("/app/late", Some("killed")), ("/app/deaf", None)]
    );
    released.store(true, Ordering::SeqCst);
}
