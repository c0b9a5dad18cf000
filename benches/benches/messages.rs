//! What a message costs, piece by piece, on a current_thread runtime: no other core, no parked worker, no peer.
//!
//! `cargo bench -p treewarden-benches --bench messages`. The comparison with other systems is the program `peers`.

#![allow(
    missing_docs,
    reason = "criterion's macros make functions without documentation"
)]

use std::future::Future;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};
use treewarden_runtime::{
    Actor, ActorRef, Context, Criticality, Failure, Mailbox, MessageContext, Reply, Shedding,
    SpawnOptions, System,
};

/// Messages in a batch; they fit into the mailbox.
const BATCH: u64 = 512;

struct Counter(u64);

enum CounterMsg {
    Add(u64),
    Total(Reply<u64>),
}

impl Actor for Counter {
    type Msg = CounterMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: CounterMsg, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            CounterMsg::Add(number) => self.0 += number,
            CounterMsg::Total(reply) => reply.send(self.0),
        }
        Ok(())
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("one thread")
}

/// Runs `work` on `runtime` where an actor lives.
fn with_counter<F: Future>(
    runtime: &Runtime,
    mailbox: Mailbox,
    work: impl FnOnce(ActorRef<CounterMsg>) -> F,
) -> F::Output {
    let system = System::new("bench");
    runtime.block_on(async {
        let options = SpawnOptions::new().mailbox(mailbox);
        work(
            system
                .spawn_with(options, Counter(0))
                .expect("no name to clash"),
        )
        .await
    })
}

/// Returns when the actor has handled everything before.
async fn drained(counter: &ActorRef<CounterMsg>) -> u64 {
    counter
        .ask(CounterMsg::Total)
        .await
        .expect("the actor lives")
}

fn messages(criterion: &mut Criterion) {
    let runtime = runtime();
    let counter = with_counter(
        &runtime,
        Mailbox::bounded(2 * BATCH as usize),
        |counter| async {
            drained(&counter).await;
            counter
        },
    );
    let mut group = criterion.benchmark_group("mailbox");
    group.throughput(Throughput::Elements(BATCH));
    // Nothing polls the actor while the batch is pushed: the queue's side of the sender alone.
    group.bench_function("push", |bench| {
        bench.iter_batched(
            || runtime.block_on(drained(&counter)),
            |_| {
                for number in 0..BATCH {
                    counter
                        .try_tell(CounterMsg::Add(number))
                        .expect("there is room");
                }
            },
            BatchSize::PerIteration,
        );
    });
    // A full mailbox, then the run loop takes everything out.
    group.bench_function("pop", |bench| {
        bench.iter_batched(
            || {
                for number in 0..BATCH {
                    counter
                        .try_tell(CounterMsg::Add(number))
                        .expect("there is room");
                }
            },
            |()| runtime.block_on(drained(&counter)),
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let mut group = criterion.benchmark_group("tell");
    group.throughput(Throughput::Elements(BATCH));
    for capacity in [1, 64, 1024] {
        let counter = with_counter(&runtime, Mailbox::bounded(capacity), |counter| async {
            counter
        });
        group.bench_function(format!("capacity {capacity}"), |bench| {
            bench.iter(|| {
                runtime.block_on(async {
                    for number in 0..BATCH {
                        counter
                            .tell(CounterMsg::Add(number))
                            .await
                            .expect("the actor lives");
                    }
                    drained(&counter).await
                })
            });
        });
    }
    group.finish();

    // What travels with a message: nothing, or a deadline and a class; and what a mailbox that chooses costs.
    let mut group = criterion.benchmark_group("context");
    group.throughput(Throughput::Elements(BATCH));
    let mailboxes = [
        ("fifo", Mailbox::bounded(1024)),
        (
            "adaptive",
            Mailbox::bounded(1024).shed(Shedding::adaptive()),
        ),
        ("fair", Mailbox::bounded(1024).fair_by(|_: &CounterMsg| 0)),
    ];
    for (name, mailbox) in mailboxes {
        let counter = with_counter(&runtime, mailbox, |counter| async { counter });
        group.bench_function(format!("{name}, none"), |bench| {
            bench.iter(|| {
                runtime.block_on(async {
                    for number in 0..BATCH {
                        counter
                            .try_tell(CounterMsg::Add(number))
                            .expect("there is room");
                    }
                    drained(&counter).await
                })
            });
        });
        group.bench_function(format!("{name}, deadline and class"), |bench| {
            bench.iter(|| {
                runtime.block_on(async {
                    let context = MessageContext::new()
                        .with_deadline(tokio::time::Instant::now() + Duration::from_secs(60))
                        .with_criticality(Criticality::Default);
                    for number in 0..BATCH {
                        counter
                            .try_tell_with(CounterMsg::Add(number), context.clone())
                            .expect("there is room");
                    }
                    drained(&counter).await
                })
            });
        });
    }
    group.finish();

    // Entering the runtime costs more than an ask, so it is done once for many.
    criterion.bench_function("ask", |bench| {
        bench.iter_custom(|count| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..count {
                    drained(&counter).await;
                }
                start.elapsed()
            })
        });
    });
}

criterion_group!(benches, messages);
criterion_main!(benches);
