//! The workloads, written once for every Rust system.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::goal::Goal;
use crate::memory::{peak_resident_bytes, resident_bytes};
use crate::peer::{Life, Payload, Peer, Tally, Wide};
use crate::stats::percentile;
use crate::workload::{CLIENTS, FAN, Measurement, RING, RuntimeKind, SLOW_WORK, Scale, Workload};

/// Runs one measurement of `P` in this process. `None` if the system has nothing to measure there.
pub(crate) fn measure<P: Peer>(
    measurement: Measurement,
    kind: RuntimeKind,
    scale: Scale,
) -> Option<Vec<(Workload, f64)>> {
    let budget = scale.budget;
    match measurement {
        Measurement::Tell1 => one(
            Workload::Tell1,
            P::run(kind, repeated(budget, |n| tell::<P, u64>(1, n))),
        ),
        Measurement::Tell4 => one(
            Workload::Tell4,
            P::run(kind, repeated(budget, |n| tell::<P, u64>(4, n))),
        ),
        Measurement::Tell1Wide => one(
            Workload::Tell1Wide,
            P::run(kind, repeated(budget, |n| tell::<P, Wide>(1, n))),
        ),
        Measurement::Tell4Wide => one(
            Workload::Tell4Wide,
            P::run(kind, repeated(budget, |n| tell::<P, Wide>(4, n))),
        ),
        Measurement::Ask1 => one(
            Workload::Ask1,
            P::run(kind, repeated(budget, |n| ask::<P>(1, n))),
        ),
        Measurement::Ask64 => one(
            Workload::Ask64,
            P::run(kind, repeated(budget, |n| ask::<P>(CLIENTS, n))),
        ),
        Measurement::PingPong => one(
            Workload::PingPong,
            P::run(kind, repeated(budget, |n| ring::<P>(2, n))),
        ),
        Measurement::Ring => one(
            Workload::Ring,
            P::run(kind, repeated(budget, |n| ring::<P>(RING, n))),
        ),
        Measurement::FanOut => one(Workload::FanOut, P::run(kind, fan_out::<P>(budget))),
        Measurement::Lives => Some(P::run(kind, lives::<P>(scale.idle_actors))),
        Measurement::Crash => P::run(kind, crashes::<P>(scale.crashes)),
        Measurement::Restart => P::run(kind, restarts::<P>(scale.crashes)),
        Measurement::Family => P::run(kind, family::<P>(scale.children)),
        Measurement::PeakMemory => one(
            Workload::PeakMemory,
            P::run(kind, peak_memory::<P>(scale.slow_messages)),
        ),
    }
}

fn one(workload: Workload, figure: f64) -> Option<Vec<(Workload, f64)>> {
    Some(vec![(workload, figure)])
}

/// Nanoseconds for each operation: `run(n)` does about `n` of them and returns how many and how long. The first,
/// growing runs warm up and tell how many fill the budget; only the last one counts.
async fn repeated<R, F>(budget: Duration, run: R) -> f64
where
    R: Fn(u64) -> F,
    F: Future<Output = (u64, Duration)>,
{
    let mut wanted = 1_000;
    loop {
        let (done, elapsed) = run(wanted).await;
        if elapsed >= budget / 10 {
            let each = elapsed.as_secs_f64() / done as f64;
            let (done, elapsed) = run((budget.as_secs_f64() / each) as u64).await;
            return elapsed.as_nanos() as f64 / done as f64;
        }
        wanted *= 4;
    }
}

async fn tell<P: Peer, T: Payload>(senders: u64, count: u64) -> (u64, Duration) {
    let each = count.div_ceil(senders);
    let total = each * senders;
    let goal = Goal::new(1);
    let counter = P::counter::<T>(Tally::new(total, goal.clone())).await;
    let start = Instant::now();
    for _ in 0..senders {
        P::client(P::tells(counter.clone(), each));
    }
    goal.reached().await;
    (total, start.elapsed())
}

async fn ask<P: Peer>(clients: u64, count: u64) -> (u64, Duration) {
    let each = count.div_ceil(clients);
    let counter = P::counter::<u64>(Tally::new(u64::MAX, Goal::new(1))).await;
    let start = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|_| P::client(P::asks(counter.clone(), each)))
        .collect();
    for task in tasks {
        task.await.expect("a client panicked");
    }
    (each * clients, start.elapsed())
}

/// One message that goes round; ping-pong is a ring of two.
async fn ring<P: Peer>(size: usize, hops: u64) -> (u64, Duration) {
    let goal = Goal::new(1);
    let mut relays = Vec::with_capacity(size);
    for _ in 0..size {
        relays.push(P::relay(goal.clone()).await);
    }
    for (position, relay) in relays.iter().enumerate() {
        P::link(relay, relays[(position + 1) % size].clone()).await;
    }
    // Once around, so that every relay has started and knows its neighbour.
    P::pass(&relays[0], size as u64).await;
    goal.reached().await;
    let start = Instant::now();
    P::pass(&relays[0], hops).await;
    goal.reached().await;
    (hops, start.elapsed())
}

