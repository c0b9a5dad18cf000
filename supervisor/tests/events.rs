//! What is heard of a tree: the typed stream, and the same as tracing events.

mod common;

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Log, Order, actor, puppet, settle, system};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use treewarden_runtime::{Actor, Context, Failure, Reply};
use treewarden_supervisor::{Backoff, Child, Report, Restart, Shutdown, Supervisor, Tree};

const SECOND: Duration = Duration::from_secs(1);

/// Everything that a supervisor reports, in one life of a tree.
async fn a_life() -> Tree {
    let log = Log::default();
    let slow = puppet("slow", &log)
        .shutdown(Shutdown::Timeout(SECOND))
        .restart(Restart::Temporary);
    let calm = puppet("calm", &log).backoff(Backoff::constant(SECOND));
    Supervisor::one_for_one("app")
        .intensity(2, Duration::from_secs(60))
        .child(
            Supervisor::one_for_one("sub")
                .intensity(0, SECOND)
                .child(puppet("a", &log)),
        )
        .child(calm)
        .child(slow)
        .start(&system())
        .await
        .expect("it starts")
}

async fn live(tree: &Tree) {
    actor(tree, "calm")
        .tell(Order::Fail)
        .await
        .expect("it runs");
    settle().await;
    tokio::time::sleep(2 * SECOND).await;
    actor(tree, "sub/a")
        .tell(Order::Panic)
        .await
        .expect("it runs");
    settle().await;
    let busy = Order::Busy(Duration::from_secs(3600));
    actor(tree, "slow").tell(busy).await.expect("it runs");
    settle().await;
    tree.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_stream_tells_what_happens_where_and_why() {
    let tree = a_life().await;
    let mut events = tree.events();
    live(&tree).await;
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        let what = match &event.report {
            Report::Started { generation, .. } => format!("started {generation}"),
            Report::Exited { reason, .. } => format!("exited {}", reason.kind()),
            Report::Restarting { after, .. } => format!("restarting after {after:?}"),
            Report::Escalated { reason, .. } => format!("escalated {}", reason.kind()),
            Report::Stalled { waited, .. } => format!("stalled {waited:?}"),
            Report::StoppedBadly { reason, .. } => format!(
                "ended {} handling {}",
                reason.kind(),
                event
                    .suspect
                    .as_ref()
                    .map_or("nothing", |suspect| suspect.label)
            ),
            Report::Stopped { .. } => "stopped".into(),
            other => format!("{other:?}"),
        };
        told.push(format!("{} {what}", event.path));
    }
    assert_eq!(
        told,
        [
            "/app/calm exited failed",
            "/app/calm restarting after 1s",
            "/app/calm started 2",
            "/app/sub/a exited panicked",
            "/app/sub/a escalated panicked",
            "/app/sub exited escalated",
            "/app/sub restarting after 0ns",
            "/app/sub/a started 2",
            "/app/sub started 2",
            "/app/slow stalled 1s",
            "/app/slow ended killed handling busy",
            "/app/calm stopped",
            "/app/sub/a stopped",
            "/app/sub stopped",
        ]
    );
}

/// Keeps level and message of each event of this crate's.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}"); // writing to a String cannot fail
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("treewarden") && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = format!("{} ", event.metadata().level());
        event.record(&mut Message(&mut line));
        self.0
            .lock()
            .expect("no test panics while it notes")
            .push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn the_log_has_a_line_for_each_with_the_path_and_a_level_that_says_whether_to_look() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let tree = a_life().await;
    live(&tree).await;
    let lines = lines.0.lock().expect("nobody panicked").clone();
    assert_eq!(
        lines,
        [
            "WARN /app/calm exited: failed: told to",
            "INFO /app/calm restarts after 1s, 1 failures in a row",
            "WARN /app/sub/a exited: panicked: told to",
            "ERROR /app/sub/a failed too often (Intensity), last: panicked: told to; its supervisor gives up",
            "WARN /app/sub exited: escalated: more restarts than the intensity allows; the last to fail was /app/sub/a (panicked: told to)",
            "INFO /app/sub restarts",
            "WARN /app/slow did not stop within 1s; killed",
            "WARN /app/slow was stopped, but ended otherwise: killed",
        ]
    );
}

struct Worker(&'static str, u32);

impl Actor for Worker {
    type Msg = Option<Reply<String>>;
    type Error = Failure;

    async fn handle(&mut self, ask: Self::Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        let reply = ask.ok_or_else(|| Failure::msg("told to"))?;
        reply.send(format!("{} {}", self.0, self.1));
        Ok(())
    }
}

/// What OTP calls extra arguments is what the closure of a template captures.
#[tokio::test(start_paused = true)]
async fn a_dynamic_child_keeps_its_extra_arguments_when_it_is_restarted() {
    let pool = Supervisor::dynamic("pool").start(&system()).await;
    let pool = pool.expect("it starts");
    let template = |name: &'static str, shard: u32| {
        Child::actor("worker", move |_| async move { Ok(Worker(name, shard)) })
    };
    for (name, shard) in [("red", 1), ("blue", 2)] {
        let child = pool.start_child(template(name, shard)).await;
        let worker = child.expect("it starts").actor::<Option<Reply<String>>>();
        let worker = worker.expect("it is an actor");
        worker.tell(None).await.expect("it runs");
        let told = worker.ask(Some).await.expect("the next one answers");
        assert_eq!((told, worker.incarnation()), (format!("{name} {shard}"), 2));
        settle().await;
        tokio::time::sleep(10 * SECOND).await; // beyond the intensity
    }
}
