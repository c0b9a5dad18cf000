//! Treewarden: one message type for each actor, bounded mailboxes, `tell(..).await` and `ask`.

use std::panic::panic_any;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use treewarden_runtime::{
    Actor, ActorRef, Context, ExitReason, Failure, Init, Mailbox, Observed, Reply, SpawnOptions,
    System,
};
use treewarden_supervisor::{Child, Supervisor, Tree};

use crate::goal::Goal;
use crate::peer::{self, Alive, Doom, Payload, Peer, Tally};
use crate::workload::CAPACITY;

/// `OBSERVED`: the actors of messages are [`Observed`], and somebody looks.
pub(crate) struct Treewarden<const OBSERVED: bool>;

/// Installs what an application that watches itself has: a subscriber that keeps spans, and a recorder.
pub(crate) fn observe() {
    let subscriber = tracing_subscriber::registry();
    tracing::subscriber::set_global_default(subscriber).expect("the first one here");
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::set_global_recorder(recorder).expect("the first one here");
}

fn system() -> &'static System {
    static SYSTEM: OnceLock<System> = OnceLock::new();
    SYSTEM.get_or_init(|| System::new("peers"))
}

fn spawn<const OBSERVED: bool, A: Actor>(actor: A) -> ActorRef<A::Msg> {
    let options = SpawnOptions::new().mailbox(Mailbox::bounded(CAPACITY));
    let spawned = match OBSERVED {
        false => system().spawn_with(options, actor),
        true => system().spawn_with(options, Observed::new(actor)),
    };
    spawned.expect("no name to clash")
}

struct Counter<P>(Tally, std::marker::PhantomData<P>);

pub(crate) enum CounterMsg<P> {
    Add(P),
    Get(P, Reply<u64>),
}

impl<P: Payload> Actor for Counter<P> {
    type Msg = CounterMsg<P>;
    type Error = Failure;

    async fn handle(&mut self, msg: CounterMsg<P>, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            CounterMsg::Add(payload) => self.0.count(&payload),
            CounterMsg::Get(payload, reply) => reply.send(self.0.answer(&payload)),
        }
        Ok(())
    }
}

struct Relay {
    next: Option<ActorRef<RelayMsg>>,
    goal: Goal,
}

pub(crate) enum RelayMsg {
    Link(ActorRef<RelayMsg>),
    Pass(u64),
}

impl Actor for Relay {
    type Msg = RelayMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: RelayMsg, _: &mut Context<Self>) -> Result<(), Failure> {
        match (msg, &self.next) {
            (RelayMsg::Link(to), _) => self.next = Some(to),
            (RelayMsg::Pass(hops @ 1..), Some(next)) => next.tell(RelayMsg::Pass(hops - 1)).await?,
            (RelayMsg::Pass(_), _) => self.goal.arrive(),
        }
        Ok(())
    }
}

struct Idle(peer::Life);

impl Actor for Idle {
    type Msg = u64;
    type Error = Failure;

    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.started.arrive();
        Ok(())
    }

    async fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }

    async fn stopped(&mut self, _: &ExitReason, _: &mut Context<Self>) {
        self.0.stopped.arrive();
    }
}

struct Fragile {
    incarnation: u64,
}

enum FragileMsg {
    Crash,
    Incarnation(Reply<u64>),
}

impl Actor for Fragile {
    type Msg = FragileMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: FragileMsg, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            FragileMsg::Crash => panic_any("asked to crash"),
            FragileMsg::Incarnation(reply) => reply.send(self.incarnation),
        }
        Ok(())
    }
}

struct Doomed(Doom);

impl Actor for Doomed {
    type Msg = ();
    type Error = Failure;

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        if self.0.strikes() {
            cx.myself().try_tell(())?;
        }
        Ok(())
    }

    async fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<(), Failure> {
        Err(Failure::msg("asked to fail"))
    }
}

