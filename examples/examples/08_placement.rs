//! Four nodes in two zones keep an actor running on two of them, while one node dies and another one leaves.
//!
//! `cargo run --example placement`. The nodes share a process here; as far as they can tell each could have one of its own.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use treewarden::{
    cluster::{
        Node, NodeConfig,
        membership::Metadata,
        node::{Key, Preset},
        remote::RemoteMessage,
    },
    placement::{self, Item, KeeperConfig, Kinds},
    prelude::*,
};

struct Greeter(String);

#[derive(Serialize, Deserialize)]
struct Greet(Reply<String>);

impl RemoteMessage for Greet {
    const NAME: &'static str = "example/greet";
    const VERSION: u32 = 1;
}

impl Actor for Greeter {
    type Msg = Greet;
    type Error = Failure;

    async fn handle(
        &mut self,
        Greet(reply): Greet,
        _cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        reply.send(self.0.clone());
        Ok(())
    }
}

/// A node that runs greeters for others, and knows that two of them are wanted.
async fn start(name: &str, zone: &str, seeds: &[Arc<Node>]) -> Result<Arc<Node>, Failure> {
    let system = System::new(name);
    let config = NodeConfig::new("demo", name)
        .preset(Preset::Local)
        .key(Key::from_bytes([7; 32]))
        .plaintext_links_on_loopback()
        .metadata(Metadata {
            zone: zone.into(),
            ..Metadata::default()
        })
        .seeds(seeds.iter().map(|seed| seed.local_addr()));
    let node = Arc::new(Node::start(&system, config).await?);

    let here = name.to_owned();
    let kinds = Kinds::new().actor::<Greet, String>("greeter", move |id, greeting| {
        let text = format!("{greeting} from {here}");
        Child::actor(id, move |_| {
            let text = text.clone();
            async { Ok(Greeter(text)) }
        })
    });
    let wanted = Item::new("greeters", "greeter", &"hello")
        .map_err(Failure::msg)?
        .replicas(2);
    let mut config = KeeperConfig::new(Duration::from_millis(300));
    config.pace.settling = Duration::from_millis(500);
    Supervisor::one_for_one("app")
        .child(placement::host("host", node.clone(), kinds))
        .child(placement::keeper(
            "keeper",
            node.clone(),
            config,
            vec![wanted],
        ))
        .start(&system)
        .await?;
    Ok(node)
}

/// Waits until two greeters run, one in each zone and none on `but`; asks both, wherever they are.
async fn greetings(node: &Node, but: &str) -> Result<String, Failure> {
    let groups = node.groups();
    loop {
        let found = groups.addresses("greeters");
        let in_north = found.iter().filter(|found| found.zone == "north").count();
        if found.len() == 2
            && in_north == 1
            && !found
                .iter()
                .any(|found| found.address.node.name.as_str() == but)
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut answers = Vec::new();
    for greeter in groups.members::<Greet>("greeters") {
        answers.push(greeter.ask(Duration::from_secs(5), Greet).await?);
    }
    Ok(answers.join(", "))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut nodes = Vec::new();
    for (name, zone) in [
        ("a", "north"),
        ("b", "north"),
        ("c", "south"),
        ("d", "south"),
    ] {
        let node = start(name, zone, &nodes).await?;
        nodes.push(node);
    }
    println!("{}", greetings(&nodes[1], "").await?);

    // Without a word, as when its machine loses power. It may be the one that decides what runs where.
    nodes[0].agent().shutdown().await;
    println!("a is gone: {}", greetings(&nodes[1], "a").await?);

    // In good order: what runs on c runs elsewhere before it ends there.
    let left = placement::drain(&nodes[2], Duration::from_secs(30)).await?;
    println!(
        "c is drained, {left} left there: {}",
        greetings(&nodes[1], "c").await?
    );
    Ok(())
}
