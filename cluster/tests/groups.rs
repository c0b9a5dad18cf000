//! Names and groups of running nodes, on real sockets of the loopback interface.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use treewarden_cluster::{
    Node, NodeConfig,
    groups::{Change, GroupError},
    node::{Key, Preset},
    remote::RemoteMessage,
};
use treewarden_runtime::{Actor, ActorRef, Context, Failure, Reply, System};

/// Nothing here takes long; whoever waits longer waits for ever.
const SAFETY_NET: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
enum Greet {
    Name(Reply<String>),
}

impl RemoteMessage for Greet {
    const NAME: &'static str = "test/greet";
    const VERSION: u32 = 1;
}

struct Greeter(String);

impl Actor for Greeter {
    type Msg = Greet;
    type Error = Failure;

    async fn handle(&mut self, msg: Greet, _: &mut Context<Self>) -> Result<(), Failure> {
        let Greet::Name(reply) = msg;
        reply.send(self.0.clone());
        Ok(())
    }
}

async fn start(name: &str, seeds: &[&Node]) -> (Node, ActorRef<Greet>) {
    let system = System::new(name);
    let config = NodeConfig::new("test", name)
        .preset(Preset::Local)
        .key(Key::from_bytes([7; 32]))
        .plaintext_links_on_loopback()
        .seeds(seeds.iter().map(|seed| seed.local_addr()));
    let node = Node::start(&system, config).await.unwrap();
    let greeter = system.spawn(Greeter(name.into()));
    (node, greeter)
}

/// Waits, from change to change, until it is so.
async fn until(node: &Node, what: &str, is_so: impl Fn(&Node) -> bool) {
    let groups = node.groups();
    let mut changes = groups.changes();
    let wait = async {
        while !is_so(node) {
            changes.next().await.expect("the node lives");
        }
    };
    let waited = tokio::time::timeout(SAFETY_NET, wait).await;
    waited.unwrap_or_else(|_| panic!("{} waits in vain: {what}", node.id()));
}

/// What all members of the group say, in order.
async fn names(node: &Node, group: &str) -> Vec<String> {
    let mut names = Vec::new();
    for member in node.groups().members::<Greet>(group) {
        names.push(member.ask(SAFETY_NET, Greet::Name).await.unwrap());
    }
    names.sort();
    names
}

fn count(group: &'static str, expected: usize) -> impl Fn(&Node) -> bool {
    move |node| node.groups().addresses(group).len() == expected
}

#[tokio::test]
async fn members_of_a_group_are_found_and_reached_from_every_node() {
    let (a, on_a) = start("a", &[]).await;
    // Before anybody else is there, and by one that comes last.
    a.groups().join("greeters", &on_a).unwrap();
    a.groups().join("greeters", &on_a).unwrap();
    let (b, on_b) = start("b", &[&a]).await;
    b.groups().join("greeters", &on_b).unwrap();
    let (c, on_c) = start("c", &[&a, &b]).await;
    c.groups().join("greeters", &on_c).unwrap();
    for node in [&a, &b, &c] {
        until(node, "three members", count("greeters", 3)).await;
        assert_eq!(names(node, "greeters").await, ["a", "b", "c"]);
        let members = node.groups().members::<Greet>("greeters");
        assert_eq!(members.iter().filter(|member| member.is_local()).count(), 1);
    }
    assert!(b.groups().leave("greeters", &on_b));
    assert!(!b.groups().leave("greeters", &on_b));
    for node in [&a, &b, &c] {
        until(node, "two members", count("greeters", 2)).await;
        assert_eq!(names(node, "greeters").await, ["a", "c"]);
    }
    on_c.stop();
    until(&a, "the one that is gone has left", count("greeters", 1)).await;
}

#[tokio::test]
async fn a_name_has_one_holder_and_passes_on_when_that_is_gone() {
    let (a, on_a) = start("a", &[]).await;
    let (b, on_b) = start("b", &[&a]).await;
    let board = |node: &Node| node.groups().whereis("board");
    a.groups().register("board", &on_a).unwrap();
    a.groups().register("board", &on_a).unwrap();
    until(&b, "the name is known", |node| board(node).is_some()).await;
    let taken = b.groups().register("board", &on_b);
    let holder = board(&b).unwrap().address;
    assert_eq!(
        taken,
        Err(GroupError::NameTaken {
            name: "board".into(),
            holder,
        })
    );
    let found = b.groups().find::<Greet>("board").unwrap();
    assert_eq!(found.ask(SAFETY_NET, Greet::Name).await, Ok("a".into()));
    on_a.stop();
    until(&b, "the name is free", |node| board(node).is_none()).await;
    b.groups().register("board", &on_b).unwrap();
    let is_of_b = |node: &Node| board(node).is_some_and(|found| found.address.node == b.id());
    until(&a, "the name is of b", is_of_b).await;
}

#[tokio::test]
async fn what_is_on_a_node_that_dies_is_marked_and_then_goes() {
    let (a, on_a) = start("a", &[]).await;
    let (b, on_b) = start("b", &[&a]).await;
    let (c, _) = start("c", &[&a, &b]).await;
    a.groups().join("greeters", &on_a).unwrap();
    b.groups().join("greeters", &on_b).unwrap();
    for node in [&a, &c] {
        until(node, "two members", count("greeters", 2)).await;
    }
    let mut changes = a.groups().changes();
    let id = b.id();
    b.agent().shutdown().await;
    let heard = async {
        let mut heard = Vec::new();
        while heard.len() < 2 {
            heard.push(changes.next().await.unwrap());
        }
        heard
    };
    let heard = tokio::time::timeout(SAFETY_NET, heard).await.unwrap();
    assert_eq!(heard[0], Change::Unreachable { node: id.clone() });
    assert!(
        matches!(&heard[1], Change::Left { member, .. } if member.node == id),
        "{heard:?}"
    );
    until(&c, "c knows too", count("greeters", 1)).await;
}

#[tokio::test]
async fn a_member_that_takes_other_messages_is_not_found_as_one_of_these() {
    #[derive(Serialize, Deserialize)]
    struct Other;
    impl RemoteMessage for Other {
        const NAME: &'static str = "test/other";
        const VERSION: u32 = 1;
    }
    let (a, on_a) = start("a", &[]).await;
    a.groups().join("greeters", &on_a).unwrap();
    assert_eq!(a.groups().members::<Other>("greeters").len(), 0);
    assert_eq!(a.groups().members::<Greet>("greeters").len(), 1);
}