struct Member(#[expect(dead_code, reason = "for its drop")] Alive);

impl Actor for Member {
    type Msg = u64;
    type Error = Failure;

    async fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

impl<const OBSERVED: bool> Peer for Treewarden<OBSERVED> {
    type Counter<P: Payload> = ActorRef<CounterMsg<P>>;
    type Relay = ActorRef<RelayMsg>;
    type Idle = ActorRef<u64>;
    type Keep = Tree;

    async fn counter<P: Payload>(tally: Tally) -> Self::Counter<P> {
        spawn::<OBSERVED, _>(Counter(tally, std::marker::PhantomData))
    }

    async fn tells<P: Payload>(to: Self::Counter<P>, count: u64) {
        for number in 0..count {
            to.tell(CounterMsg::Add(P::new(number)))
                .await
                .expect("the counter lives");
        }
    }

    async fn asks(to: Self::Counter<u64>, count: u64) {
        for number in 0..count {
            to.ask(|reply| CounterMsg::Get(number, reply))
                .await
                .expect("the counter answers");
        }
    }

    async fn fan_out(to: &[Self::Counter<u64>]) {
        for counter in to {
            counter
                .tell(CounterMsg::Add(1))
                .await
                .expect("the counter lives");
        }
    }

    async fn relay(goal: Goal) -> Self::Relay {
        spawn::<OBSERVED, _>(Relay { next: None, goal })
    }

    async fn link(from: &Self::Relay, to: Self::Relay) {
        from.tell(RelayMsg::Link(to)).await.expect("the ring lives");
    }

    async fn pass(to: &Self::Relay, hops: u64) {
        to.tell(RelayMsg::Pass(hops)).await.expect("the ring lives");
    }

    async fn idle(life: peer::Life) -> Self::Idle {
        spawn::<OBSERVED, _>(Idle(life))
    }

    async fn stop(idle: Self::Idle) {
        idle.stop();
    }

    async fn crashes(count: usize) -> Option<Vec<Duration>> {
        let make = |init: Init<FragileMsg>| async move {
            let incarnation = init.incarnation();
            Ok(Fragile { incarnation })
        };
        let child = Child::actor("fragile", make).mailbox(Mailbox::bounded(CAPACITY));
        let tree = Supervisor::one_for_one("tree")
            .intensity(u32::MAX, Duration::from_secs(1))
            .child(child)
            .start(system())
            .await
            .expect("the child starts");
        let fragile = tree.actor("fragile").expect("its messages have this type");
        let mut times = Vec::with_capacity(count);
        for crash in 1..=count as u64 {
            let start = Instant::now();
            fragile.tell(FragileMsg::Crash).await.expect("restarted");
            let incarnation = fragile.ask(FragileMsg::Incarnation).await.expect("answers");
            times.push(start.elapsed());
            assert_eq!(incarnation, crash + 1);
        }
        Some(times)
    }

    async fn restarts(count: u64, goal: Goal) -> Option<Tree> {
        let doom = Doom::new(count, goal);
        let make = move |_| {
            let doomed = Doomed(doom.clone());
            async move { Ok(doomed) }
        };
        let child = Child::actor("doomed", make).mailbox(Mailbox::bounded(CAPACITY));
        let tree = Supervisor::one_for_one("tree")
            .intensity(u32::MAX, Duration::from_secs(1))
            .child(child)
            .start(system())
            .await;
        Some(tree.expect("the child starts"))
    }

    async fn family(lives: Vec<peer::Life>) -> Option<Tree> {
        let tree = Supervisor::dynamic("family").start(system()).await;
        let tree = tree.expect("an empty supervisor starts");
        for life in lives {
            let make = move |_| {
                let life = life.clone();
                async move { Ok(Member(Alive::begin(life))) }
            };
            let child = Child::actor("member", make).mailbox(Mailbox::bounded(CAPACITY));
            tree.start_child(child).await.expect("the child starts");
        }
        Some(tree)
    }

    async fn disband(family: Tree) {
        family.shutdown().await;
    }
}
