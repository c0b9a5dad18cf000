//! ractor: one message type for each actor, `cast` and `call`. Its mailboxes are unbounded, so no send waits; a
//! reference dies with its incarnation, so the supervisor hands out the next one.

use std::panic::panic_any;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent, call};
use tokio::sync::mpsc;

use crate::goal::Goal;
use crate::peer::{Alive, Doom, Life, Payload, Peer, Tally};

pub(crate) struct Ractor;

struct Counter<P>(std::marker::PhantomData<P>);

pub(crate) enum CounterMsg<P> {
    Add(P),
    Get(P, RpcReplyPort<u64>),
}

impl<P: Payload> Actor for Counter<P> {
    type Msg = CounterMsg<P>;
    type State = Tally;
    type Arguments = Tally;

    async fn pre_start(
        &self,
        _: ActorRef<CounterMsg<P>>,
        tally: Tally,
    ) -> Result<Tally, ActorProcessingErr> {
        Ok(tally)
    }

    async fn handle(
        &self,
        _: ActorRef<CounterMsg<P>>,
        msg: CounterMsg<P>,
        tally: &mut Tally,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            CounterMsg::Add(payload) => tally.count(&payload),
            CounterMsg::Get(payload, reply) => reply.send(tally.answer(&payload))?,
        }
        Ok(())
    }
}

struct Relay;

pub(crate) enum RelayMsg {
    Link(ActorRef<RelayMsg>),
    Pass(u64),
}

impl Actor for Relay {
    type Msg = RelayMsg;
    type State = (Option<ActorRef<RelayMsg>>, Goal);
    type Arguments = Goal;

    async fn pre_start(
        &self,
        _: ActorRef<RelayMsg>,
        goal: Goal,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok((None, goal))
    }

    async fn handle(
        &self,
        _: ActorRef<RelayMsg>,
        msg: RelayMsg,
        (next, goal): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match (msg, &next) {
            (RelayMsg::Link(to), _) => *next = Some(to),
            (RelayMsg::Pass(hops @ 1..), Some(next)) => next.cast(RelayMsg::Pass(hops - 1))?,
            (RelayMsg::Pass(_), _) => goal.arrive(),
        }
        Ok(())
    }
}

struct Idle;

impl Actor for Idle {
    type Msg = u64;
    type State = Life;
    type Arguments = Life;

    async fn pre_start(&self, _: ActorRef<u64>, life: Life) -> Result<Life, ActorProcessingErr> {
        life.started.arrive();
        Ok(life)
    }

    async fn post_stop(&self, _: ActorRef<u64>, life: &mut Life) -> Result<(), ActorProcessingErr> {
        life.stopped.arrive();
        Ok(())
    }
}

struct Fragile;

enum FragileMsg {
    Crash,
    Incarnation(RpcReplyPort<u64>),
}

impl Actor for Fragile {
    type Msg = FragileMsg;
    type State = u64;
    type Arguments = u64;

    async fn pre_start(
        &self,
        _: ActorRef<FragileMsg>,
        incarnation: u64,
    ) -> Result<u64, ActorProcessingErr> {
        Ok(incarnation)
    }

    async fn handle(
        &self,
        _: ActorRef<FragileMsg>,
        msg: FragileMsg,
        incarnation: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            FragileMsg::Crash => panic_any("asked to crash"),
            FragileMsg::Incarnation(reply) => reply.send(*incarnation)?,
        }
        Ok(())
    }
}

struct Supervisor;

/// The newest incarnation's number, and where its reference is sent.
type Restarts = (u64, mpsc::UnboundedSender<ActorRef<FragileMsg>>);

async fn start_child(
    supervisor: ActorRef<()>,
    (incarnation, references): &Restarts,
) -> Result<(), ActorProcessingErr> {
    let cell = supervisor.get_cell();
    let (child, _) = Actor::spawn_linked(None, Fragile, *incarnation, cell).await?;
    references.send(child)?;
    Ok(())
}

impl Actor for Supervisor {
    type Msg = ();
    type State = Restarts;
    type Arguments = mpsc::UnboundedSender<ActorRef<FragileMsg>>;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        references: Self::Arguments,
    ) -> Result<Restarts, ActorProcessingErr> {
        let state = (0, references);
        start_child(myself, &state).await?;
        Ok(state)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        state: &mut Restarts,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            state.0 += 1;
            start_child(myself, state).await?;
        }
        Ok(())
    }
}

pub(crate) struct Doomed;

impl Actor for Doomed {
    type Msg = ();
    type State = ();
    type Arguments = Doom;