async fn fan_out<P: Peer>(budget: Duration) -> f64 {
    let (goals, all) = Goal::grouped(FAN);
    let mut counters = Vec::with_capacity(FAN);
    for goal in goals {
        counters.push(P::counter::<u64>(Tally::new(1, goal)).await);
    }
    let counters = &counters;
    let all = &all;
    repeated(budget, move |count| async move {
        let rounds = count.div_ceil(FAN as u64);
        let start = Instant::now();
        for _ in 0..rounds {
            P::fan_out(counters).await;
            all.reached().await;
        }
        (rounds * FAN as u64, start.elapsed())
    })
    .await
}

async fn lives<P: Peer>(count: usize) -> Vec<(Workload, f64)> {
    let (started, all_started) = Goal::grouped(count);
    let (stopped, all_stopped) = Goal::grouped(count);
    // Written to before the baseline is taken: what holds the references is not the actors' memory.
    let mut actors: Vec<Option<P::Idle>> = (0..count).map(|_| None).collect();
    let lives: Vec<Life> = started
        .into_iter()
        .zip(stopped)
        .map(|(started, stopped)| Life { started, stopped })
        .collect();
    // The first actor pays for what the system sets up once.
    warm_up::<P>().await;

    let before = resident_bytes();
    let start = Instant::now();
    for (actor, life) in actors.iter_mut().zip(&lives) {
        *actor = Some(P::idle(life.clone()).await);
    }
    all_started.reached().await;
    let spawn = start.elapsed();
    let bytes = resident_bytes().saturating_sub(before);

    let start = Instant::now();
    for actor in actors.drain(..).flatten() {
        P::stop(actor).await;
    }
    all_stopped.reached().await;
    let stop = start.elapsed();

    let count = count as f64;
    vec![
        (Workload::Spawn, spawn.as_nanos() as f64 / count),
        (Workload::Bytes, bytes as f64 / count),
        (Workload::Stop, stop.as_nanos() as f64 / count),
    ]
}

async fn warm_up<P: Peer>() {
    let life = Life {
        started: Goal::new(1),
        stopped: Goal::new(1),
    };
    let idle = P::idle(life.clone()).await;
    life.started.reached().await;
    P::stop(idle).await;
    life.stopped.reached().await;
}

async fn crashes<P: Peer>(count: usize) -> Option<Vec<(Workload, f64)>> {
    // A report on standard error for each crash would be most of the time.
    std::panic::set_hook(Box::new(|_| {}));
    let mut times = P::crashes(count).await?;
    times.sort_unstable();
    let micros = |percent| percentile(&times, percent).as_nanos() as f64 / 1000.0;
    Some(vec![
        (Workload::CrashP50, micros(50)),
        (Workload::CrashP99, micros(99)),
    ])
}

async fn restarts<P: Peer>(count: usize) -> Option<Vec<(Workload, f64)>> {
    std::panic::set_hook(Box::new(|_| {}));
    let goal = Goal::new(1);
    let start = Instant::now();
    let keep = P::restarts(count as u64, goal.clone()).await?;
    goal.reached().await;
    let elapsed = start.elapsed();
    drop(keep);
    one(Workload::Restart, elapsed.as_nanos() as f64 / count as f64)
}

async fn family<P: Peer>(count: usize) -> Option<Vec<(Workload, f64)>> {
    let (started, all_started) = Goal::grouped(count);
    let (stopped, all_stopped) = Goal::grouped(count);
    let lives: Vec<Life> = started
        .into_iter()
        .zip(stopped)
        .map(|(started, stopped)| Life { started, stopped })
        .collect();
    let before = resident_bytes();
    let start = Instant::now();
    let family = P::family(lives).await?;
    all_started.reached().await;
    let up = start.elapsed();
    let bytes = resident_bytes().saturating_sub(before);
    let start = Instant::now();
    P::disband(family).await;
    all_stopped.reached().await;
    let down = start.elapsed();
    let count = count as f64;
    Some(vec![
        (Workload::ChildStart, up.as_nanos() as f64 / count),
        (Workload::ChildStop, down.as_nanos() as f64 / count),
        (Workload::ChildBytes, bytes as f64 / count),
    ])
}

async fn peak_memory<P: Peer>(count: u64) -> f64 {
    let goal = Goal::new(1);
    let counter = P::counter::<u64>(Tally::new(count, goal.clone()).slow(SLOW_WORK)).await;
    let before = resident_bytes();
    P::client(P::tells(counter, count));
    goal.reached().await;
    peak_resident_bytes().saturating_sub(before) as f64 / 1e6
}
