//! Partition policies in running agents, on real sockets of the loopback interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use treewarden_cluster::agent::{
    Agent, AgentConfig, AgentError, AgentHandle, Events, Preset, Rejoin, Seed,
};
use treewarden_cluster::datagram::Key;
use treewarden_cluster::membership::{DownReason, Event, NodeId, State};
use treewarden_cluster::partition::{
    KeepMajority, Lease, LeaseAnswer, LeaseFuture, LeaseMajority, OfTwo, Undecided,
};

const LIMIT: Duration = Duration::from_secs(30);

/// How long the view has to be stable.
const STABLE_AFTER: Duration = Duration::from_millis(200);

fn config(node: &str, seeds: &[&AgentHandle]) -> AgentConfig {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let key = Key::from_bytes([1; 32]);
    let mut config = AgentConfig::new("test", node, any_port, key, Preset::Local);
    config.rejoin = Rejoin::Never;
    config.policy = Box::new(KeepMajority::new(STABLE_AFTER));
    config.seeds = seeds.iter().map(|seed| Seed::Addr(seed.addr())).collect();
    config
}

async fn next<R>(events: &mut Events, select: impl Fn(Event) -> Option<R>) -> R {
    let wait = async {
        loop {
            if let Some(found) = select(events.next().await.expect("the agent runs")) {
                return found;
            }
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .expect("waited in vain for an event")
}

/// Two agents that know each other: the settings of the first, and what is done to those of both.
async fn two(change: impl Fn(&mut AgentConfig)) -> (AgentHandle, AgentHandle) {
    let mut first = config("a", &[]);
    change(&mut first);
    let first = Agent::start(first).await.expect("the first agent starts");
    let mut events = first.subscribe();
    let mut second = config("b", &[&first]);
    change(&mut second);
    let second = Agent::start(second).await.expect("the second agent starts");
    next(&mut events, |event| {
        matches!(event, Event::MemberJoined(_)).then_some(())
    })
    .await;
    (first, second)
}

fn down(event: Event) -> Option<(NodeId, DownReason)> {
    match event {
        Event::MemberDown { id, reason, .. } => Some((id, reason)),
        _ => None,
    }
}

#[tokio::test]
async fn of_two_nodes_the_survivor_asks_an_operator_unless_it_was_said_who_stays() {
    let (a, b) = two(|_| {}).await;
    let mut events = a.subscribe();
    b.shutdown().await;
    let undecided = |event| match event {
        Event::PartitionUndecided { reason } => Some(reason),
        _ => None,
    };
    assert_eq!(next(&mut events, undecided).await, Undecided::TwoNodes);
    assert_eq!(a.member("b").unwrap().state, State::Unreachable);
    a.down(&b.id().name).await.unwrap();
    let told = next(&mut events, down).await;
    assert_eq!(told, (b.id(), DownReason::Operator));

    let (a, b) = two(|config| {
        config.policy = Box::new(KeepMajority::new(STABLE_AFTER).of_two(OfTwo::KeepOldest));
    })
    .await;
    let mut events = a.subscribe();
    b.shutdown().await;
    let told = next(&mut events, down).await;
    assert_eq!(told, (b.id(), DownReason::Policy));
}

/// Grants or refuses, or never answers.
#[derive(Clone, Copy, Debug)]
struct Registrar(Option<LeaseAnswer>);

impl Lease for Registrar {
    fn acquire(&self, _owner: &NodeId) -> LeaseFuture<'_> {
        Box::pin(async {
            match self.0 {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

#[tokio::test]
async fn who_gets_the_lease_goes_on_and_who_does_not_or_hears_nothing_yields() {
    for (answer, goes_on) in [
        (Some(LeaseAnswer::Granted), true),
        (Some(LeaseAnswer::Refused), false),
        (None, false),
    ] {
        let (a, b) = two(|config| {
            config.policy = Box::new(
                LeaseMajority::new(STABLE_AFTER).minority_waits(Duration::from_millis(100)),
            );
            config.lease = Some(std::sync::Arc::new(Registrar(answer)));
            config.lease_timeout = Duration::from_millis(100);
        })
        .await;
        let mut events = a.subscribe();
        b.shutdown().await;
        let outcome = |event| match event {
            Event::MemberDown { id, .. } => Some(Some(id)),
            Event::SelfDown { .. } => Some(None),
            _ => None,
        };
        let expected = goes_on.then(|| b.id());
        assert_eq!(next(&mut events, outcome).await, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_policy_that_needs_a_lease_does_not_start_without_one() {
    let mut config = config("a", &[]);
    config.policy = Box::new(LeaseMajority::new(STABLE_AFTER));
    let error = Agent::start(config).await.unwrap_err();
    assert!(matches!(error, AgentError::LeaseNeeded), "{error}");
}

/// The policies and singletons that go by age take the smaller boot for the older process.
#[tokio::test]
async fn of_processes_that_start_right_after_each_other_the_first_is_the_older() {
    let mut agents = Vec::new();
    for _ in 0..50 {
        agents.push(Agent::start(config("a", &[])).await.expect("it starts"));
    }
    assert!(agents.is_sorted_by(|first, second| first.id().boot < second.id().boot));
}
