//! `treewarden member`: one member of a cluster, without actors. It says what it sees, an event a line, so that operators can look at a
//! cluster from a machine's place in the network, and experiments can measure it.
//!
//! What is not here: a way to command other members, and links. It is the agent of `treewarden-cluster` and a printer.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use treewarden_cluster::agent::{Agent, AgentConfig, AgentError, Preset, Security, Seed};
use treewarden_cluster::datagram::{Key, KeyError};
use treewarden_cluster::membership::{Event, NodeId};
use treewarden_cluster::node::{NodeConfig, NodeFileError, Wrong};

/// How long a leave may take before the process ends all the same.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// What the member is to be, without a file that says it.
#[derive(Debug)]
pub struct Plan {
    /// Its name.
    pub node: String,
    /// The cluster's name.
    pub cluster: String,
    /// Where it receives.
    pub bind: SocketAddr,
    /// Where others reach it, if that differs.
    pub advertise: Option<SocketAddr>,
    /// Where the cluster may be found.
    pub seeds: Vec<Seed>,
    /// File with the group's key; without one datagrams are in the clear.
    pub key: Option<PathBuf>,
    /// The timing.
    pub preset: Preset,
}

impl Plan {
    /// The settings that follow from it.
    ///
    /// # Errors
    /// That the key cannot be read.
    pub fn into_config(self) -> Result<AgentConfig, MemberError> {
        let key = match &self.key {
            Some(path) => Some(read_key(path)?),
            None => None,
        };
        let is_sealed = key.is_some();
        // In the clear the key of the settings is replaced below, and seals nothing.
        let key = key.unwrap_or_else(|| Key::from_bytes([0; 32]));
        let mut config = AgentConfig::new(&self.cluster, &self.node, self.bind, key, self.preset);
        config.advertise = self.advertise;
        config.seeds = self.seeds;
        if !is_sealed {
            config.security = Security::PlaintextForLoopback;
        }
        Ok(config)
    }
}

/// The settings in a file for a node. Those of links are checked and not used.
///
/// # Errors
/// [`MemberError::File`] if they cannot be used, or name no key.
pub fn config_from_file(path: &Path) -> Result<AgentConfig, MemberError> {
    let config = NodeConfig::from_file(path).map_err(MemberError::File)?;
    config.into_membership_alone().map_err(|_| {
        MemberError::File(NodeFileError {
            file: Some(path.to_owned()),
            field: "key_file".to_owned(),
            wrong: Wrong::Missing,
        })
    })
}

/// Why it did not run. It has not spoken to anybody then, unless it is [`Output`](Self::Output).
#[derive(Debug)]
#[non_exhaustive]
pub enum MemberError {
    /// The file of settings cannot be used.
    File(NodeFileError),
    /// The key's file cannot be read.
    KeyFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it is no key.
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The agent did not start.
    Agent(AgentError),
    /// Signals cannot be awaited, or the runtime cannot be made.
    System(io::Error),
    /// Nobody reads its output any more. The member has left.
    Output(io::Error),
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::KeyFile { path, source } => {
                write!(f, "cannot read the key in {}: {source}", path.display())
            }
            Self::Key { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Agent(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write what happens: {error}"),
        }
    }
}

impl std::error::Error for MemberError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::KeyFile { source, .. } | Self::System(source) | Self::Output(source) => {
                Some(source)
            }
            Self::File(source) => Some(source),
            Self::Key { source, .. } => Some(source),
            Self::Agent(source) => Some(source),
        }
    }
}

/// Runs the member until it is told to end by SIGINT or SIGTERM; then it leaves. Writes one JSON object a line to `out`.
///
/// # Errors
/// [`MemberError`].
pub fn run(config: AgentConfig, out: &mut impl Write) -> Result<(), MemberError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(MemberError::System)?;
    runtime.block_on(speak(config, out))
}

