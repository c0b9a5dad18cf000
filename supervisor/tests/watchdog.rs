//! Handlers that take longer than their budget. What blocks a thread does so in real time.

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::system;
use tokio::sync::oneshot;
use treewarden_runtime::{
    Actor, ActorRef, AskError, Context, ExitReason, Failure, HandlerBudget, HandlerOverran,
    Measure, Overrun, Reply, System, Whereabouts,
};
use treewarden_supervisor::{Child, Report, Supervisor, Tree, TreeEvent};

/// So long that a thread which merely waits for its turn on a busy machine does not exceed it.
const BUDGET: Duration = Duration::from_millis(400);
const LIMIT: Duration = Duration::from_secs(30);

async fn within_limit<T>(future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(LIMIT, future).await;
    waited.expect("it happens within the limit")
}

enum Order {
    /// Waits at an await for ever.
    Await(Reply<()>),
    /// Blocks its thread until the test lets go, then stops itself and answers.
    Block(Reply<()>),
    /// Blocks its thread until the test lets go, then panics.
    BlockAndPanic,
    Incarnation(Reply<(u64, u64)>),
}

struct Worker {
    gate: Arc<Mutex<Receiver<()>>>,
    handled: u64,
    /// Says when it is dropped.
    dropped: Sender<u64>,
    incarnation: u64,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.dropped.send(self.incarnation);
    }
}

impl Actor for Worker {
    type Msg = Order;
    type Error = Failure;

    async fn handle(&mut self, order: Order, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.handled += 1;
        let wait = || {
            let gate = self.gate.lock().expect("nobody panics while it waits");
            let _ = gate.recv();
        };
        match order {
            Order::Await(reply) => {
                std::future::pending::<()>().await;
                reply.send(());
            }
            Order::Block(reply) => {
                wait();
                cx.stash(Order::BlockAndPanic)?;
                cx.unstash();
                cx.send_after(Duration::ZERO, Order::BlockAndPanic);
                cx.stop();
                reply.send(());
            }
            Order::BlockAndPanic => {
                wait();
                panic!("after all");
            }
            Order::Incarnation(reply) => reply.send((cx.incarnation(), self.handled)),
        }
        Ok(())
    }

    fn label(order: &Order) -> &'static str {
        match order {
            Order::Await(_) => "await",
            Order::Block(_) | Order::BlockAndPanic => "block",
            Order::Incarnation(_) => "incarnation",
        }
    }
}

struct Scene {
    tree: Tree,
    worker: ActorRef<Order>,
    events: tokio::sync::broadcast::Receiver<TreeEvent>,
    /// Events that came before one that was waited for: the watchdog and the supervisor tell theirs independently.
    earlier: Vec<TreeEvent>,
    /// Lets the handlers that block go on, when dropped for ever.
    gate: Sender<()>,
    dropped: Receiver<u64>,
    line: u32,
}

async fn scene(system: &System, budget: HandlerBudget) -> Scene {
    let (gate, closed) = channel();
    let closed = Arc::new(Mutex::new(closed));
    let (dropping, dropped) = channel();
    let line = line!() + 1;
    let child = Child::actor("worker", move |init| {
        let (gate, dropped) = (closed.clone(), dropping.clone());
        let incarnation = init.incarnation();
        async move {
            Ok(Worker {
                gate,
                handled: 0,
                dropped,
                incarnation,
            })
        }
    });
    let tree = Supervisor::one_for_one("app")
        .intensity(10, Duration::from_secs(60))
        .child(child.handler_budget(budget))
        .start(system)
        .await
        .expect("it starts");
    Scene {
        worker: tree.actor("worker").expect("it is there"),
        events: tree.events(),
        earlier: Vec::new(),
        tree,
        gate,
        dropped,
        line,
    }
}

impl Scene {
    async fn event(&mut self, wanted: fn(&Report<ExitReason>) -> bool) -> TreeEvent {
        if let Some(at) = self.earlier.iter().position(|event| wanted(&event.report)) {
            return self.earlier.remove(at);
        }
        loop {
            let event = within_limit(self.events.recv()).await.expect("not behind");
            if wanted(&event.report) {
                return event;
            }
            self.earlier.push(event);
        }
    }

    async fn overrun(&mut self) -> Overrun {
        let event = self
            .event(|report| matches!(report, Report::Overran { .. }))
            .await;
        match event.report {
            Report::Overran { overrun, .. } => overrun,
            other => panic!("not an overrun: {other:?}"),
        }
    }

    async fn exit(&mut self) -> (ExitReason, Option<&'static str>) {
        let event = self
            .event(|report| matches!(report, Report::Exited { .. }))
            .await;
        match event.report {
            Report::Exited { reason, .. } => (reason, event.suspect.map(|suspect| suspect.label)),
            other => panic!("not an exit: {other:?}"),
        }
    }

    /// Queues a message that blocks, and says where its answer comes out.
    async fn block(&self) -> oneshot::Receiver<Result<(), AskError>> {
        let (sender, answer) = oneshot::channel();
        let reply = Reply::from_fn(move |answer| {
            let _ = sender.send(answer); // the test may have ended
        });
        let told = self.worker.tell(Order::Block(reply)).await;
        told.expect("it runs");
        answer
    }

