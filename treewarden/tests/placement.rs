//! Children on other nodes, on running nodes of the loopback interface.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use treewarden::{
    cluster::{
        Node, NodeConfig,
        membership::{Metadata, NodeId},
        node::{Key, Preset},
        remote::RemoteMessage,
        singleton::SingletonConfig,
    },
    placement::{self, Item, KeeperConfig, Kinds, Pace, Refusal, StartError},
    prelude::*,
    runtime::MonitorEvent,
};

/// Nothing here takes long; whoever waits longer waits for ever.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
enum CounterMsg {
    Add(Reply<u64>),
    Crash,
}

impl RemoteMessage for CounterMsg {
    const NAME: &'static str = "test/counter";
    const VERSION: u32 = 1;
}

struct Counter(u64);

impl Actor for Counter {
    type Msg = CounterMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: CounterMsg, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            CounterMsg::Add(reply) => {
                self.0 += 1;
                reply.send(self.0);
                Ok(())
            }
            CounterMsg::Crash => Err(Failure::msg("told to")),
        }
    }
}

fn kinds() -> Kinds {
    Kinds::new()
        .actor::<CounterMsg, u64>("counter", |id, first| {
            Child::actor(id, move |_| async move { Ok(Counter(first)) })
        })
        .children_max(4)
}

/// A node with a host, and a keeper of items.
struct Member {
    node: Arc<Node>,
    tree: Tree,
}

impl Member {
    async fn start(name: &str, zone: &str, seeds: &[&Member], items: Vec<Item>) -> Self {
        let system = System::new(name);
        let config = NodeConfig::new("test", name)
            .preset(Preset::Local)
            .key(Key::from_bytes([7; 32]))
            .plaintext_links_on_loopback()
            .metadata(Metadata {
                zone: zone.to_owned(),
                ..Metadata::default()
            })
            .seeds(seeds.iter().map(|seed| seed.node.local_addr()));
        let node = Arc::new(Node::start(&system, config).await.unwrap());
        let keeper = KeeperConfig {
            // Nothing is cut off or stopped here, and a busy machine is no reason to stop the work.
            singleton: SingletonConfig {
                contact: Duration::from_secs(5),
                ..SingletonConfig::new(Duration::from_millis(300))
            },
            pace: Pace {
                settling: Duration::from_millis(300),
                ..Pace::default()
            },
        };
        let tree = Supervisor::one_for_one("app")
            .child(placement::host("host", node.clone(), kinds()))
            .child(placement::keeper("keeper", node.clone(), keeper, items))
            .start(&system)
            .await
            .unwrap();
        Self { node, tree }
    }

    fn id(&self) -> NodeId {
        self.node.id()
    }

