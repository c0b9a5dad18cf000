//! What is heard of a tree: the typed stream. The same as lines of a log: `log.rs`.

mod common;

use std::time::Duration;

use common::{a_life, live, settle, system};
use treewarden_runtime::{Actor, Context, Failure, Reply};
use treewarden_supervisor::{Child, Report, Supervisor};

const SECOND: Duration = Duration::from_secs(1);

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
