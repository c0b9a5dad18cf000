//! No actor system: a task that reads a bounded channel, the way to do without one.

use std::panic::panic_any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::goal::Goal;
use crate::peer::{Life, Payload, Peer, Tally};
use crate::workload::CAPACITY;

pub(crate) struct TokioChannel;

pub(crate) enum CounterMsg<P> {
    Add(P),
    Get(P, oneshot::Sender<u64>),
}

async fn count<P: Payload>(mut tally: Tally, mut mailbox: mpsc::Receiver<CounterMsg<P>>) {
    while let Some(msg) = mailbox.recv().await {
        match msg {
            CounterMsg::Add(payload) => tally.count(&payload),
            CounterMsg::Get(payload, reply) => {
                // The client may have gone away.
                let _ = reply.send(tally.answer(&payload));
            }
        }
    }
}

pub(crate) enum RelayMsg {
    Link(mpsc::Sender<RelayMsg>),
    Pass(u64),
}

async fn relay(goal: Goal, mut mailbox: mpsc::Receiver<RelayMsg>) {
    let mut next = None;
    while let Some(msg) = mailbox.recv().await {
        match msg {
            RelayMsg::Link(to) => next = Some(to),
            RelayMsg::Pass(0) => goal.arrive(),
            RelayMsg::Pass(hops) => {
                if let Some(next) = &next {
                    send(next, RelayMsg::Pass(hops - 1)).await;
                }
            }
        }
    }
}

async fn idle(life: Life, mut mailbox: mpsc::Receiver<u64>) {
    life.started.arrive();
    let mut total = 0;
    while let Some(number) = mailbox.recv().await {
        total += number;
    }
    std::hint::black_box(total);
    life.stopped.arrive();
}

enum FragileMsg {
    Crash,
    Incarnation(oneshot::Sender<u64>),
}

async fn fragile(incarnation: u64, mailbox: Arc<Mutex<mpsc::Receiver<FragileMsg>>>) {
    let mut mailbox = mailbox.lock().await;
    while let Some(msg) = mailbox.recv().await {
        match msg {
            FragileMsg::Crash => panic_any("asked to crash"),
            FragileMsg::Incarnation(reply) => {
                let _ = reply.send(incarnation);
            }
        }
    }
}

/// Restarts `fragile` as long as it panics.
async fn supervise(mailbox: mpsc::Receiver<FragileMsg>) {
    let mailbox = Arc::new(Mutex::new(mailbox));
    let mut incarnation = 0;
    while tokio::spawn(fragile(incarnation, mailbox.clone()))
        .await
        .is_err()
    {
        incarnation += 1;
    }
}

async fn send<M>(to: &mpsc::Sender<M>, msg: M) {
    if to.send(msg).await.is_err() {
        unreachable!("the task ends after its senders");
    }
}

impl Peer for TokioChannel {
    type Counter<P: Payload> = mpsc::Sender<CounterMsg<P>>;
    type Relay = mpsc::Sender<RelayMsg>;
    type Idle = mpsc::Sender<u64>;
    type Keep = ();

    async fn counter<P: Payload>(tally: Tally) -> Self::Counter<P> {
        let (sender, mailbox) = mpsc::channel(CAPACITY);
        tokio::spawn(count(tally, mailbox));
        sender
    }

    async fn tells<P: Payload>(to: Self::Counter<P>, count: u64) {
        for number in 0..count {
            if to.send(CounterMsg::Add(P::new(number))).await.is_err() {
                unreachable!("the task ends after its senders");
            }
        }
    }

    async fn asks(to: Self::Counter<u64>, count: u64) {
        for number in 0..count {
            let (reply, answer) = oneshot::channel();
            if to.send(CounterMsg::Get(number, reply)).await.is_err() {
                unreachable!("the task ends after its senders");
            }
            answer.await.expect("the counter answers");
        }
    }

    async fn fan_out(to: &[Self::Counter<u64>]) {
        for counter in to {
            if counter.send(CounterMsg::Add(1)).await.is_err() {
                unreachable!("the task ends after its senders");
            }
        }
    }

    async fn relay(goal: Goal) -> Self::Relay {
        let (sender, mailbox) = mpsc::channel(CAPACITY);
        tokio::spawn(relay(goal, mailbox));
        sender
    }

    async fn link(from: &Self::Relay, to: Self::Relay) {
        send(from, RelayMsg::Link(to)).await;
    }

    async fn pass(to: &Self::Relay, hops: u64) {
        send(to, RelayMsg::Pass(hops)).await;
    }

    async fn idle(life: Life) -> Self::Idle {
        let (sender, mailbox) = mpsc::channel(CAPACITY);
        tokio::spawn(idle(life, mailbox));
        sender
    }

    async fn stop(idle: Self::Idle) {
        drop(idle);
    }

    async fn crashes(count: usize) -> Option<Vec<Duration>> {
        let (fragile, mailbox) = mpsc::channel(CAPACITY);
        tokio::spawn(supervise(mailbox));
        let mut times = Vec::with_capacity(count);
        for crash in 1..=count as u64 {
            let start = Instant::now();
            send(&fragile, FragileMsg::Crash).await;
            let (reply, answer) = oneshot::channel();
            send(&fragile, FragileMsg::Incarnation(reply)).await;
            assert_eq!(answer.await, Ok(crash), "the next incarnation answers");
            times.push(start.elapsed());
        }
        Some(times)
    }
}
