//! What a timer of an actor costs, beside few and beside a million others, on a current_thread runtime.
//!
//! `cargo bench -p treewarden-benches --bench timers`. The clock of the runtime is paused, so that nothing waits: what is measured is work.

#![allow(
    missing_docs,
    reason = "criterion's macros make functions without documentation"
)]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokio::runtime::Builder;
use treewarden_runtime::{Actor, ActorRef, Context, Failure, Reply, System};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct Clock {
    fired: u64,
    awaited: Option<(u64, Reply<()>)>,
}

enum Msg {
    /// Sets so many timers, due one after the other within a minute or never, and says how long that took.
    Set(u64, bool, Reply<Duration>),
    /// Sets and cancels so many, one after the other, and says how long that took.
    SetAndCancel(u64, Reply<Duration>),
    /// Answers when so many have fired.
    Await(u64, Reply<()>),
    Tick,
}

impl Actor for Clock {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Set(count, soon, reply) => {
                let start = Instant::now();
                for number in 0..count {
                    let delay = match soon {
                        true => Duration::from_millis(number.wrapping_mul(7919) % 60_000),
                        false => 1000 * HOUR + Duration::from_millis(number % 1_000_000),
                    };
                    cx.send_after(delay, Msg::Tick);
                }
                reply.send(start.elapsed());
            }
            Msg::SetAndCancel(count, reply) => {
                let start = Instant::now();
                for number in 0..count {
                    let delay = HOUR + Duration::from_millis(number % 60_000);
                    cx.send_after(delay, Msg::Tick).cancel();
                }
                reply.send(start.elapsed());
            }
            Msg::Await(count, reply) => self.awaited = Some((count, reply)),
            Msg::Tick => self.fired += 1,
        }
        if let Some((count, reply)) = self.awaited.take_if(|(count, _)| *count <= self.fired) {
            self.fired -= count;
            reply.send(());
        }
        Ok(())
    }
}

async fn took(
    clock: &ActorRef<Msg>,
    question: impl FnOnce(Reply<Duration>) -> Msg + Unpin,
) -> Duration {
    clock.ask(question).await.expect("it answers")
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers");
    group.sample_size(10);
    for pending in [1_000_u64, 1_000_000] {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("one thread");
        let _entered = runtime.enter();
        let clock = System::new("bench").spawn(Clock::default());
        runtime.block_on(took(&clock, |reply| Msg::Set(pending, false, reply)));
        let id = BenchmarkId::new("set and cancel beside", pending);
        group.bench_function(id, |bench| {
            bench.iter_custom(|count| {
                runtime.block_on(took(&clock, |reply| Msg::SetAndCancel(count, reply)))
            });
        });
        let id = BenchmarkId::new("set beside, and fire", pending);
        group.bench_function(id, |bench| {
            bench.iter_custom(|count| {
                runtime.block_on(async {
                    let start = Instant::now();
                    took(&clock, |reply| Msg::Set(count, true, reply)).await;
                    let fired = clock.ask(|reply| Msg::Await(count, reply)).await;
                    fired.expect("all fire");
                    start.elapsed()
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, timers);
criterion_main!(benches);
