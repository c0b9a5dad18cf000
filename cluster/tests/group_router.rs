//! Routers over groups of running nodes, on real sockets of the loopback interface.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use treewarden_cluster::{
    Node, NodeConfig,
    groups::{GroupAskError, GroupRouteError, GroupRouter},
    membership::{CORDON, Metadata},
    node::{Key, Preset},
    remote::RemoteMessage,
};
use treewarden_runtime::{
    Actor, ActorRef, Context, Failure, PeakEwma, Recipient, Reply, Routing, System,
};

/// Nothing here takes long; whoever waits longer waits for ever.
const SAFETY_NET: Duration = Duration::from_secs(30);

#[derive(Clone, Serialize, Deserialize)]
struct Note(u64);

#[derive(Serialize, Deserialize)]
enum Work {
    Who(Reply<String>),
    Note(Note),
    Notes(Reply<Vec<u64>>),
}

impl From<Note> for Work {
    fn from(note: Note) -> Self {
        Self::Note(note)
    }
}

// For a broadcast, which tells nobody to answer.
impl Clone for Work {
    fn clone(&self) -> Self {
        match self {
            Self::Note(note) => Self::Note(note.clone()),
            Self::Who(_) | Self::Notes(_) => panic!("an ask is not broadcast"),
        }
    }
}

impl RemoteMessage for Work {
    const NAME: &'static str = "test/work";
    const VERSION: u32 = 1;
}

struct Worker(String, Vec<u64>);

impl Actor for Worker {
    type Msg = Work;
    type Error = Failure;

    async fn handle(&mut self, msg: Work, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Work::Who(reply) => reply.send(self.0.clone()),
            Work::Note(Note(number)) => self.1.push(number),
            Work::Notes(reply) => reply.send(self.1.clone()),
        }
        Ok(())
    }
}

/// A node in a zone, with a worker in the group.
async fn start(name: &str, zone: &str, seeds: &[&Node]) -> (Node, ActorRef<Work>) {
    let system = System::new(name);
    let config = NodeConfig::new("test", name)
        .preset(Preset::Local)
        .key(Key::from_bytes([7; 32]))
        .plaintext_links_on_loopback()
        .metadata(Metadata {
            zone: zone.to_owned(),
            ..Metadata::default()
        })
        .seeds(seeds.iter().map(|seed| seed.local_addr()));
    let node = Node::start(&system, config).await.unwrap();
    let worker = system.spawn(Worker(name.into(), Vec::new()));
    node.groups().join("workers", &worker).unwrap();
    (node, worker)
}

