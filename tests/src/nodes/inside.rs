//! The process of a node: [`run_node`]. It does its part in a singleton, says what it sees, answers on its standard input, and ends with that.
//!
//! | line of input | what |
//! |---|---|
//! | `view` | says what it believes of all members |
//! | `leave` | hands over, says goodbye and ends |

use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use treewarden::cluster::membership::{Event, State};
use treewarden::cluster::node::Key;
use treewarden::cluster::singleton::{Duty, SingletonConfig, Verdict};
use treewarden::cluster::transport::Credentials;
use treewarden::cluster::{Node, NodeConfig};
use treewarden::prelude::*;

use super::said::{Said, say};
use super::traffic;

/// What a node is told on its command line, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeSettings {
    /// Its name in the cluster `lab`.
    pub name: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where others may be.
    pub seeds: Vec<SocketAddr>,
    /// The folder of certificates and the gossip key.
    pub dir: PathBuf,
    /// How many parcels of each kind it sends to each other node in a second. None: no traffic.
    pub parcels_per_s: u32,
}

/// Runs a node until its input ends.
///
/// # Errors
///
/// Why it could not start.
pub fn run_node(settings: &str) -> Result<(), String> {
    let settings: NodeSettings =
        serde_json::from_str(settings).map_err(|error| format!("the settings: {error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let ran = runtime.block_on(serve(settings));
    if let Err(failure) = &ran {
        let why = failure.to_string();
        say(Said::Failed { why });
    }
    ran.map_err(|failure| failure.to_string())
}

async fn serve(settings: NodeSettings) -> Result<(), Failure> {
    let system = System::new(settings.name.as_str());
    let key = std::fs::read_to_string(settings.dir.join("gossip.key"))?;
    let config = NodeConfig::new("lab", &settings.name)
        .listen(settings.listen)
        .seeds(settings.seeds.iter().copied())
        .key(Key::from_hex(&key)?)
        .credentials(Credentials::from_dir(&settings.dir, &settings.name)?);
    let node = Arc::new(Node::start(&system, config).await?);
    let boot = node.id().boot.0;
    say(Said::Started { boot });
    tokio::spawn(tell_events(node.clone()));
    let duty = node.singleton("lab", SingletonConfig::default());
    tokio::spawn(serve_singleton(duty));
    if settings.parcels_per_s > 0 {
        traffic::start(&system, &node, settings.parcels_per_s)?;
    }
    let mut orders = orders();
    while let Some(order) = orders.recv().await {
        match order.as_str() {
            "view" => say(view(&node)),
            "leave" => break,
            other => return Err(Failure::msg(format!("there is no order {other:?}"))),
        }
    }
    node.shutdown().await;
    Ok(())
}

/// Lines of the standard input, read by a thread of their own.
fn orders() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn serve_singleton(mut duty: Duty) {
    while let Some(verdict) = duty.next().await {
        match verdict {
            Verdict::Begin(term) => say(Said::Begun { epoch: term.epoch }),
            Verdict::Stop => {
                say(Said::Stopped);
                duty.stopped();
            }
        }
    }
}

async fn tell_events(node: Arc<Node>) {
    let mut events = node.events();
    while let Some(event) = events.next().await {
        let said = match event {
            Event::MemberJoined(info) => Said::Joined {
                node: info.id.name.to_string(),
                boot: info.id.boot.0,
            },
            Event::MemberSuspected { id, .. } => Said::Suspected {
                node: id.name.to_string(),
            },
            Event::MemberUnreachable { id, .. } => Said::Unreachable {
                node: id.name.to_string(),
            },
            Event::MemberReachable { id } => Said::Reachable {
                node: id.name.to_string(),
            },
            Event::MemberDown { id, .. } => Said::Down {
                node: id.name.to_string(),
                boot: id.boot.0,
            },
            Event::SelfDown { .. } => Said::SelfDown,
            Event::Rejoined { id } => Said::Rejoined { boot: id.boot.0 },
            Event::Paused { late } => Said::Paused {
                late_ms: late.as_millis() as u64,
            },
            _ => continue,
        };
        say(said);
    }
}

fn view(node: &Node) -> Said {
    let word = |state: State| match state {
        State::Alive => "alive",
        State::Suspect => "suspect",
        State::Unreachable => "unreachable",
        State::Down(_) => "down",
    };
    let mut states: BTreeMap<String, String> = node
        .members()
        .into_iter()
        .map(|member| (member.id.name.to_string(), word(member.state).to_owned()))
        .collect();
    let mine = word(node.agent().state()).to_owned();
    states.insert(node.id().name.to_string(), mine);
    let found = node.groups().addresses(traffic::GROUP);
    let mut group: Vec<String> = found
        .into_iter()
        .filter(|member| member.is_reachable)
        .map(|member| member.address.node.name.to_string())
        .collect();
    group.sort();
    Said::View { states, group }
}