    async fn pre_start(&self, myself: ActorRef<()>, doom: Doom) -> Result<(), ActorProcessingErr> {
        if doom.strikes() {
            myself.cast(())?;
        }
        Ok(())
    }

    async fn handle(&self, _: ActorRef<()>, (): (), (): &mut ()) -> Result<(), ActorProcessingErr> {
        Err("asked to fail".into())
    }
}

/// Starts the doomed one again.
struct Guardian;

impl Actor for Guardian {
    type Msg = ();
    type State = Doom;
    type Arguments = Doom;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        doom: Doom,
    ) -> Result<Doom, ActorProcessingErr> {
        Actor::spawn_linked(None, Doomed, doom.clone(), myself.get_cell()).await?;
        Ok(doom)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        doom: &mut Doom,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            Actor::spawn_linked(None, Doomed, doom.clone(), myself.get_cell()).await?;
        }
        Ok(())
    }
}

pub(crate) struct Member;

impl Actor for Member {
    type Msg = u64;
    type State = Alive;
    type Arguments = Life;

    async fn pre_start(&self, _: ActorRef<u64>, life: Life) -> Result<Alive, ActorProcessingErr> {
        Ok(Alive::begin(life))
    }
}

/// Spawns its children when it starts.
struct Parent;

impl Actor for Parent {
    type Msg = ();
    type State = ();
    type Arguments = Vec<Life>;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        lives: Vec<Life>,
    ) -> Result<(), ActorProcessingErr> {
        for life in lives {
            Actor::spawn_linked(None, Member, life, myself.get_cell()).await?;
        }
        Ok(())
    }
}

impl Peer for Ractor {
    type Counter<P: Payload> = ActorRef<CounterMsg<P>>;
    type Relay = ActorRef<RelayMsg>;
    type Idle = ActorRef<u64>;
    type Keep = ActorRef<()>;

    async fn counter<P: Payload>(tally: Tally) -> Self::Counter<P> {
        let spawned = Actor::spawn(None, Counter(std::marker::PhantomData), tally).await;
        spawned.expect("no name to clash").0
    }

    async fn tells<P: Payload>(to: Self::Counter<P>, count: u64) {
        for number in 0..count {
            to.cast(CounterMsg::Add(P::new(number)))
                .expect("the counter lives");
        }
    }

    async fn asks(to: Self::Counter<u64>, count: u64) {
        for number in 0..count {
            call!(to, |reply| CounterMsg::Get(number, reply)).expect("the counter answers");
        }
    }

    async fn fan_out(to: &[Self::Counter<u64>]) {
        for counter in to {
            counter.cast(CounterMsg::Add(1)).expect("the counter lives");
        }
    }

    async fn relay(goal: Goal) -> Self::Relay {
        Actor::spawn(None, Relay, goal)
            .await
            .expect("no name to clash")
            .0
    }

    async fn link(from: &Self::Relay, to: Self::Relay) {
        from.cast(RelayMsg::Link(to)).expect("the ring lives");
    }

    async fn pass(to: &Self::Relay, hops: u64) {
        to.cast(RelayMsg::Pass(hops)).expect("the ring lives");
    }

    async fn idle(life: Life) -> Self::Idle {
        Actor::spawn(None, Idle, life)
            .await
            .expect("no name to clash")
            .0
    }

    async fn stop(idle: Self::Idle) {
        idle.stop(None);
    }

    async fn crashes(count: usize) -> Option<Vec<Duration>> {
        let (references, mut newest) = mpsc::unbounded_channel();
        let spawned = Actor::spawn(None, Supervisor, references).await;
        let _supervisor = spawned.expect("the first child starts");
        let mut fragile = newest.recv().await?;
        let mut times = Vec::with_capacity(count);
        for crash in 1..=count as u64 {
            let start = Instant::now();
            fragile.cast(FragileMsg::Crash).expect("supervised");
            fragile = newest.recv().await?;
            let incarnation =
                call!(fragile, FragileMsg::Incarnation).expect("the next one answers");
            times.push(start.elapsed());
            assert_eq!(incarnation, crash);
        }
        Some(times)
    }

    async fn restarts(count: u64, goal: Goal) -> Option<ActorRef<()>> {
        let spawned = Actor::spawn(None, Guardian, Doom::new(count, goal)).await;
        Some(spawned.expect("the first child starts").0)
    }

    async fn family(lives: Vec<Life>) -> Option<ActorRef<()>> {
        let spawned = Actor::spawn(None, Parent, lives).await;
        Some(spawned.expect("the children start").0)
    }

    async fn disband(family: ActorRef<()>) {
        family.stop(None);
    }
}
