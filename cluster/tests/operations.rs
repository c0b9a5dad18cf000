//! What an operator can do with a node that runs: cordon, drain, and drills with a gate. Real sockets on loopback.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use treewarden_cluster::{
    Node, NodeConfig,
    membership::{DownReason, Event, NodeId, State},
    node::{Drained, Key, Preset},
    remote::{RemoteMessage, RemoteRef},
    transport::Gate,
};
use treewarden_runtime::{Actor, Context, Failure, Reply, System};

/// Nothing here takes long; whoever waits longer waits for ever.
const SAFETY_NET: Duration = Duration::from_secs(30);

async fn soon<F: IntoFuture>(what: F) -> F::Output {
    tokio::time::timeout(SAFETY_NET, what.into_future())
        .await
        .expect("it takes much longer than it may")
}

#[derive(Debug, Serialize, Deserialize)]
enum Desk {
    /// Answered when the desk opens.
    Ask(Reply<u32>),
    Open,
}

impl RemoteMessage for Desk {
    const NAME: &'static str = "test/desk";
    const VERSION: u32 = 1;
}

#[derive(Default)]
struct Clerk {
    waiting: Vec<Reply<u32>>,
    is_open: bool,
}

impl Actor for Clerk {
    type Msg = Desk;
    type Error = Failure;

    async fn handle(&mut self, msg: Desk, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Desk::Ask(reply) => self.waiting.push(reply),
            Desk::Open => self.is_open = true,
        }
        if self.is_open {
            self.waiting.drain(..).for_each(|reply| reply.send(42));
        }
        Ok(())
    }
}

/// A node with a desk, behind a gate, that has found `seeds`.
async fn start(name: &str, seeds: &[&Node]) -> (Node, Gate) {
    let system = System::new(name);
    let gate = Gate::new();
    let config = NodeConfig::new("test", name)
        .preset(Preset::Local)
        .key(Key::from_bytes([7; 32]))
        .plaintext_links_on_loopback()
        .seeds(seeds.iter().map(|seed| seed.local_addr()))
        .gate(gate.clone());
    let node = Node::start(&system, config).await.unwrap();
    let clerk = system.spawn(Clerk::default());
    node.expose("desk", &clerk).unwrap();
    for seed in seeds {
        sees(&node, seed, |state| state.is_reachable()).await;
        sees(seed, &node, |state| state.is_reachable()).await;
    }
    (node, gate)
}

/// Waits until `node` sees the other one so.
async fn sees(node: &Node, other: &Node, so: impl Fn(State) -> bool) {
    let mut events = node.events();
    let name = other.id().name.to_string();
    soon(async {
        while !node.member(&name).is_some_and(|member| so(member.state)) {
            events.next().await;
        }
    })
    .await;
}

async fn sees_health(node: &Node, name: &str, health: u8) {
    let mut events = node.events();
    let is_so = || {
        node.member(name)
            .is_some_and(|member| member.record.metadata.health_percent == health)
    };
    soon(async {
        while !is_so() {
            events.next().await;
        }
    })
    .await;
}

fn desk(from: &Node, on: &NodeId) -> RemoteRef<Desk> {
    from.remote(on, "desk")
}

async fn has_asks_in_hand(node: &Node, asks: u64) {
    soon(async {
        while node.counters().asks_in_hand() != asks {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn sees_cordon(node: &Node, name: &str, is_cordoned: bool) {
    let mut events = node.events();
    let is_so = || {
        let member = node.member(name);
        member.is_some_and(|member| member.record.metadata.is_cordoned() == is_cordoned)
    };
    soon(async {
        while !is_so() {
            events.next().await;
        }
    })
    .await;
}

#[tokio::test]
async fn others_see_that_a_cordoned_node_wants_no_work_and_when_it_does_again() {
    let (a, _) = start("a", &[]).await;
    let (b, _) = start("b", &[&a]).await;
    b.uncordon().await.unwrap();
    assert!(!b.is_cordoned());
    b.cordon("new disk").await.unwrap();
    b.cordon("a newer disk").await.unwrap();
    assert!(b.is_cordoned());
    sees_cordon(&a, "b", true).await;
    b.uncordon().await.unwrap();
    sees_cordon(&a, "b", false).await;
    assert!(!b.is_cordoned());
}

#[tokio::test]
async fn a_node_that_drains_answers_what_it_was_asked_and_then_leaves() {
    let (a, _) = start("a", &[]).await;
    let (b, _) = start("b", &[&a]).await;
    let mut events = a.events();
    let to_b = desk(&a, &b.id());
    let asking = tokio::spawn({
        let to_b = to_b.clone();
        async move { to_b.ask(Desk::Ask).await }
    });
    has_asks_in_hand(&b, 1).await;
    let draining = tokio::spawn(async move { b.drain(SAFETY_NET).await });
    sees_health(&a, "b", 0).await;
    assert!(!draining.is_finished(), "an ask is in hand");
    to_b.tell(Desk::Open).await.unwrap();
    assert_eq!(soon(asking).await.unwrap(), Ok(42));
    assert_eq!(soon(draining).await.unwrap(), Drained { asks_left: 0 });
    let reason = soon(async {
        loop {
            if let Some(Event::MemberDown { reason, .. }) = events.next().await {
                return reason;
            }
        }
    });
    assert_eq!(reason.await, DownReason::Left);
}

#[tokio::test]
async fn a_node_that_drains_waits_no_longer_than_it_was_told_to() {
    let (a, _) = start("a", &[]).await;
    let (b, _) = start("b", &[&a]).await;
    let to_b = desk(&a, &b.id());
    let asking = tokio::spawn(async move { to_b.ask(Desk::Ask).await });
    has_asks_in_hand(&b, 1).await;
    let drained = soon(b.drain(Duration::from_millis(50))).await;
    assert_eq!(drained, Drained { asks_left: 1 });
    assert!(soon(asking).await.unwrap().is_err());
}

#[tokio::test]
async fn nodes_that_are_cut_from_each_other_are_unreachable_until_the_cut_is_healed() {
    let (a, gate_a) = start("a", &[]).await;
    let (b, gate_b) = start("b", &[&a]).await;
    let to_b = desk(&a, &b.id());
    to_b.tell(Desk::Open).await.unwrap();
    assert_eq!(soon(to_b.ask(Desk::Ask)).await, Ok(42));

    gate_a.cut(b.local_addr());
    gate_b.cut(a.local_addr());
    assert!(gate_a.is_cut(b.local_addr()));
    sees(&a, &b, |state| state == State::Unreachable).await;
    sees(&b, &a, |state| state == State::Unreachable).await;
    let asked = to_b.ask(Desk::Ask).timeout(Duration::from_millis(200));
    assert!(soon(asked).await.is_err());

    gate_a.heal(b.local_addr());
    gate_b.heal_all();
    sees(&a, &b, |state| state.is_reachable()).await;
    sees(&b, &a, |state| state.is_reachable()).await;
    // A link that was given up is dialed again.
    soon(async { while to_b.ask(Desk::Ask).await != Ok(42) {} }).await;
}
