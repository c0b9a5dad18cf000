//! xtra: bounded mailboxes, `send(..).detach()` for a tell. It has no supervision: a panic ends the actor for good.

use xtra::prelude::*;

use crate::goal::Goal;
use crate::peer::{Life, Payload, Peer, Tally};
use crate::workload::CAPACITY;

pub(crate) struct Xtra;

pub(crate) struct Counter(Tally);

impl Actor for Counter {
    type Stop = ();

    async fn stopped(self) {}
}

struct Add<P>(P);

impl<P: Payload> Handler<Add<P>> for Counter {
    type Return = ();

    async fn handle(&mut self, Add(payload): Add<P>, _: &mut Context<Self>) {
        self.0.count(&payload);
    }
}

struct Get(u64);

impl Handler<Get> for Counter {
    type Return = u64;

    async fn handle(&mut self, Get(payload): Get, _: &mut Context<Self>) -> u64 {
        self.0.answer(&payload)
    }
}

pub(crate) struct Relay {
    next: Option<Address<Relay>>,
    goal: Goal,
}

impl Actor for Relay {
    type Stop = ();

    async fn stopped(self) {}
}

struct Link(Address<Relay>);

impl Handler<Link> for Relay {
    type Return = ();

    async fn handle(&mut self, Link(to): Link, _: &mut Context<Self>) {
        self.next = Some(to);
    }
}

struct Pass(u64);

impl Handler<Pass> for Relay {
    type Return = ();

    async fn handle(&mut self, Pass(hops): Pass, _: &mut Context<Self>) {
        match (&self.next, hops) {
            (Some(next), 1..) => {
                // The answer of the neighbour is not awaited.
                let _answer = next
                    .send(Pass(hops - 1))
                    .detach()
                    .await
                    .expect("the ring lives");
            }
            _ => self.goal.arrive(),
        }
    }
}

pub(crate) struct Idle(Life);

impl Actor for Idle {
    type Stop = ();

    async fn started(&mut self, _: &Mailbox<Self>) -> Result<(), ()> {
        self.0.started.arrive();
        Ok(())
    }

    async fn stopped(self) {
        self.0.stopped.arrive();
    }
}

impl Peer for Xtra {
    type Counter<P: Payload> = Address<Counter>;
    type Relay = Address<Relay>;
    type Idle = Address<Idle>;
    type Keep = ();

    async fn counter<P: Payload>(tally: Tally) -> Self::Counter<P> {
        xtra::spawn_tokio(Counter(tally), Mailbox::bounded(CAPACITY))
    }

    async fn tells<P: Payload>(to: Self::Counter<P>, count: u64) {
        for number in 0..count {
            let _answer = to
                .send(Add(P::new(number)))
                .detach()
                .await
                .expect("the counter lives");
        }
    }

    async fn asks(to: Self::Counter<u64>, count: u64) {
        for number in 0..count {
            to.send(Get(number)).await.expect("the counter answers");
        }
    }

    async fn fan_out(to: &[Self::Counter<u64>]) {
        for counter in to {
            let _answer = counter
                .send(Add(1_u64))
                .detach()
                .await
                .expect("the counter lives");
        }
    }

    async fn relay(goal: Goal) -> Self::Relay {
        xtra::spawn_tokio(Relay { next: None, goal }, Mailbox::bounded(CAPACITY))
    }

    async fn link(from: &Self::Relay, to: Self::Relay) {
        from.send(Link(to)).await.expect("the ring lives");
    }

    async fn pass(to: &Self::Relay, hops: u64) {
        let _answer = to.send(Pass(hops)).detach().await.expect("the ring lives");
    }

    async fn idle(life: Life) -> Self::Idle {
        xtra::spawn_tokio(Idle(life), Mailbox::bounded(CAPACITY))
    }

    async fn stop(idle: Self::Idle) {
        // The last address that is dropped stops the actor.
        drop(idle);
    }
}
