//! Pools: routing, crashes, draining before they shrink, and resizes by load.

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Log, Order, failing, puppet, settle, system};
use tokio::time::{Instant, sleep};
use treewarden_runtime::{Actor, Context, Failure, Reply, RouteError, Routing, System};
use treewarden_supervisor::{Autoscale, Backoff, Child, Pool, Supervisor, Tree, Workers};

const IDS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];
const SECOND: Duration = Duration::from_secs(1);

async fn start(system: &System, pool: &Pool) -> (Tree, Workers<Order>) {
    let tree = Supervisor::one_for_one("app")
        .intensity(10, 5 * SECOND)
        .child(pool.child())
        .start(system)
        .await
        .expect("the tree starts");
    let workers = pool.find(&tree).expect("they are there");
    (tree, workers)
}

fn pool(log: &Log, workers: usize) -> Pool {
    pool_of(workers, puppets(log))
}

fn pool_of(workers: usize, make: impl Fn(usize) -> Child + Send + Sync + 'static) -> Pool {
    Pool::new("pool", workers, make)
        .routing(Routing::RoundRobin)
        .with(|supervisor| supervisor.intensity(10, 5 * SECOND))
}

fn puppets(log: &Log) -> impl Fn(usize) -> Child + Send + Sync + 'static {
    let log = log.clone();
    move |number| puppet(IDS[number], &log)
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_crashed_gets_nothing_until_it_is_back() {
    let log = Log::default();
    let make = puppets(&log);
    let pool = pool_of(3, move |number| {
        make(number).backoff(Backoff::constant(SECOND))
    });
    let (_tree, workers) = start(&system(), &pool).await;
    assert_eq!(log.take(), "+0 +1 +2");
    let crashed = &workers.all()[1];
    crashed.tell(Order::Fail).await.expect("it runs");
    settle().await;
    for _ in 0..30 {
        workers
            .router()
            .tell(Order::Note("x"))
            .await
            .expect("two run");
    }
    settle().await;
    assert_eq!(crashed.queue_depth(), 0);
    assert_eq!(log.take().matches('x').count(), 30);
    sleep(2 * SECOND).await;
    for _ in 0..30 {
        workers
            .router()
            .tell(Order::Note("x"))
            .await
            .expect("all run");
    }
    settle().await;
    let handled = crashed.ask(Order::Count).await.expect("it runs again");
    assert_eq!(handled, 11, "ten of thirty, and the question");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_shrinks_drains_those_that_leave_and_loses_nothing() {
    let log = Log::default();
    let system = system();
    let (tree, workers) = start(&system, &pool(&log, 4)).await;
    log.take();
    let router = workers.router().clone();
    for worker in workers.all() {
        worker.tell(Order::Busy(3 * SECOND)).await.expect("it runs");
    }
    for _ in 0..40 {
        router.tell(Order::Note("x")).await.expect("all run");
    }
    let asks: Vec<_> = (0..8)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { router.ask(Order::Count).await })
        })
        .collect();
    settle().await;
    let leaving = workers.all().split_off(1);
    let began = Instant::now();
    let resize = tokio::spawn({
        let workers = workers.clone();
        async move { workers.resize(1).await }
    });
    settle().await;
    assert_eq!(workers.count(), 1);
    // What comes now goes to the one that stays.
    for _ in 0..10 {
        router.tell(Order::Note("y")).await.expect("one runs");
    }
    assert!(leaving.iter().all(|worker| worker.queue_depth() == 12));
    resize.await.expect("no panic").expect("they stop");
    assert_eq!(began.elapsed(), 3 * SECOND, "they drain together");
    settle().await;
    let seen = log.take();
    assert_eq!(seen.matches('x').count(), 40);
    assert_eq!(seen.matches('y').count(), 10);
    for ask in asks {
        ask.await.expect("no panic").expect("it is answered");
    }
    assert!(leaving.iter().all(|worker| worker.is_gone()));
    assert_eq!(system.dead_letters().total(), 0);
    let sub = tree.supervisor("pool").expect("it is there");
    let counts = sub.count_children().await.expect("it runs");
    assert_eq!((counts.specs, counts.active), (1, 1));
}

/// Answers two seconds after its handler has returned, with nothing queued meanwhile.
#[derive(Default)]
struct AnswersLater(Option<Reply<u64>>);

enum Later {
    Ask(Reply<u64>),
    Answer,
}

impl Actor for AnswersLater {
    type Msg = Later;
    type Error = Failure;

