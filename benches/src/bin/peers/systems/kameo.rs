//! kameo: bounded mailboxes, one `Message` implementation for each kind of message, `tell(..).await`; its own
//! supervision, whose references survive a restart.

use std::panic::panic_any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kameo::error::Infallible;
use kameo::mailbox;
use kameo::prelude::*;

use crate::goal::Goal;
use crate::peer::{Alive, Doom, Life, Payload, Peer, Tally};
use crate::workload::CAPACITY;

pub(crate) struct Kameo;

pub(crate) struct Counter(Tally);

impl Actor for Counter {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(state)
    }
}

struct Add<P>(P);

impl<P: Payload> Message<Add<P>> for Counter {
    type Reply = ();

    async fn handle(&mut self, Add(payload): Add<P>, _: &mut Context<Self, ()>) {
        self.0.count(&payload);
    }
}

struct Get(u64);

impl Message<Get> for Counter {
    type Reply = u64;

    async fn handle(&mut self, Get(payload): Get, _: &mut Context<Self, u64>) -> u64 {
        self.0.answer(&payload)
    }
}

pub(crate) struct Relay {
    next: Option<ActorRef<Relay>>,
    goal: Goal,
}

impl Actor for Relay {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(state)
    }
}

struct Link(ActorRef<Relay>);

impl Message<Link> for Relay {
    type Reply = ();

    async fn handle(&mut self, Link(to): Link, _: &mut Context<Self, ()>) {
        self.next = Some(to);
    }
}

struct Pass(u64);

impl Message<Pass> for Relay {
    type Reply = ();

    async fn handle(&mut self, Pass(hops): Pass, _: &mut Context<Self, ()>) {
        match (&self.next, hops) {
            (Some(next), 1..) => next.tell(Pass(hops - 1)).await.expect("the ring lives"),
            _ => self.goal.arrive(),
        }
    }
}

pub(crate) struct Idle(Life);

impl Actor for Idle {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        state.0.started.arrive();
        Ok(state)
    }

    async fn on_stop(
        &mut self,
        _: WeakActorRef<Self>,
        _: ActorStopReason,
    ) -> Result<(), Infallible> {
        self.0.stopped.arrive();
        Ok(())
    }
}

struct Fragile {
    incarnation: u64,
}

impl Actor for Fragile {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(state)
    }
}

struct Crash;

impl Message<Crash> for Fragile {
    type Reply = ();

    async fn handle(&mut self, _: Crash, _: &mut Context<Self, ()>) {
        panic_any("asked to crash")
    }
}

struct Incarnation;

impl Message<Incarnation> for Fragile {
    type Reply = u64;

    async fn handle(&mut self, _: Incarnation, _: &mut Context<Self, u64>) -> u64 {
        self.incarnation
    }
}

pub(crate) struct Supervisor;

impl Actor for Supervisor {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(state)
    }
}

#[derive(Clone)]
struct Doomed(Doom);

impl Actor for Doomed {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, myself: ActorRef<Self>) -> Result<Self, Infallible> {
        if state.0.strikes() {
            myself.tell(Fail).try_send().expect("there is room");
        }
        Ok(state)
    }
}

struct Fail;

impl Message<Fail> for Doomed {
    type Reply = Result<(), &'static str>;

    async fn handle(&mut self, _: Fail, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        Err("asked to fail")
    }
}

struct Member(#[expect(dead_code, reason = "for its drop")] Alive);

impl Actor for Member {
    type Args = Life;
    type Error = Infallible;

    async fn on_start(life: Life, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Member(Alive::begin(life)))
    }
}

impl Peer for Kameo {
    type Counter<P: Payload> = ActorRef<Counter>;
    type Relay = ActorRef<Relay>;
    type Idle = ActorRef<Idle>;
    type Keep = ActorRef<Supervisor>;

    async fn counter<P: Payload>(tally: Tally) -> Self::Counter<P> {
        Counter::spawn_with_mailbox(Counter(tally), mailbox::bounded(CAPACITY))
    }

    async fn tells<P: Payload>(to: Self::Counter<P>, count: u64) {
        for number in 0..count {
            to.tell(Add(P::new(number)))
                .await
                .expect("the counter lives");
        }
    }

    async fn asks(to: Self::Counter<u64>, count: u64) {
        for number in 0..count {
            to.ask(Get(number)).await.expect("the counter answers");
        }
    }

    async fn fan_out(to: &[Self::Counter<u64>]) {
        for counter in to {
            counter.tell(Add(1_u64)).await.expect("the counter lives");
        }
    }

    async fn relay(goal: Goal) -> Self::Relay {
        Relay::spawn_with_mailbox(Relay { next: None, goal }, mailbox::bounded(CAPACITY))
    }

    async fn link(from: &Self::Relay, to: Self::Relay) {
        from.tell(Link(to)).await.expect("the ring lives");
    }

    async fn pass(to: &Self::Relay, hops: u64) {
        to.tell(Pass(hops)).await.expect("the ring lives");
    }

    async fn idle(life: Life) -> Self::Idle {
        Idle::spawn_with_mailbox(Idle(life), mailbox::bounded(CAPACITY))
    }

    async fn stop(idle: Self::Idle) {
        idle.stop_gracefully().await.expect("stopped once");
    }

    async fn crashes(count: usize) -> Option<Vec<Duration>> {
        let supervisor = Supervisor::spawn(Supervisor);
        let incarnations = AtomicU64::new(0);
        let make = move || Fragile {
            incarnation: incarnations.fetch_add(1, Ordering::Relaxed),
        };
        let fragile = Fragile::supervise_with(&supervisor, make)
            .restart_limit(u32::MAX, Duration::from_secs(1))
            .spawn_with_mailbox(mailbox::bounded(CAPACITY))
            .await;
        let mut times = Vec::with_capacity(count);
        for crash in 1..=count as u64 {
            let start = Instant::now();
            fragile.tell(Crash).await.expect("supervised");
            loop {
                match fragile.ask(Incarnation).await {
                    Ok(incarnation) => break assert_eq!(incarnation, crash),
                    // "Restarting": the documentation says that the ask can be made again.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
            times.push(start.elapsed());
        }
        Some(times)
    }

    async fn restarts(count: u64, goal: Goal) -> Option<ActorRef<Supervisor>> {
        let supervisor = Supervisor::spawn(Supervisor);
        let doomed = Doomed(Doom::new(count, goal));
        Doomed::supervise(&supervisor, doomed)
            .restart_limit(u32::MAX, Duration::from_secs(1))
            .spawn_with_mailbox(mailbox::bounded(CAPACITY))
            .await;
        Some(supervisor)
    }

    async fn family(lives: Vec<Life>) -> Option<ActorRef<Supervisor>> {
        let supervisor = Supervisor::spawn(Supervisor);
        for life in lives {
            Member::supervise(&supervisor, life)
                .spawn_with_mailbox(mailbox::bounded(CAPACITY))
                .await;
        }
        Some(supervisor)
    }

    async fn disband(family: ActorRef<Supervisor>) {
        family.stop_gracefully().await.expect("stopped once");
    }
}
