//! The two systems: how a process of each is started, and how what it prints is read.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::Value;

const PORT: u16 = 7946;
/// 32 bytes for serf's encryption, as it wants them.
const SERF_KEY: &str = "Xl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl4=";

/// Whose processes they are.
#[derive(Clone, Debug)]
pub(crate) enum System {
    Treewarden { program: PathBuf, key: PathBuf },
    Serf,
}

/// What a process says of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    Alive,
    /// Unreachable for us, failed for serf.
    Lost,
}

impl System {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Treewarden { .. } => "treewarden",
            Self::Serf => "serf",
        }
    }

    /// The command line of one node. Settings are the defaults for a LAN.
    pub(crate) fn command(&self, node: usize, addr: Ipv4Addr, seeds: &[Ipv4Addr]) -> Vec<String> {
        let seeds = seeds
            .iter()
            .map(|seed| SocketAddr::from((*seed, PORT)).to_string());
        let bind = SocketAddr::from((addr, PORT)).to_string();
        let mut words: Vec<String> = match self {
            Self::Treewarden { program, key } => vec![
                program.display().to_string(),
                "member".into(),
                format!("--node={}", node_name(node)),
                format!("--bind={bind}"),
                format!("--key={}", key.display()),
            ],
            Self::Serf => vec![
                "serf".into(),
                "agent".into(),
                format!("-node={}", node_name(node)),
                format!("-bind={bind}"),
                format!("-encrypt={SERF_KEY}"),
                // So that a node that is started before its seeds does not wait for half a minute.
                "-retry-interval=1s".into(),
            ],
        };
        let flag = match self {
            Self::Treewarden { .. } => "--seed",
            Self::Serf => "-retry-join",
        };
        words.extend(seeds.map(|seed| format!("{flag}={seed}")));
        words
    }

    /// Of whom a line speaks, and what it says.
    pub(crate) fn read(&self, line: &str) -> Option<(usize, Belief)> {
        match self {
            Self::Treewarden { .. } => {
                let event: Value = serde_json::from_str(line).ok()?;
                let belief = match event["event"].as_str()? {
                    "joined" | "reachable" => Belief::Alive,
                    "unreachable" => Belief::Lost,
                    _ => return None,
                };
                Some((node_of(event["node"].as_str()?)?, belief))
            }
            Self::Serf => {
                let (_, event) = line.split_once("serf: EventMember")?;
                let (kind, rest) = event.split_once(": ")?;
                let belief = match kind {
                    "Join" => Belief::Alive,
                    "Failed" => Belief::Lost,
                    _ => return None,
                };
                Some((node_of(rest.split_whitespace().next()?)?, belief))
            }
        }
    }
}

fn node_name(node: usize) -> String {
    format!("node-{node}")
}

fn node_of(name: &str) -> Option<usize> {
    name.strip_prefix("node-")?.parse().ok()
}