async fn speak(config: AgentConfig, out: &mut impl Write) -> Result<(), MemberError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(MemberError::System)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(MemberError::System)?;
    let member = Agent::start(config).await.map_err(MemberError::Agent)?;
    let mut events = member.subscribe();
    let started = json!({"event": "started", "addr": member.addr().to_string()});
    let mut written = line(out, about(started, &member.id()));
    let mut missed = 0;
    while written.is_ok() {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    if events.missed() > missed {
                        written = line(out, json!({"event": "missed", "count": events.missed() - missed}));
                        missed = events.missed();
                    }
                    written = written.and_then(|()| line(out, describe(&event)));
                }
                None => return Ok(()),
            },
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    let left = tokio::time::timeout(LEAVE_WITHIN, member.leave()).await;
    written.map_err(MemberError::Output)?;
    let told = matches!(left, Ok(Ok(())));
    line(out, json!({"event": "left", "told": told})).map_err(MemberError::Output)
}

fn read_key(path: &PathBuf) -> Result<Key, MemberError> {
    let text = std::fs::read_to_string(path).map_err(|source| MemberError::KeyFile {
        path: path.clone(),
        source,
    })?;
    Key::from_hex(&text).map_err(|source| MemberError::Key {
        path: path.clone(),
        source,
    })
}

/// Writes a line with the time of day in front of everything else that is said.
fn line(out: &mut impl Write, mut said: Value) -> io::Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    said["at_ms"] = json!(now.as_millis() as u64);
    writeln!(out, "{said}")?;
    out.flush()
}

fn about(mut said: Value, id: &NodeId) -> Value {
    said["node"] = json!(id.name.as_str());
    said["boot"] = json!(id.boot.0);
    said
}

fn describe(event: &Event) -> Value {
    match event {
        Event::MemberJoined(info) => about(
            json!({"event": "joined", "addr": info.record.addr.to_string()}),
            &info.id,
        ),
        Event::MemberUpdated(info) => about(
            json!({"event": "updated", "addr": info.record.addr.to_string()}),
            &info.id,
        ),
        Event::MemberSuspected { id, accuser } => about(
            json!({"event": "suspected", "accuser": accuser.as_str()}),
            id,
        ),
        Event::SuspicionRefuted { id } => about(json!({"event": "suspicion_refuted"}), id),
        Event::MemberUnreachable { id, accuser } => about(
            json!({"event": "unreachable", "accuser": accuser.as_str()}),
            id,
        ),
        Event::MemberReachable { id } => about(json!({"event": "reachable"}), id),
        Event::MemberDown {
            id,
            reason,
            decider,
        } => about(
            json!({"event": "down", "reason": format!("{reason:?}"), "decider": decider.as_str()}),
            id,
        ),
        Event::MemberForgotten { id } => about(json!({"event": "forgotten"}), id),
        Event::AnsweredByStreamAlone { id } => {
            about(json!({"event": "answered_by_stream_alone"}), id)
        }
        Event::Joined { via } => about(json!({"event": "found_cluster"}), via),
        Event::Refuted {
            incarnation,
            accuser,
        } => json!({"event": "refuted", "incarnation": incarnation, "accuser": accuser.as_str()}),
        Event::SelfDown { reason, decider } => json!({
            "event": "self_down", "reason": format!("{reason:?}"), "decider": decider.as_str()
        }),
        Event::PartitionUndecided { reason } => {
            json!({"event": "partition_undecided", "reason": format!("{reason:?}")})
        }
        Event::LeaseWanted { number, owner } => {
            about(json!({"event": "lease_wanted", "number": number}), owner)
        }
        Event::RejoinPossible => json!({"event": "rejoin_possible"}),
        Event::Rejoined { id } => about(json!({"event": "rejoined"}), id),
        Event::LeaveComplete => json!({"event": "leave_complete"}),
        Event::Paused { late } => json!({"event": "paused", "late_ms": late.as_millis() as u64}),
        // Events of a later version of the library are passed on as it writes them.
        other => json!({"event": "other", "text": format!("{other:?}")}),
    }
}