    /// Waits until the group is on these nodes, as this one sees it.
    async fn until(&self, group: &str, is_so: impl Fn(&[NodeId]) -> bool) -> Vec<NodeId> {
        let on = || {
            let found = self.node.groups().addresses(group);
            found
                .into_iter()
                .map(|found| found.address.node)
                .collect::<Vec<_>>()
        };
        let wait = async {
            while !is_so(&on()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            on()
        };
        let waited = tokio::time::timeout(LIMIT, wait).await;
        waited.unwrap_or_else(|_| panic!("{group} stays on {:?}", on()))
    }
}

/// On which nodes the members of a group are, as one member sees it.
fn placed_on(member: &Member, group: &str) -> Vec<NodeId> {
    let found = member.node.groups().addresses(group);
    found.into_iter().map(|found| found.address.node).collect()
}

async fn start(
    member: &Member,
    there: &NodeId,
    kind: &str,
    id: &str,
) -> Result<treewarden::cluster::remote::RemoteRef<CounterMsg>, StartError> {
    placement::start(&member.node, there, kind, id, &100_u64, LIMIT).await
}

#[tokio::test]
async fn a_child_of_a_kind_is_started_on_another_node_supervised_there_monitored_and_stopped() {
    let a = Member::start("a", "", &[], Vec::new()).await;
    let b = Member::start("b", "", &[&a], Vec::new()).await;
    a.until("~hosts", |on| on.len() == 2).await;
    let there = b.id();
    let counter = start(&a, &there, "counter", "c1").await.unwrap();
    assert_eq!(counter.node(), &there);
    assert_eq!(counter.ask(CounterMsg::Add).timeout(LIMIT).await, Ok(101));
    a.until("counter", |on| on == [there.clone()]).await;

    // It is restarted there, with the arguments that it was started with, and its references stay valid.
    let mut monitor = counter.monitor();
    counter.tell(CounterMsg::Crash).await.unwrap();
    let down = tokio::time::timeout(LIMIT, monitor.next()).await.unwrap();
    assert!(
        matches!(
            down,
            Some(MonitorEvent::Down {
                restart_follows: true,
                ..
            })
        ),
        "{down:?}"
    );
    assert_eq!(counter.ask(CounterMsg::Add).timeout(LIMIT).await, Ok(101));

    // What was started with an id is not started again, nor what nobody knows, nor too much.
    let refusal = |started: Result<_, StartError>| match started {
        Err(StartError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let again = refusal(start(&a, &there, "counter", "c1").await);
    assert!(matches!(again, Refusal::AlreadyRunning { address } if address.node == there));
    let unknown = refusal(start(&a, &there, "clock", "c2").await);
    assert_eq!(unknown, Refusal::UnknownKind);
    let wrong = placement::start::<CounterMsg>(&a.node, &there, "counter", "c2", &(), LIMIT).await;
    assert_eq!(refusal(wrong), Refusal::BadArguments);
    for id in ["c2", "c3", "c4"] {
        start(&a, &there, "counter", id).await.unwrap();
    }
    let too_many = refusal(start(&a, &there, "counter", "c5").await);
    assert_eq!(too_many, Refusal::TooMany { children_max: 4 });

    // Who stops it waits for its end.
    assert_eq!(
        placement::stop(&a.node, &there, "c1", LIMIT).await,
        Ok(true)
    );
    assert_eq!(
        placement::stop(&a.node, &there, "c1", LIMIT).await,
        Ok(false)
    );
    let gone = tokio::time::timeout(LIMIT, async {
        loop {
            match monitor.next().await {
                Some(MonitorEvent::Gone { .. }) | None => break,
                Some(_) => {}
            }
        }
    });
    gone.await.unwrap();
    a.until("counter", |on| on.len() == 3).await;

    // A node that is cordoned, or drains, takes nothing new, and its children go on.
    assert_eq!(
        placement::stop(&a.node, &there, "c4", LIMIT).await,
        Ok(true)
    );
    placement::cordon(&b.node, "new disk").await.unwrap();
    let cordoned = refusal(start(&a, &there, "counter", "c6").await);
    assert_eq!(cordoned, Refusal::Cordoned);
    placement::uncordon(&b.node).await.unwrap();
    start(&a, &there, "counter", "c4").await.unwrap();
    assert_eq!(placement::drain(&b.node, Duration::ZERO).await, Ok(3));
    let draining = refusal(start(&a, &there, "counter", "c6").await);
    assert_eq!(draining, Refusal::Draining);
    // All of it ends with the host.
    assert!(b.tree.shutdown().await.is_clean());
    a.until("counter", |on| on.is_empty()).await;
}

#[tokio::test]
async fn an_item_is_placed_again_when_its_node_dies_and_moves_away_before_one_leaves() {
    // By its hash, what has this name prefers a to b, and c to d.
    let items = || {
        let item = Item::new("users", "counter", &7_u64).unwrap();
        vec![item.replicas(2)]
    };
    // Boots are of the millisecond: who starts in the same one may be taken for the older.
    let pause = || tokio::time::sleep(Duration::from_millis(5));
    let a = Member::start("a", "north", &[], items()).await;
    pause().await;
    let b = Member::start("b", "north", &[&a], items()).await;
    pause().await;
    let c = Member::start("c", "south", &[&a, &b], items()).await;
    pause().await;
    let d = Member::start("d", "south", &[&a, &b, &c], items()).await;
    let south = |on: &[NodeId]| {
        let in_south = |id: &&NodeId| **id == c.id() || **id == d.id();
        on.iter().filter(in_south).count()
    };
    let first = d
        .until("users", |on| {
            on.len() == 2 && south(on) == 1 && on.contains(&a.id())
        })
        .await;

    // Without a word, and it is the one who decides: what it had is placed again in its zone, once it is down.
    a.node.agent().shutdown().await;
    let second = b
        .until("users", |on| {
            on.len() == 2 && south(on) == 1 && on.contains(&b.id())
        })
        .await;
    assert!(
        second.contains(&first[1]),
        "the other one stayed where it was"
    );

    // In good order: it runs elsewhere before it ends here.
    let (leaves, stays) = match second.contains(&c.id()) {
        true => (&c, &d),
        false => (&d, &c),
    };
    let least = async {
        let mut least = 2;
        loop {
            least = least.min(b.node.groups().addresses("users").len());
            if placed_on(&b, "users") == [b.id(), stays.id()] {
                return least;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let (left, least) = tokio::join!(
        placement::drain(&leaves.node, LIMIT),
        tokio::time::timeout(LIMIT, least)
    );
    assert_eq!((left, least.unwrap()), (Ok(0), 2));
    let users = b
        .node
        .groups()
        .router::<CounterMsg>("users", Routing::RoundRobin);
    assert!(users.ask(LIMIT, CounterMsg::Add).await.is_ok());
}
