//! What an actor's beginning and end cost, piece by piece, on a current_thread runtime.
//!
//! `cargo bench -p treewarden-benches --bench lives`. The comparison with other systems is the program `peers`.

#![allow(
    missing_docs,
    reason = "criterion's macros make functions without documentation"
)]

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};
use treewarden_runtime::host::{HostHandle, HostSpec, Life, Observer};
use treewarden_runtime::{Actor, ActorRef, AddressState, Context, Failure, Init, Reply, System};

const ACTORS: u64 = 1000;

struct Fragile;

enum FragileMsg {
    Fail,
    Panic,
    Answer(Reply<()>),
}

impl Actor for Fragile {
    type Msg = FragileMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: FragileMsg, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            FragileMsg::Fail => Err(Failure::msg("asked to fail")),
            FragileMsg::Panic => std::panic::panic_any("asked to panic"),
            FragileMsg::Answer(reply) => {
                reply.send(());
                Ok(())
            }
        }
    }
}

async fn answers(actor: &ActorRef<FragileMsg>) {
    actor
        .ask(FragileMsg::Answer)
        .await
        .expect("an incarnation answers");
}

fn spawn_all(runtime: &Runtime, system: &System) -> Vec<ActorRef<FragileMsg>> {
    runtime.block_on(async {
        let actors: Vec<_> = (0..ACTORS).map(|_| system.spawn(Fragile)).collect();
        // The tasks run in the order in which they were spawned.
        answers(&actors[actors.len() - 1]).await;
        actors
    })
}

fn stop_all(runtime: &Runtime, actors: Vec<ActorRef<FragileMsg>>) {
    runtime.block_on(async {
        for actor in &actors {
            actor.stop();
        }
        actors[actors.len() - 1].closed().await;
    });
}

/// The least of a supervisor: the next incarnation after every exit.
#[derive(Default)]
struct Restarter {
    child: OnceLock<HostHandle>,
}

impl Observer for Restarter {
    fn on_life(&self, event: Life) {
        if let (Life::Exited { .. }, Some(child)) = (event, self.child.get()) {
            child.mark(AddressState::Restarting);
            child.start();
        }
    }
}

fn lives(criterion: &mut Criterion) {
    // A report on standard error for each panic would be most of the time.
    std::panic::set_hook(Box::new(|_| {}));
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("one thread");
    let system = System::new("bench");

    let mut group = criterion.benchmark_group("lives");
    group.throughput(Throughput::Elements(ACTORS));
    group.bench_function("spawn", |bench| {
        bench.iter_batched(
            || (),
            |()| Stopped(&runtime, spawn_all(&runtime, &system)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("stop", |bench| {
        bench.iter_batched(
            || spawn_all(&runtime, &system),
            |actors| stop_all(&runtime, actors),
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let restarter = Arc::new(Restarter::default());
    let actor = runtime.block_on(async {
        let make = |_: Init<FragileMsg>| async { Ok(Some(Fragile)) };
        let hosted = system.host(HostSpec::new("/fragile"), make, restarter.clone());
        let (actor, child) = hosted.expect("no dispatcher is named");
        restarter.child.get_or_init(|| child).start();
        answers(&actor).await;
        actor
    });
    let mut group = criterion.benchmark_group("restart until the next incarnation answers");
    for (name, crash) in [
        ("failure", (|| FragileMsg::Fail) as fn() -> _),
        ("panic", || FragileMsg::Panic),
    ] {
        group.bench_function(name, |bench| {
            bench.iter_custom(|count| {
                runtime.block_on(async {
                    let start = Instant::now();
                    for _ in 0..count {
                        actor.tell(crash()).await.expect("restarted");
                        answers(&actor).await;
                    }
                    start.elapsed()
                })
            });
        });
    }
    group.finish();
}

/// Actors whose end is not part of the measurement: criterion drops what a measured function returns after the clock.
struct Stopped<'a>(&'a Runtime, Vec<ActorRef<FragileMsg>>);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        stop_all(self.0, std::mem::take(&mut self.1));
    }
}

criterion_group!(benches, lives);
criterion_main!(benches);
