//! How a node is set up.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use crate::{
    agent::{AgentConfig, AgentError, Preset, Rejoin, Security, Seed},
    datagram::{Key, Keyring},
    membership::{Config, Metadata},
    partition::{Lease, PartitionPolicy},
    remote::{LinkConfig, LinkConfigError},
    transport::{Credentials, Gate, Identity},
};

/// Settings of a [`Node`](super::Node).
///
/// What has to be said: the cluster, the node's name, the [`key`](Self::key) of the gossip, and how links are protected:
/// [`credentials`](Self::credentials), or [nothing](Self::plaintext_links_on_loopback). What usually is: where to
/// [`listen`](Self::listen), and where others are found ([`seeds`](Self::seeds)). The timing is that of the preset
/// [`Lan`](Preset::Lan) if nothing else is said.
#[derive(Debug)]
pub struct NodeConfig {
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) listen: SocketAddr,
    pub(super) advertise: Option<SocketAddr>,
    pub(super) seeds: Vec<Seed>,
    pub(super) keyring: Option<Keyring>,
    pub(super) preset: Preset,
    pub(super) membership: Option<Config>,
    pub(super) policy: Option<Box<dyn PartitionPolicy>>,
    pub(super) lease: Option<Arc<dyn Lease>>,
    pub(super) rejoin: Option<Rejoin>,
    pub(super) metadata: Metadata,
    pub(super) links: LinkConfig,
    pub(super) security: Option<LinkSecurity>,
    pub(super) gate: Option<Gate>,
}

/// How links are protected.
#[derive(Clone, Debug)]
pub enum LinkSecurity {
    /// Mutual TLS: both ends show certificates of the cluster's authority.
    Tls(Credentials),
    /// Not at all: whoever can read packets reads what is sent. On loopback alone.
    PlaintextOnLoopback,
}

impl NodeConfig {
    /// Settings for the node `name`, unique in `cluster`, on a port of loopback that the system chooses.
    pub fn new(cluster: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            name: name.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            seeds: Vec::new(),
            keyring: None,
            preset: Preset::Lan,
            membership: None,
            policy: None,
            lease: None,
            rejoin: None,
            metadata: Metadata::default(),
            links: LinkConfig::default(),
            security: None,
            gate: None,
        }
    }

    /// Where to listen, with UDP and TCP on the same port. Port 0 lets the system choose one.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// Where others reach this node, if that is not where it listens. Port 0 stands for the port of that.
    pub fn advertise(mut self, addr: SocketAddr) -> Self {
        self.advertise = Some(addr);
        self
    }

    /// Where other nodes may be found. One that is alive is enough.
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = impl Into<Seed>>) -> Self {
        self.seeds.extend(seeds.into_iter().map(Into::into));
        self
    }

    /// The secret of the cluster: it seals datagrams, and nodes prove to each other that they have it before they link.
    pub fn key(mut self, key: Key) -> Self {
        self.keyring = Some(Keyring::new(key));
        self
    }

    /// The secrets of the cluster while one is being exchanged for another.
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.keyring = Some(keyring);
        self
    }

    /// For which kind of network the timing of membership is meant.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    /// The timing and bounds of membership in detail, instead of the preset's.
    pub fn membership(mut self, config: Config) -> Self {
        self.membership = Some(config);
        self
    }

    /// What to do about members that stay unreachable. By default the side with the majority goes on; of two nodes neither has one, and an
    /// operator is [asked](crate::membership::Event::PartitionUndecided).
    pub fn policy(mut self, policy: impl PartitionPolicy + 'static) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// The third party of a policy that needs one, such as [`LeaseMajority`](crate::partition::LeaseMajority).
    pub fn lease(mut self, lease: impl Lease + 'static) -> Self {
        self.lease = Some(Arc::new(lease));
        self
    }

    /// What to do after this node was declared down. By default it comes back under a new boot.
    pub fn rejoin(mut self, rejoin: Rejoin) -> Self {
        self.rejoin = Some(rejoin);
        self
    }

    /// What others shall know of this node. Its TCP address is filled in.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// What this node proves itself with to other nodes, and checks them against. They have to speak for this node of this cluster.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.security = Some(LinkSecurity::Tls(credentials));
        self
    }

    /// Links are not encrypted. Only for nodes that listen on loopback, and link with nodes there.
    pub fn plaintext_links_on_loopback(mut self) -> Self {
        self.security = Some(LinkSecurity::PlaintextOnLoopback);
        self
    }

    /// Settings of the links to other nodes.
    pub fn links(mut self, links: LinkConfig) -> Self {
        self.links = links;
        self
    }

    /// For drills: all traffic of this node passes this gate, which can be [cut](Gate::cut).
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// How links are protected, if that fits with who and where this node is.
    pub(super) fn checked_security(&self) -> Result<LinkSecurity, NodeError> {
        match &self.security {
            None => Err(NodeError::LinkSecurityNeeded),
            Some(LinkSecurity::PlaintextOnLoopback) => {
                let beyond = [Some(self.listen), self.advertise]
                    .into_iter()
                    .flatten()
                    .find(|addr| !addr.ip().is_loopback());
                match beyond {
                    Some(addr) => Err(NodeError::PlaintextBeyondLoopback { addr }),
                    None => Ok(LinkSecurity::PlaintextOnLoopback),
                }
            }
            Some(LinkSecurity::Tls(credentials)) => {
                let found = credentials.identity();
                if found.cluster == self.cluster && found.node == self.name {
                    Ok(LinkSecurity::Tls(credentials.clone()))
                } else {
                    Err(NodeError::WrongCredentials {
                        found: found.clone(),
                        wanted: format!("{} of cluster {}", self.name, self.cluster),
                    })
                }
            }
        }
    }

    /// What membership is started with, for a member without links and actors, as `treewarden member` is one.
    ///
    /// # Errors
    ///
    /// [`NodeError::KeyNeeded`]. Links are not looked at.
    pub fn into_membership_alone(self) -> Result<AgentConfig, NodeError> {
        let keyring = self.keyring.clone().ok_or(NodeError::KeyNeeded)?;
        let metadata = self.metadata.clone();
        Ok(self.into_agent(keyring.sealing().clone(), keyring, metadata))
    }

    /// The part of it that membership is started with.
    pub(super) fn into_agent(self, key: Key, keyring: Keyring, metadata: Metadata) -> AgentConfig {
        let preset = AgentConfig::new(&self.cluster, &self.name, self.listen, key, self.preset);
        AgentConfig {
            advertise: self.advertise,
            seeds: self.seeds,
            security: Security::Keyring(keyring),
            membership: self.membership.unwrap_or(preset.membership),
            policy: self.policy.unwrap_or(preset.policy),
            lease: self.lease,
            rejoin: self.rejoin.unwrap_or(preset.rejoin),
            metadata,
            ..preset
        }
    }
}

