//! actix: an actor lives in an arbiter, a thread with a current_thread runtime of its own.
//!
//! So a `multi` runtime means two arbiters here: the clients in one, the actors in the other, relays alternating. As
//! that makes every hop between them a crossing of threads, `actix-one` is measured beside it: all in one arbiter, which
//! is what `current` measures, too.
//!
//! A tell is `try_send`, and where the mailbox is full, an awaited `send`: actix's way to wait for room. `do_send` would
//! grow the mailbox without bound. A panic in a handler ends the whole arbiter, and `Supervisor` restarts only actors
//! that stop themselves; so there is no crash to measure.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;
use actix::{Arbiter, ArbiterHandle, System};

use tokio::task::JoinHandle;

use crate::goal::Goal;
use crate::peer::{Life, Payload, Peer, Tally};
use crate::workload::{CAPACITY, RuntimeKind};

/// Up to `ARBITERS` arbiters: with two, `multi` uses both; with one, it is the same as `current`.
pub(crate) struct Actix<const ARBITERS: usize>;

/// The second arbiter, if there is one. An actor's thread is process-wide knowledge in actix, too.
static SECOND: OnceLock<ArbiterHandle> = OnceLock::new();

fn start<A: Actor<Context = Context<A>> + Send>(actor: A) -> Addr<A> {
    match SECOND.get() {
        Some(arbiter) => A::start_in_arbiter(arbiter, |_| actor),
        None => actor.start(),
    }
}

pub(crate) struct Counter(Tally);

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Context<Self>) {
        cx.set_mailbox_capacity(CAPACITY);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Add<P>(P);

impl<P: Payload> Handler<Add<P>> for Counter {
    type Result = ();

    fn handle(&mut self, Add(payload): Add<P>, _: &mut Context<Self>) {
        self.0.count(&payload);
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Get(u64);

impl Handler<Get> for Counter {
    type Result = u64;

    fn handle(&mut self, Get(payload): Get, _: &mut Context<Self>) -> u64 {
        self.0.answer(&payload)
    }
}

pub(crate) struct Relay {
    next: Option<Addr<Relay>>,
    goal: Goal,
}

impl Actor for Relay {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Context<Self>) {
        cx.set_mailbox_capacity(CAPACITY);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Link(Addr<Relay>);

impl Handler<Link> for Relay {
    type Result = ();

    fn handle(&mut self, Link(to): Link, _: &mut Context<Self>) {
        self.next = Some(to);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Pass(u64);

impl Handler<Pass> for Relay {
    type Result = ();

    fn handle(&mut self, Pass(hops): Pass, _: &mut Context<Self>) {
        match (&self.next, hops) {
            // A handler cannot wait; one message in the ring fits into any mailbox.
            (Some(next), 1..) => next.try_send(Pass(hops - 1)).expect("the ring lives"),
            _ => self.goal.arrive(),
        }
    }
}

pub(crate) struct Idle(Life);

impl Actor for Idle {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Context<Self>) {
        cx.set_mailbox_capacity(CAPACITY);
        self.0.started.arrive();
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.0.stopped.arrive();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Idle {
    type Result = ();

    fn handle(&mut self, _: Stop, cx: &mut Context<Self>) {
        cx.stop();
    }
}

impl<const ARBITERS: usize> Peer for Actix<ARBITERS> {
    type Counter<P: Payload> = Addr<Counter>;
    type Relay = Addr<Relay>;
    type Idle = Addr<Idle>;
    type Keep = ();

    fn run<F>(kind: RuntimeKind, body: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        System::new().block_on(async move {
            if kind == RuntimeKind::Multi && ARBITERS == 2 {
                // The arbiter's thread ends with the process.
                SECOND.get_or_init(|| Arbiter::new().handle());
            }
            body.await
        })
    }

    /// In the first arbiter's set of local tasks: a task that is local to nothing pays for a way back into it.
    fn client(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        actix::spawn(task)
    }

    async fn counter<P: Payload>(tally: Tally) -> Self::Counter<P> {
        start(Counter(tally))
    }

    async fn tells<P: Payload>(to: Self::Counter<P>, count: u64) {
        for number in 0..count {
            match to.try_send(Add(P::new(number))) {
                Ok(()) => {}
                Err(SendError::Full(msg)) => to.send(msg).await.expect("the counter lives"),
                Err(SendError::Closed(_)) => unreachable!("the counter lives"),
            }
        }
    }

    async fn asks(to: Self::Counter<u64>, count: u64) {
        for number in 0..count {
            to.send(Get(number)).await.expect("the counter answers");
        }
    }

    async fn fan_out(to: &[Self::Counter<u64>]) {
        for counter in to {
            match counter.try_send(Add(1_u64)) {
                Ok(()) => {}
                Err(SendError::Full(msg)) => counter.send(msg).await.expect("the counter lives"),
                Err(SendError::Closed(_)) => unreachable!("the counter lives"),
            }
        }
    }

    async fn relay(goal: Goal) -> Self::Relay {
        static HERE: AtomicBool = AtomicBool::new(false);
        let relay = Relay { next: None, goal };
        if HERE.fetch_xor(true, Ordering::Relaxed) {
            relay.start()
        } else {
            start(relay)
        }
    }

    async fn link(from: &Self::Relay, to: Self::Relay) {
        from.send(Link(to)).await.expect("the ring lives");
    }

    async fn pass(to: &Self::Relay, hops: u64) {
        to.do_send(Pass(hops));
    }

    async fn idle(life: Life) -> Self::Idle {
        start(Idle(life))
    }

    async fn stop(idle: Self::Idle) {
        idle.do_send(Stop);
    }
}
