//! The tree of a singleton, on running nodes of the loopback interface.

use std::sync::Arc;
use std::time::Duration;

use treewarden::cluster::node::{Key, Preset};
use treewarden::cluster::singleton::SingletonConfig;
use treewarden::cluster::{Node, NodeConfig};
use treewarden::prelude::*;
use treewarden::singleton;

const LIMIT: Duration = Duration::from_secs(30);

/// A member whose tree has the singleton in it.
struct Member {
    system: System,
    node: Arc<Node>,
    tree: Tree,
}

impl Member {
    async fn start(name: &str, seeds: &[&Member]) -> Self {
        let system = System::new(name);
        let config = NodeConfig::new("test", name)
            .preset(Preset::Local)
            .key(Key::from_bytes([7; 32]))
            .plaintext_links_on_loopback()
            .seeds(seeds.iter().map(|seed| seed.node.local_addr()));
        let node = Arc::new(Node::start(&system, config).await.unwrap());
        // Nothing is cut off or stopped here, and a busy machine is no reason to stop the work.
        let config = SingletonConfig {
            contact: Duration::from_secs(5),
            ..SingletonConfig::new(Duration::from_millis(200))
        };
        let work = singleton::child("work", node.clone(), config, |_term| {
            let until_it_fails = || async { tokio::time::sleep(Duration::from_secs(3600)).await };
            Supervisor::one_for_one("work")
                .intensity(0, Duration::from_secs(1))
                .child(Child::future("worker", until_it_fails))
        });
        let tree = Supervisor::one_for_one("app")
            .child(work)
            .start(&system)
            .await
            .unwrap();
        Self { system, node, tree }
    }

    fn works(&self) -> bool {
        self.system.snapshot().find("/work/worker").is_some()
    }

    async fn until(&self, works: bool) {
        let wait = async {
            while self.works() != works {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(LIMIT, wait).await;
        assert!(waited.is_ok(), "in vain until it works: {works}");
    }
}

#[tokio::test]
async fn the_tree_of_a_singleton_runs_on_one_member_and_moves_when_that_leaves() {
    let a = Member::start("a", &[]).await;
    a.until(true).await;
    let b = Member::start("b", &[&a]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(a.works() && !b.works());
    a.node.leave().await.unwrap();
    assert!(!a.works(), "it stops before the node leaves");
    b.until(true).await;
    assert!(b.tree.shutdown().await.is_clean());
    assert!(!b.works(), "the tree that it is in takes it along");
}
