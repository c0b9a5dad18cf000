//! One child that fails as fast as it is restarted, beside a sibling that answers asks.

use std::time::{Duration, Instant};

use treewarden_runtime::{Actor, ActorRef, Context, Failure, Reply, System};
use treewarden_supervisor::{Child, Supervisor};

const ASKS: usize = 20_000;
/// Between asks, so that they are spread over the storm.
const PAUSE: Duration = Duration::from_micros(50);

/// What the sibling's askers felt.
pub(crate) struct Felt {
    pub(crate) quiet_p99_us: f64,
    pub(crate) storm_p99_us: f64,
    pub(crate) restarts: u64,
}

struct Sibling;

impl Actor for Sibling {
    type Msg = Reply<()>;
    type Error = Failure;

    async fn handle(&mut self, reply: Reply<()>, _: &mut Context<Self>) -> Result<(), Failure> {
        reply.send(());
        Ok(())
    }
}

struct Doomed;

impl Actor for Doomed {
    type Msg = ();
    type Error = Failure;

    async fn handle(&mut self, (): (), cx: &mut Context<Self>) -> Result<(), Failure> {
        // For the next incarnation: its queue outlives this one.
        cx.myself().try_tell(())?;
        Err(Failure::msg("told to fail"))
    }
}

pub(crate) async fn measure() -> Felt {
    let system = System::new("storm");
    let tree = Supervisor::one_for_one("tree")
        .intensity(u32::MAX, Duration::from_secs(1))
        .child(Child::actor("sibling", |_| async { Ok(Sibling) }))
        .child(Child::actor("doomed", |_| async { Ok(Doomed) }))
        .start(&system)
        .await
        .expect("both start");
    let sibling: ActorRef<Reply<()>> = tree.actor("sibling").expect("it is there");
    let doomed: ActorRef<()> = tree.actor("doomed").expect("it is there");
    p99_us(&sibling).await; // warms up
    let quiet_p99_us = p99_us(&sibling).await;
    doomed.tell(()).await.expect("it runs");
    let storm_p99_us = p99_us(&sibling).await;
    let restarts = doomed.incarnation() - 1;
    tree.shutdown().await;
    Felt {
        quiet_p99_us,
        storm_p99_us,
        restarts,
    }
}

async fn p99_us(sibling: &ActorRef<Reply<()>>) -> f64 {
    let mut times = Vec::with_capacity(ASKS);
    for _ in 0..ASKS {
        let start = Instant::now();
        sibling.ask(|reply| reply).await.expect("it answers");
        let end = Instant::now();
        times.push(end - start);
        while end.elapsed() < PAUSE {
            tokio::task::yield_now().await;
        }
    }
    times.sort_unstable();
    times[ASKS * 99 / 100].as_nanos() as f64 / 1000.0
}
