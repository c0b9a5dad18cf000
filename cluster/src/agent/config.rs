//! How an agent is set up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::seeds::{Resolver, Seed, SystemResolver};
use crate::datagram::{Key, Keyring};
use crate::membership::{Config, Metadata};
use crate::partition::{KeepMajority, Lease, PartitionPolicy};

/// For which kind of network the timing is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Processes on one machine.
    Local,
    /// Machines in one data centre.
    Lan,
    /// Data centres with long lines between them.
    Wan,
}

impl Preset {
    /// The membership settings.
    pub fn membership(self) -> Config {
        match self {
            Self::Local => Config::local(),
            Self::Lan => Config::lan(),
            Self::Wan => Config::wan(),
        }
    }

    /// How long the default policy waits for a view of up to ten members to be stable; see
    /// [`Patience`](crate::partition::Patience).
    pub fn stable_after(self) -> Duration {
        match self {
            Self::Local => Duration::from_secs(1),
            Self::Lan => Duration::from_secs(5),
            Self::Wan => Duration::from_secs(20),
        }
    }
}

/// How datagrams are protected.
#[derive(Clone, Debug)]
pub enum Security {
    /// Sealed with the group's keys.
    Keyring(Keyring),
    /// Not at all: whoever can send to the socket can say anything. Only for loopback, and for networks that protect by themselves.
    PlaintextForLoopback,
}

/// What to do after this node was declared down by a partition policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejoin {
    /// Come back under a new boot as soon as a part of the cluster that counts can be reached.
    Automatically,
    /// Stay down; the application ends the process.
    Never,
}

/// Settings of an [`Agent`](super::Agent).
#[derive(Debug)]
pub struct AgentConfig {
    /// Name of the cluster. Datagrams of another cluster are refused.
    pub cluster: String,
    /// Name of this node, unique in the cluster; 1 to 64 bytes.
    pub node: String,
    /// Address of the UDP socket. Port 0 lets the system choose.
    pub bind: SocketAddr,
    /// Address under which others reach it; by default the one it is bound to. Port 0 stands for the port that it is bound to.
    pub advertise: Option<SocketAddr>,
    /// Where the cluster may be found.
    pub seeds: Vec<Seed>,
    /// How often names among the seeds are resolved, and files of seeds read, anew. At least 100 ms.
    pub resolve_interval: Duration,
    /// What resolves names among the seeds; by default the operating system.
    pub resolver: Arc<dyn Resolver>,
    /// How datagrams are protected.
    pub security: Security,
    /// Timing and bounds. `packet_bytes_max` is the size of a sealed datagram.
    pub membership: Config,
    /// What to do about members that stay unreachable.
    pub policy: Box<dyn PartitionPolicy>,
    /// The third party of a policy that [needs one](PartitionPolicy::needs_lease).
    pub lease: Option<Arc<dyn Lease>>,
    /// How long the lease may take before it counts as refused.
    pub lease_timeout: Duration,
    /// What others shall know of this node.
    pub metadata: Metadata,
    /// What to do after being declared down.
    pub rejoin: Rejoin,
    /// How many events, and how many notices, wait for a slow subscriber before it misses some.
    pub events_waiting_max: usize,
}

impl AgentConfig {
    /// Settings for a node of a cluster, sealed with `key`, without seeds.
    pub fn new(cluster: &str, node: &str, bind: SocketAddr, key: Key, preset: Preset) -> Self {
        Self {
            cluster: cluster.to_owned(),
            node: node.to_owned(),
            bind,
            advertise: None,
            seeds: Vec::new(),
            resolve_interval: Duration::from_secs(15),
            resolver: Arc::new(SystemResolver),
            security: Security::Keyring(Keyring::new(key)),
            membership: preset.membership(),
            policy: Box::new(KeepMajority::new(preset.stable_after())),
            lease: None,
            lease_timeout: Duration::from_secs(5),
            metadata: Metadata::default(),
            rejoin: Rejoin::Automatically,
            events_waiting_max: 1024,
        }
    }
}
