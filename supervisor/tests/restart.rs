//! Who is restarted, in which order, and what becomes of addresses and messages.

mod common;

use std::time::Duration;

use common::{Log, Order, actor, faulty, next, puppet, settle, system};
use treewarden_runtime::{
    Actor, AddressState, AskError, Context, DeadLetterReason, ExitReason, Failure, Mailbox,
    Overflow, TellError,
};
use treewarden_supervisor::{
    Backoff, Child, GaveUp, Limit, QueueFate, Report, Restart, Supervisor, Tree,
};
use treewarden_testkit::FaultPlan;

async fn start(supervisor: Supervisor) -> Tree {
    supervisor.start(&system()).await.expect("the tree starts")
}

fn three(supervisor: Supervisor, log: &Log) -> Supervisor {
    supervisor
        .child(puppet("a", log))
        .child(puppet("b", log))
        .child(puppet("c", log))
}

/// What happens when `b` of `a b c` fails.
async fn check_strategy(supervisor: Supervisor, order: Order, expected: &str) {
    let log = Log::default();
    let tree = start(three(supervisor, &log)).await;
    assert_eq!(log.take(), "+a +b +c");
    actor(&tree, "b").tell(order).await.expect("b runs");
    settle().await;
    assert_eq!(log.take(), expected);
    tree.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn one_for_one_restarts_the_child_alone() {
    check_strategy(Supervisor::one_for_one("app"), Order::Fail, "-b +b").await;
}

#[tokio::test(start_paused = true)]
async fn one_for_all_stops_in_reverse_order_and_starts_in_order() {
    check_strategy(
        Supervisor::one_for_all("app"),
        Order::Fail,
        "-b -c -a +a +b +c",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_takes_those_after_it() {
    check_strategy(Supervisor::rest_for_one("app"), Order::Fail, "-b -c +b +c").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_without_cleanup() {
    check_strategy(Supervisor::one_for_one("app"), Order::Panic, "+b").await;
}

/// Its label is computed before its handler runs, by the user's code.
struct Labelled(Log);

impl Actor for Labelled {
    type Msg = u32;
    type Error = Failure;

    fn label(msg: &u32) -> &'static str {
        assert_ne!(*msg, 13, "an unlucky label");
        "number"
    }

    async fn handle(&mut self, msg: u32, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.note(msg.to_string());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_label_panics_crashes_one_incarnation_and_is_not_seen_by_the_next() {
    let log = Log::default();
    for mailbox in [
        Mailbox::bounded(10),
        Mailbox::bounded(10).overflow(Overflow::DropOldest),
    ] {
        let made = log.clone();
        let make = move |_| {
            let log = made.clone();
            async move {
                log.note("+");
                Ok(Labelled(log))
            }
        };
        let child = Child::actor("labelled", make).mailbox(mailbox);
        let tree = start(Supervisor::one_for_one("app").child(child)).await;
        let labelled = tree.actor::<u32>("labelled").expect("its messages");
        for number in [1, 13, 2] {
            labelled.tell(number).await.expect("it has room");
        }
        settle().await;
        assert_eq!(log.take(), "+ 1 + 2");
        tree.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_child_is_restarted_after_a_normal_end() {
    check_strategy(Supervisor::one_for_one("app"), Order::Stop, "-b +b").await;
}

#[tokio::test(start_paused = true)]
async fn transient_and_temporary_children_stay_down_after_a_normal_end() {
    let log = Log::default();
    let tree = start(
        Supervisor::one_for_one("app")
            .child(puppet("a", &log).restart(Restart::Transient))
            .child(puppet("b", &log).restart(Restart::Temporary)),
    )
    .await;
    let (a, b) = (actor(&tree, "a"), actor(&tree, "b"));
    a.tell(Order::Stop).await.expect("a runs");
    b.tell(Order::Stop).await.expect("b runs");
    settle().await;
    assert_eq!(log.take(), "+a +b -a -b");
    assert_eq!(
        (a.state(), b.state()),
        (AddressState::Stopped, AddressState::Gone)
    );
    assert!(matches!(
        a.try_tell(Order::Stop),
        Err(TellError::Stopped(Order::Stop))
    ));
    tree.restart_child("a").await.expect("a starts");
    assert_eq!(
        (a.state(), log.take().as_str()),
        (AddressState::Running, "+a")
    );
}

#[tokio::test(start_paused = true)]
async fn a_reference_outlives_a_restart_and_the_queue_is_kept() {
    let log = Log::default();
    let tree = start(Supervisor::one_for_one("app").child(puppet("a", &log))).await;
    let a = actor(&tree, "a");
    a.tell(Order::Panic).await.expect("a runs");
    a.tell(Order::Note("kept")).await.expect("a runs");
    let handled = a
        .ask(Order::Count)
        .await
        .expect("the next incarnation answers");
    assert_eq!((handled, a.incarnation()), (2, 2));
    assert_eq!(log.take(), "+a +a kept");
    assert_eq!(tree.system().dead_letters().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_crashed_the_actor_says_so() {
    let tree = start(Supervisor::one_for_one("app").child(puppet("a", &Log::default()))).await;
    let a = actor(&tree, "a");
    let answer = a.ask(|reply: treewarden_runtime::Reply<u64>| {
        drop(reply);
        Order::Panic
    });
    let error = answer.await.expect_err("the reply was dropped");
    assert!(matches!(error, AskError::NoReply), "{error}");
}

/// What becomes of two messages that wait at `c` when `b` fails under one_for_all.
async fn check_victims_queue(child: impl FnOnce(Child) -> Child, dead: u64, handled: &str) {
    let log = Log::default();
    let tree = start(
        Supervisor::one_for_all("app")
            .child(puppet("b", &log))
            .child(child(puppet("c", &log))),
    )
    .await;
    let c = actor(&tree, "c");
    log.take();
    // The handler is cut off by the kill at the deadline of the shutdown; until then both wait.
    c.tell(Order::Busy(Duration::from_secs(60)))
        .await
        .expect("c runs");
    for _ in 0..2 {
        c.tell(Order::Note("m")).await.expect("c runs");
    }
    actor(&tree, "b").tell(Order::Fail).await.expect("b runs");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(log.take(), format!("-b +b +c{handled}"));
    assert_eq!(
        tree.system()
            .dead_letters()
            .count(DeadLetterReason::GroupRestart),
        dead
    );
}

#[tokio::test(start_paused = true)]
async fn the_victims_of_a_group_restart_send_their_queue_to_the_dead_letters() {
    check_victims_queue(|child| child, 2, "").await;
}

#[tokio::test(start_paused = true)]
async fn or_keep_it_by_choice() {
    check_victims_queue(
        |child| child.queue_on_group_restart(QueueFate::Keep),
        0,
        " m m",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_fails_is_tried_again() {
    let log = Log::default();
    let plan = FaultPlan::seeded(1).fail_starts(2..=3);
    let tree = start(
        Supervisor::one_for_one("app")
            .intensity(3, Duration::from_secs(5))
            .child(faulty("a", &log, &plan)),
    )
    .await;
    let a = actor(&tree, "a");
    a.tell(Order::Fail).await.expect("a runs");
    settle().await;
    assert_eq!((log.take().as_str(), a.incarnation()), ("+a -a +a", 4));
}

#[tokio::test(start_paused = true)]
async fn too_many_restarts_end_the_tree_with_the_cause() {
    let log = Log::default();
    let tree = start(three(
        Supervisor::one_for_one("app").intensity(1, Duration::from_secs(5)),
        &log,
    ))
    .await;
    let b = actor(&tree, "b");
    for _ in 0..2 {
        b.tell(Order::Fail).await.expect("b runs or restarts");
    }
    let reason = tree.wait().await;
    let ExitReason::Escalated(failure) = &reason else {
        panic!("{reason}")
    };
    assert!(
        failure.to_string().contains("/app/b (failed: told to)"),
        "{failure}"
    );
    assert_eq!(log.take(), "+a +b +c -b +b -b -c -a");
    assert!(b.is_gone());
}

#[tokio::test(start_paused = true)]
async fn a_backoff_delays_the_restart_and_senders_wait() {
    let log = Log::default();
    let backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(8)).jitter(0.0);
    let tree =
        start(Supervisor::one_for_one("app").child(puppet("a", &log).backoff(backoff))).await;
    let a = actor(&tree, "a");
    a.tell(Order::Fail).await.expect("a runs");
    settle().await;
    assert_eq!(a.state(), AddressState::Restarting);
    a.tell(Order::Note("waited"))
        .await
        .expect("messages wait for the next incarnation");
    let before = tokio::time::Instant::now();
    a.ask(Order::Count)
        .await
        .expect("the next incarnation answers");
    assert_eq!(before.elapsed(), Duration::from_secs(1));
    assert_eq!(log.take(), "+a -a +a waited");
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_a_backoff() {
    let log = Log::default();
    let tree = start(
        Supervisor::one_for_one("app")
            .child(puppet("a", &log).backoff(Backoff::constant(Duration::from_secs(60)))),
    )
    .await;
    actor(&tree, "a").tell(Order::Fail).await.expect("a runs");
    settle().await;
    let report = tree.shutdown().await;
    assert_eq!((report.is_clean(), report.took), (true, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn events_tell_the_path_the_reason_and_the_suspect() {
    let tree = start(Supervisor::one_for_one("app").child(puppet("a", &Log::default()))).await;
    let mut events = tree.events();
    actor(&tree, "a").tell(Order::Panic).await.expect("a runs");
    let event = next(&mut events, |report| {
        matches!(report, Report::Exited { .. })
    })
    .await;
    assert_eq!(
        event.to_string(),
        "/app/a exited: panicked: told to; it was handling order"
    );
    assert_eq!(
        event
            .suspect
            .map(|suspect| (suspect.sequence, suspect.label)),
        Some((1, "order"))
    );
    let event = next(&mut events, |report| {
        matches!(report, Report::Started { .. })
    })
    .await;
    assert_eq!(event.to_string(), "/app/a started, incarnation 2");
}

#[tokio::test(start_paused = true)]
async fn monitors_hear_that_a_restart_follows_and_of_the_end() {
    use treewarden_runtime::MonitorEvent::{Down, Gone};
    let tree = start(
        Supervisor::one_for_one("app")
            .child(puppet("a", &Log::default()).restart(Restart::Transient)),
    )
    .await;
    let a = actor(&tree, "a");
    let mut monitor = a.monitor();
    a.tell(Order::Fail).await.expect("a runs");
    let event = monitor.next().await;
    assert!(
        matches!(
            event,
            Some(Down {
                incarnation: 1,
                restart_follows: true,
                ..
            })
        ),
        "{event:?}"
    );
    a.tell(Order::Stop).await.expect("a runs again");
    let event = monitor.next().await;
    assert!(
        matches!(
            event,
            Some(Down {
                incarnation: 2,
                restart_follows: false,
                ..
            })
        ),
        "{event:?}"
    );
    tree.shutdown().await;
    let event = monitor.next().await;
    assert!(matches!(event, Some(Gone { .. })), "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_not_healthy_for_too_long_ends_the_tree_however_rarely_it_is_tried() {
    // Three healthy runs, and then none.
    let plan = FaultPlan::seeded(1).fail_starts(4..);
    let backoff = Backoff::constant(Duration::from_secs(20))
        .reset_after(Duration::from_secs(60))
        .give_up_after(Duration::from_secs(70));
    let tree = Supervisor::one_for_one("app")
        .child(faulty("a", &Log::default(), &plan).backoff(backoff))
        .start(&system())
        .await
        .expect("it starts");
    let a = actor(&tree, "a");
    // A healthy run in between, and the time begins anew.
    for healthy_s in [0, 61] {
        tokio::time::sleep(Duration::from_secs(healthy_s)).await;
        a.tell(Order::Fail).await.expect("it runs");
        tokio::time::sleep(Duration::from_secs(21)).await;
    }
    let since = tokio::time::Instant::now();
    a.tell(Order::Fail).await.expect("it runs");
    let ExitReason::Escalated(failure) = tree.wait().await else {
        panic!("it gives up");
    };
    let gave_up = failure.downcast_ref::<GaveUp>().expect("it says why");
    assert_eq!(gave_up.limit, Limit::Time);
    // The first failure in a row was 21 s before; three more attempts fit in.
    assert_eq!(since.elapsed().as_secs(), 60);
}