    async fn handle(&mut self, msg: Later, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Later::Ask(reply) => {
                self.0 = Some(reply);
                cx.send_after(2 * SECOND, Later::Answer);
            }
            Later::Answer => self.0.take().expect("it was asked").send(7),
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_leaves_lives_until_it_has_answered_what_it_was_asked() {
    let pool = pool_of(2, |number| {
        Child::actor(number.to_string(), |_| async {
            Ok(AnswersLater::default())
        })
    });
    let tree = Supervisor::one_for_one("app").child(pool.child());
    let tree = tree.start(&system()).await.expect("it starts");
    let workers = pool.find::<Later>(&tree).expect("they are there");
    let asks: Vec<_> = (0..2)
        .map(|_| {
            let router = workers.router().clone();
            tokio::spawn(async move { router.ask(Later::Ask).await })
        })
        .collect();
    settle().await;
    workers.resize(1).await.expect("it stops");
    for ask in asks {
        assert_eq!(ask.await.expect("no panic"), Ok(7));
    }
}

#[tokio::test(start_paused = true)]
async fn while_one_drains_another_that_crashes_is_restarted_at_once() {
    let log = Log::default();
    let (_tree, workers) = start(&system(), &pool(&log, 2)).await;
    let all = workers.all();
    all[1]
        .tell(Order::Busy(20 * SECOND))
        .await
        .expect("it runs");
    let resize = tokio::spawn({
        let workers = workers.clone();
        async move { workers.resize(1).await }
    });
    settle().await;
    log.take();
    all[0].tell(Order::Fail).await.expect("it runs");
    settle().await;
    assert_eq!(log.take(), "-0 +0");
    assert!(!resize.is_finished());
    resize.await.expect("no panic").expect("it stops");
    assert_eq!(log.take(), "-1");
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_it_drains_loses_no_more_than_the_message_in_the_handler() {
    let log = Log::default();
    let system = system();
    let make = puppets(&log);
    let pool = pool_of(2, move |number| {
        make(number).backoff(Backoff::constant(SECOND))
    });
    let (_tree, workers) = start(&system, &pool).await;
    let last = workers.all()[1].clone();
    log.take();
    last.tell(Order::Busy(SECOND)).await.expect("it runs");
    for order in [
        Order::Note("a"),
        Order::Fail,
        Order::Note("b"),
        Order::Panic,
        Order::Note("c"),
    ] {
        last.tell(order).await.expect("there is room");
    }
    workers.resize(1).await.expect("it stops");
    assert_eq!(log.take(), "a -1 +1 b +1 c -1");
    assert!(last.is_gone());
    assert_eq!(system.dead_letters().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_drain_in_time_is_stopped_and_what_it_had_is_counted() {
    let log = Log::default();
    let system = system();
    let pool = pool(&log, 2).drain_for(10 * SECOND);
    let (_tree, workers) = start(&system, &pool).await;
    let last = workers.all()[1].clone();
    last.tell(Order::Busy(3600 * SECOND))
        .await
        .expect("it runs");
    last.tell(Order::Note("never"))
        .await
        .expect("there is room");
    let began = Instant::now();
    workers.resize(1).await.expect("it is killed");
    // As long as it may take, and then the five seconds of its specification.
    assert_eq!(began.elapsed(), 15 * SECOND);
    assert!(!log.take().contains("never"));
    settle().await;
    assert_eq!(system.dead_letters().total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_grows_and_its_new_workers_get_their_share() {
    let log = Log::default();
    let (_tree, workers) = start(&system(), &pool(&log, 1)).await;
    let router = workers.router().clone();
    workers.resize(4).await.expect("they start");
    assert_eq!(log.take(), "+0 +1 +2 +3");
    for _ in 0..40 {
        router.tell(Order::Note("x")).await.expect("all run");
    }
    settle().await;
    for worker in workers.all() {
        assert_eq!(worker.ask(Order::Count).await.expect("it runs"), 11);
    }
    workers.resize(0).await.expect("they stop");
    assert_eq!(workers.count(), 1, "there is always one");
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_with_its_worker_through_resizes_unless_that_one_leaves() {
    let log = Log::default();
    let (_tree, workers) = start(&system(), &pool(&log, 4)).await;
    // Which worker handles a key: the one whose count goes up.
    let owners = async || {
        let mut owners = Vec::new();
        for key in 0..50 {
            let all = workers.all();
            workers
                .router()
                .tell_by(&key, Order::Note("x"))
                .await
                .expect("all run");
            let owner = all.iter().position(|worker| worker.queue_depth() == 1);
            owners.push(owner.expect("one has it"));
            settle().await;
        }
        owners
    };
    let four = owners().await;
    assert_eq!(four.iter().collect::<HashSet<_>>().len(), 4);
    workers.resize(3).await.expect("it stops");
    let three = owners().await;
    for (before, after) in four.iter().zip(&three) {
        assert_eq!(before == after, *before != 3);
    }
    workers.resize(4).await.expect("it starts");
    assert_eq!(
        owners().await,
        four,
        "a worker of the same name has its keys"
    );
}

#[tokio::test(start_paused = true)]
async fn a_resize_that_fails_leaves_what_there_is() {
    let log = Log::default();
    let failures = Arc::new(Mutex::new(0));
    let (its_log, its_failures) = (log.clone(), failures.clone());
    let pool = pool_of(1, move |number| {
        failing(IDS[number], &its_log, &its_failures)
    });
    let (tree, workers) = start(&system(), &pool).await;
    *failures.lock().expect("no test panics") = 1;
    assert!(workers.resize(3).await.is_err());
    assert_eq!((workers.count(), workers.router().count()), (1, 1));
    let sub = tree.supervisor("pool").expect("it is there");
    assert_eq!(sub.count_children().await.expect("it runs").specs, 1);
    workers.resize(3).await.expect("now they start");
    assert_eq!((workers.count(), workers.router().count()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_resize_goes_on_when_nobody_waits_for_it_and_the_next_one_waits() {
    let log = Log::default();
    let (_tree, workers) = start(&system(), &pool(&log, 2)).await;
    log.take();
    workers.all()[1]
        .tell(Order::Busy(5 * SECOND))
        .await
        .expect("it runs");
    let resize = workers.resize(1);
    assert!(tokio::time::timeout(SECOND, resize).await.is_err());
    workers
        .resize(2)
        .await
        .expect("the first one ends, and then it starts");
    assert_eq!(log.take(), "-1 +1");
    assert_eq!(workers.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_router_outlives_a_restart_of_the_supervisor_which_begins_with_the_new_number() {
    let log = Log::default();
    let pool = pool(&log, 4).with(|supervisor| supervisor.intensity(0, 5 * SECOND));
    let (_tree, workers) = start(&system(), &pool).await;
    workers.resize(2).await.expect("they stop");
    log.take();
    workers.all()[0].tell(Order::Fail).await.expect("it runs");
    settle().await;
    let restarted = log.take();
    assert!(restarted.ends_with("+0 +1"), "{restarted}");
    for _ in 0..4 {
        workers.router().ask(Order::Count).await.expect("both run");
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_tree_has_ended_the_router_hands_messages_back_and_a_resize_fails() {
    let log = Log::default();
    let (tree, workers) = start(&system(), &pool(&log, 2)).await;
    tree.shutdown().await;
    let told = workers.router().tell(Order::Stop).await;
    assert!(matches!(told, Err(RouteError::NobodyEligible(Order::Stop))));
    assert!(workers.resize(1).await.is_err());
    assert!(workers.resize(8).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_pool_grows_with_its_load_and_shrinks_when_it_has_been_calm() {
    let log = Log::default();
    let system = system();
    let pool = pool(&log, 1).routing(Routing::LeastLoaded);
    let (tree, workers) = start(&system, &pool).await;
    let autoscale = Autoscale::between(1, 8).target(2.0).cool_down(60 * SECOND);
    let scaled = workers.clone();
    let scaler = Child::future("scaler", move || {
        let workers = scaled.clone();
        async move { workers.scale_by_load(autoscale).await }
    });
    tree.start_child(scaler).await.expect("it starts");
    // Twelve at a time, each takes a second: six workers.
    let until = Instant::now() + 60 * SECOND;
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let router = workers.router().clone();
            tokio::spawn(async move {
                let mut answers = 0;
                while Instant::now() < until {
                    router.tell(Order::Busy(SECOND)).await.expect("one runs");
                    router.ask(Order::Count).await.expect("it is answered");
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    sleep(30 * SECOND).await;
    let most = workers.count();
    assert!((5..=8).contains(&most), "{most}");
    for client in clients {
        let answers = client.await.expect("nothing is lost");
        assert!(answers > 5, "{answers}");
    }
    assert!(workers.count() >= 5, "it is not calm for long enough yet");
    sleep(180 * SECOND).await;
    assert_eq!(workers.count(), 1);
    assert_eq!(system.dead_letters().total(), 0);
    tree.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn workers_are_stopped_together_when_the_tree_ends() {
    for (busy, took, is_clean) in [(3, 3, true), (3600, 5, false)] {
        let (tree, workers) = start(&system(), &pool(&Log::default(), 4)).await;
        for worker in workers.all() {
            worker
                .tell(Order::Busy(busy * SECOND))
                .await
                .expect("it runs");
        }
        settle().await;
        let report = tree.shutdown().await;
        assert_eq!(report.took, took * SECOND, "not four times as much");
        assert_eq!(report.is_clean(), is_clean, "{report}");
    }
}