/// One of the two protocols that share a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Links.
    Tcp,
    /// Gossip.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// Why a node did not start. Nothing is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum NodeError {
    /// The address is in use, probably by another node.
    AddressInUse {
        /// Which.
        addr: SocketAddr,
        /// By whom: a program may hold the port for one protocol alone.
        protocol: Protocol,
    },
    /// The address could not be listened on for another reason.
    Bind {
        /// Which.
        addr: SocketAddr,
        /// For what.
        protocol: Protocol,
        /// Why.
        source: io::Error,
    },
    /// There is no [`key`](NodeConfig::key). A node without one could be talked to by anybody.
    KeyNeeded,
    /// It was not said how links are protected.
    LinkSecurityNeeded,
    /// Links in the clear stay on loopback, and this address is not there.
    PlaintextBeyondLoopback {
        /// Where it was to listen, or to be reached.
        addr: SocketAddr,
    },
    /// The credentials speak for another node, or for a node of another cluster.
    WrongCredentials {
        /// For whom they speak.
        found: Identity,
        /// For whom they should.
        wanted: String,
    },
    /// The settings of the links make no sense.
    Links(LinkConfigError),
    /// Membership could not be started.
    Agent(AgentError),
}

impl NodeError {
    pub(super) fn from_bind(addr: SocketAddr, protocol: Protocol, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { addr, protocol },
            _ => Self::Bind {
                addr,
                protocol,
                source,
            },
        }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressInUse { addr, protocol } => write!(
                f,
                "the {protocol} address {addr} is in use; choose another port or stop the other program"
            ),
            Self::Bind {
                addr,
                protocol,
                source,
            } => write!(f, "cannot listen on the {protocol} address {addr}: {source}"),
            Self::KeyNeeded => f.write_str(
                "a node needs the key of its cluster: give it one with NodeConfig::key, the same on all nodes",
            ),
            Self::LinkSecurityNeeded => f.write_str(
                "a node needs credentials for its links: NodeConfig::credentials (`treewarden certs` makes some), or NodeConfig::plaintext_links_on_loopback",
            ),
            Self::PlaintextBeyondLoopback { addr } => write!(
                f,
                "links in the clear stay on loopback, and {addr} is not there: use NodeConfig::credentials"
            ),
            Self::WrongCredentials { found, wanted } => write!(
                f,
                "the certificate speaks for {found}, and this node is {wanted}"
            ),
            Self::Links(error) => error.fmt(f),
            Self::Agent(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } => Some(source),
            Self::Links(error) => Some(error),
            Self::Agent(error) => Some(error),
            Self::AddressInUse { .. }
            | Self::KeyNeeded
            | Self::LinkSecurityNeeded
            | Self::PlaintextBeyondLoopback { .. }
            | Self::WrongCredentials { .. } => None,
        }
    }
}