/// Waits until `node` sees that many members that may be given something.
async fn until(node: &Node, open: usize) {
    let router = node.groups().router::<Work>("workers", Routing::RoundRobin);
    let wait = async {
        while router.members().iter().filter(|(_, open)| *open).count() != open {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(SAFETY_NET, wait).await;
    waited.unwrap_or_else(|_| panic!("not {open} members: {:?}", router.members()));
}

/// Who answers so many asks.
async fn who(router: &GroupRouter<Work>, asks: usize) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..asks {
        answers.push(router.ask(SAFETY_NET, Work::Who).await.unwrap());
    }
    answers.sort();
    answers.dedup();
    answers
}

#[tokio::test]
async fn every_policy_reaches_every_member_on_every_node_and_a_key_has_the_same_one_everywhere() {
    let (a, on_a) = start("a", "", &[]).await;
    let (b, on_b) = start("b", "", &[&a]).await;
    let (c, on_c) = start("c", "", &[&a, &b]).await;
    for node in [&a, &b, &c] {
        until(node, 3).await;
    }
    let policies = [
        Routing::RoundRobin,
        Routing::LeastLoaded,
        Routing::PowerOfTwo(PeakEwma::default()),
        Routing::Rendezvous,
    ];
    for routing in policies {
        let router = a.groups().router::<Work>("workers", routing);
        assert_eq!(who(&router, 60).await, ["a", "b", "c"], "{routing:?}");
    }
    let routers: Vec<GroupRouter<Work>> = [&a, &b, &c]
        .map(|node| node.groups().router("workers", Routing::RoundRobin))
        .into();
    for key in 0..20 {
        let mut answers = Vec::new();
        for router in &routers {
            answers.push(router.ask_by(&key, SAFETY_NET, Work::Who).await.unwrap());
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "key {key}: {answers:?}");
    }
    let counts = routers[0].broadcast(Work::Note(Note(7))).await;
    assert_eq!((counts.told, counts.missed), (3, 0));
    // The router and local and remote members are told things in the same way.
    let members: Vec<Recipient<Note>> = a
        .groups()
        .members::<Work>("workers")
        .iter()
        .map(|member| member.recipient())
        .collect();
    for member in members {
        member.tell(Note(8)).await.unwrap();
    }
    for worker in [on_a, on_b, on_c] {
        let noted = async {
            loop {
                let notes = worker.ask(Work::Notes).await.unwrap();
                if notes.len() == 2 {
                    break notes;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let noted = tokio::time::timeout(SAFETY_NET, noted).await.unwrap();
        assert_eq!(noted, [7, 8]);
    }
}

#[tokio::test]
async fn messages_stay_in_the_zone_while_it_has_members_and_go_elsewhere_when_it_has_none() {
    let (a, on_a) = start("a", "north", &[]).await;
    let (b, on_b) = start("b", "north", &[&a]).await;
    let (_c, _on_c) = start("c", "south", &[&a, &b]).await;
    until(&a, 3).await;
    let router = a.groups().router::<Work>("workers", Routing::RoundRobin);
    assert_eq!(who(&router, 30).await, ["a", "b"]);
    let over_all = a
        .groups()
        .router_over_all_zones::<Work>("workers", Routing::RoundRobin);
    assert_eq!(who(&over_all, 30).await, ["a", "b", "c"]);
    on_b.stop();
    until(&a, 2).await;
    assert_eq!(who(&router, 30).await, ["a"]);
    on_a.stop();
    until(&a, 1).await;
    assert_eq!(who(&router, 30).await, ["c"]);
}

#[tokio::test]
async fn who_is_unreachable_draining_or_cordoned_gets_nothing_and_without_members_the_message_comes_back()
 {
    let (a, on_a) = start("a", "", &[]).await;
    let (b, _on_b) = start("b", "", &[&a]).await;
    let (c, _on_c) = start("c", "", &[&a, &b]).await;
    until(&a, 3).await;
    let router = a.groups().router::<Work>("workers", Routing::RoundRobin);
    let metadata = b.agent().metadata();
    let mut drains = metadata.clone();
    drains.health_percent = 0;
    let mut is_cordoned = metadata.clone();
    is_cordoned.values.insert(CORDON.into(), "new disk".into());
    for takes_nothing in [drains, is_cordoned] {
        b.agent().set_metadata(takes_nothing).await.unwrap();
        until(&a, 2).await;
        assert_eq!(who(&router, 30).await, ["a", "c"]);
        b.agent().set_metadata(metadata.clone()).await.unwrap();
        until(&a, 3).await;
        assert_eq!(who(&router, 30).await, ["a", "b", "c"]);
    }
    b.agent().shutdown().await;
    until(&a, 2).await;
    c.agent().shutdown().await;
    until(&a, 1).await;
    assert_eq!(who(&router, 30).await, ["a"]);
    on_a.stop();
    until(&a, 0).await;
    let refused = router.tell(Work::Note(Note(1))).await.unwrap_err();
    assert!(matches!(
        refused,
        GroupRouteError::NobodyEligible(Work::Note(Note(1)))
    ));
    let refused = router.ask(SAFETY_NET, Work::Who).await;
    assert_eq!(refused, Err(GroupAskError::NobodyEligible));
}
