//! Singletons of running nodes, on real sockets of the loopback interface.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use treewarden_cluster::membership::{Metadata, State};
use treewarden_cluster::node::{Key, Preset};
use treewarden_cluster::singleton::{SingletonConfig, Verdict};
use treewarden_cluster::{Node, NodeConfig};
use treewarden_runtime::System;

const LIMIT: Duration = Duration::from_secs(30);
/// Three quarters of it are longer than any pause of a busy machine: who did not run for so long stops the work.
const MARGIN: Duration = Duration::from_secs(2);

/// Who began and stopped when.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Entry>>>);

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    node: String,
    /// `None`: it stopped.
    epoch: Option<u64>,
    at: Instant,
}

impl Log {
    fn note(&self, node: &str, epoch: Option<u64>) {
        self.0.lock().unwrap().push(Entry {
            node: node.to_owned(),
            epoch,
            at: Instant::now(),
        });
    }

    fn all(&self) -> Vec<Entry> {
        self.0.lock().unwrap().clone()
    }

    /// How often the work was begun.
    fn begun(&self) -> usize {
        let all = self.all();
        all.iter().filter(|entry| entry.epoch.is_some()).count()
    }

    /// Waits until that node has begun.
    async fn until_begun(&self, node: &str) -> Entry {
        let wait = async {
            loop {
                let all = self.all();
                let begun = |entry: &&Entry| entry.node == node && entry.epoch.is_some();
                if let Some(entry) = all.iter().rfind(begun) {
                    return entry.clone();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(LIMIT, wait).await;
        waited.unwrap_or_else(|_| panic!("{node} never begins: {:?}", self.all()))
    }
}

/// A node that does its part. The work takes a moment to stop.
async fn start(name: &str, role: &str, seeds: &[&Node], log: &Log) -> Node {
    let system = System::new(name);
    let config = NodeConfig::new("test", name)
        .preset(Preset::Local)
        .key(Key::from_bytes([7; 32]))
        .plaintext_links_on_loopback()
        .metadata(Metadata {
            roles: vec![role.to_owned()],
            ..Metadata::default()
        })
        .seeds(seeds.iter().map(|seed| seed.local_addr()));
    let node = Node::start(&system, config).await.unwrap();
    let mut duty = node.singleton("work", SingletonConfig::new(MARGIN).role("worker"));
    let (name, log) = (name.to_owned(), log.clone());
    tokio::spawn(async move {
        while let Some(verdict) = duty.next().await {
            match verdict {
                Verdict::Begin(term) => log.note(&name, Some(term.epoch)),
                Verdict::Stop => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    log.note(&name, None);
                    duty.stopped();
                }
            }
        }
    });
    let knows_all = async {
        while node.members().len() < seeds.len() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, knows_all).await.unwrap();
    node
}

#[tokio::test]
async fn the_oldest_with_the_role_works_and_hands_over_when_it_leaves() {
    let log = Log::default();
    let front = start("front", "front", &[], &log).await;
    let a = start("a", "worker", &[&front], &log).await;
    let by_a = log.until_begun("a").await;
    let b = start("b", "worker", &[&front, &a], &log).await;
    assert_eq!(
        log.all().len(),
        1,
        "the front, which is older, has not the role"
    );
    a.leave().await.unwrap();
    let by_b = log.until_begun("b").await;
    let all = log.all();
    let nodes: Vec<_> = all
        .iter()
        .map(|entry| (&*entry.node, entry.epoch))
        .collect();
    assert_eq!(nodes, [("a", by_a.epoch), ("a", None), ("b", by_b.epoch)]);
    assert!(by_b.epoch > by_a.epoch);
    for node in [a, b, front] {
        node.shutdown().await;
    }
    assert_eq!(log.all().len(), 4, "b has stopped as well");
}

#[tokio::test]
async fn the_work_of_a_node_that_dies_begins_elsewhere_after_it_was_declared_down() {
    let log = Log::default();
    let a = start("a", "worker", &[], &log).await;
    let by_a = log.until_begun("a").await;
    let b = start("b", "worker", &[&a], &log).await;
    // Boots are of the millisecond: who starts in the same one may be taken for the older.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let c = start("c", "worker", &[&a, &b], &log).await;
    // Without a word: for the others it is dead, and it hears nothing of being declared down.
    a.agent().shutdown().await;
    let is_down = async {
        let down = |node: &Node| {
            let member = node.member("a");
            member.is_some_and(|member| member.state.is_down())
        };
        while !(down(&b) && down(&c)) {
            assert_eq!(log.begun(), 1, "unreachable moves nothing");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Instant::now()
    };
    let down_at = tokio::time::timeout(LIMIT, is_down).await.unwrap();
    let by_b = log.until_begun("b").await;
    assert!(
        by_b.at >= down_at + MARGIN / 2,
        "not before the margin is over"
    );
    assert!(by_b.epoch > by_a.epoch);
    assert_eq!(c.member("b").map(|b| b.state), Some(State::Alive));
    assert_eq!(log.begun(), 2, "and nowhere else");
}