    async fn ask<T: Send + 'static>(&self, order: fn(Reply<T>) -> Order) -> Result<T, AskError> {
        within_limit(self.worker.ask(order)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_takes_too_long_is_reported_with_its_message_and_the_line_of_its_child() {
    let mut scene = scene(&system(), HandlerBudget::report(BUDGET)).await;
    let answer = scene.block().await;
    let overrun = scene.overrun().await;
    assert_eq!(overrun.label, "block");
    assert_eq!(overrun.whereabouts, Whereabouts::Blocking);
    assert_eq!(overrun.measure, Measure::Reported);
    assert!(overrun.elapsed >= BUDGET, "{overrun}");
    assert!(overrun.specified_at.file().ends_with("watchdog.rs"));
    assert_eq!(overrun.specified_at.line(), scene.line);
    // It is left alone, and what it does counts.
    scene.gate.send(()).expect("it waits");
    assert_eq!(within_limit(answer).await.expect("answered"), Ok(()));
    assert_eq!(scene.exit().await.0.kind(), "normal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_at_an_await_is_cancelled_and_counts_as_a_failure() {
    for budget in [
        HandlerBudget::cancel(BUDGET),
        HandlerBudget::give_up(BUDGET),
    ] {
        let mut scene = scene(&system(), budget).await;
        let answer = scene.ask(Order::Await).await;
        assert_eq!(answer, Err(AskError::CrashedWhileHandling));
        let overrun = scene.overrun().await;
        assert_eq!(overrun.whereabouts, Whereabouts::Awaiting);
        assert_eq!(overrun.measure, Measure::Cancelled);
        let (reason, suspect) = scene.exit().await;
        let ExitReason::Failed(failure) = &reason else {
            panic!("{reason}");
        };
        let error = failure.downcast_ref::<HandlerOverran>().expect("typed");
        assert_eq!((error.label, error.limit), ("await", BUDGET));
        assert_eq!(suspect, Some("await"));
        assert_eq!(scene.ask(Order::Incarnation).await, Ok((2, 1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_is_not_cancelled_before_it_comes_to_an_await() {
    let mut scene = scene(&system(), HandlerBudget::cancel(BUDGET)).await;
    let answer = scene.block().await;
    let overrun = scene.overrun().await;
    assert_eq!(overrun.measure, Measure::Reported);
    scene.gate.send(()).expect("it waits");
    // It has finished its work; failing it now would be of no use to anybody.
    assert_eq!(within_limit(answer).await.expect("answered"), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_is_given_up_by_choice_and_the_queue_goes_on() {
    let system = system();
    let mut scene = scene(&system, HandlerBudget::give_up(BUDGET)).await;
    let answer = scene.block().await;
    // Queued behind the one that blocks.
    assert_eq!(scene.ask(Order::Incarnation).await, Ok((2, 1)));
    let overrun = scene.overrun().await;
    assert_eq!(overrun.measure, Measure::GivenUp);
    let (reason, suspect) = scene.exit().await;
    assert_eq!((reason.kind(), suspect), ("hung", Some("block")));
    assert_eq!(system.hung(), 1);
    assert!(scene.dropped.try_recv().is_err(), "it keeps its state");
    // When it comes back its state is dropped; its stop, its answer, what it stashes and its timers have no effect.
    scene.gate.send(()).expect("it waits");
    let answer = within_limit(answer).await.expect("answered");
    assert_eq!(answer, Err(AskError::CrashedWhileHandling));
    let dropped = scene.dropped;
    let dropped = tokio::task::spawn_blocking(move || dropped.recv());
    assert_eq!(within_limit(dropped).await.expect("no panic"), Ok(1));
    assert_eq!(scene.worker.ask(Order::Incarnation).await, Ok((2, 2)));
    within_limit(async {
        while system.hung() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let report = within_limit(scene.tree.shutdown()).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_given_up_may_panic_when_it_comes_back() {
    let system = system();
    let mut scene = scene(&system, HandlerBudget::give_up(BUDGET)).await;
    scene
        .worker
        .tell(Order::BlockAndPanic)
        .await
        .expect("it runs");
    assert_eq!(scene.exit().await.0.kind(), "hung");
    scene.gate.send(()).expect("it waits");
    within_limit(async {
        while system.hung() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(scene.ask(Order::Incarnation).await, Ok((2, 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_are_given_up_than_the_system_allows() {
    let system = System::builder("test").max_hung(1).build();
    let mut scene = scene(&system, HandlerBudget::give_up(BUDGET)).await;
    scene
        .worker
        .tell(Order::BlockAndPanic)
        .await
        .expect("it runs");
    assert_eq!(scene.overrun().await.measure, Measure::GivenUp);
    assert_eq!(scene.ask(Order::Incarnation).await, Ok((2, 1)));
    scene
        .worker
        .tell(Order::BlockAndPanic)
        .await
        .expect("it runs");
    assert_eq!(scene.overrun().await.measure, Measure::NotGivenUp);
    assert_eq!(system.hung(), 1);
    drop(scene.gate);
}

#[test]
fn an_overrun_is_seen_while_all_workers_of_the_runtime_are_blocked() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut scene = runtime
        .block_on(runtime.spawn(async {
            let scene = scene(&system(), HandlerBudget::report(BUDGET)).await;
            scene
                .worker
                .tell(Order::BlockAndPanic)
                .await
                .expect("it runs");
            scene
        }))
        .expect("no panic");
    // From here on the only worker is stuck. This thread drives no task of it.
    let overrun = std::thread::spawn(move || {
        let event = loop {
            match scene.events.blocking_recv() {
                Ok(event) if matches!(event.report, Report::Overran { .. }) => break event,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        };
        drop(scene.gate);
        event
    });
    let event = overrun.join().expect("no panic");
    assert_eq!(&*event.path, "/app/worker");
}
