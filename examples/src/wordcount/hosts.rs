//! Where the nodes live: all on loopback, or each in a network namespace of its own, as on a machine of its own.
//!
//! The launcher speaks with its nodes over pipes in both cases, so a node that is cut off can still be told to stop.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use super::{
    processes::{Fleet, NodeCommand},
    protocol::{Control, ProtocolError},
};
use crate::netns::Lab;

/// Where nodes in namespaces listen.
const PORT: u16 = 7946;

/// What a person can ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKind {
    /// All on loopback.
    #[default]
    Loopback,
    /// Each in a network namespace.
    Netns,
}

/// There is no such kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownHosts;

impl FromStr for HostKind {
    type Err = UnknownHosts;

    fn from_str(text: &str) -> Result<Self, UnknownHosts> {
        match text {
            "loopback" => Ok(Self::Loopback),
            "netns" => Ok(Self::Netns),
            _ => Err(UnknownHosts),
        }
    }
}

impl HostKind {
    /// What this machine lacks for it, if anything.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Loopback => None,
            Self::Netns => Lab::missing(),
        }
    }
}

/// Hosts that are there until they are dropped.
#[derive(Debug)]
pub struct Hosts(Option<Bench>);

/// Hosts in namespaces.
#[derive(Debug)]
struct Bench {
    lab: Lab,
    /// Whose cable is pulled.
    unplugged: Option<usize>,
}

impl Hosts {
    /// Makes hosts for so many nodes.
    ///
    /// # Errors
    ///
    /// What `ip` said. Nothing is left then.
    pub fn new(kind: HostKind, nodes: u32) -> io::Result<Self> {
        match kind {
            HostKind::Loopback => Ok(Self(None)),
            HostKind::Netns => {
                let lab = Lab::new(nodes as usize)?;
                let unplugged = None;
                Ok(Self(Some(Bench { lab, unplugged })))
            }
        }
    }

    /// How a node is started on its host.
    pub fn command(&self, node: usize, command: &NodeCommand) -> NodeCommand {
        let Some(Bench { lab, .. }) = &self.0 else {
            return command.clone();
        };
        let [ip, arguments @ ..] = lab.enter(node);
        let mut arguments: Vec<_> = arguments.into_iter().map(Into::into).collect();
        arguments.push(command.program.clone().into());
        arguments.extend(command.arguments.iter().cloned());
        NodeCommand {
            program: ip.into(),
            arguments,
        }
    }

    /// Where a node listens.
    pub fn listen(&self, node: usize) -> SocketAddr {
        match &self.0 {
            Some(Bench { lab, .. }) => (lab.addr(node), PORT).into(),
            None => (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }

    /// Cuts a node off from the others: pulls its cable, or has the nodes do what `controls` say. Without controls it does nothing.
    ///
    /// # Errors
    ///
    /// What `ip` said, or that a word is too long for a frame.
    pub async fn cut(
        &mut self,
        node: usize,
        controls: Vec<(usize, Control)>,
        fleet: &mut Fleet,
    ) -> Result<(), HostsError> {
        match &mut self.0 {
            Some(bench) if !controls.is_empty() => {
                bench.lab.set_cable(node, false)?;
                bench.unplugged = Some(node);
            }
            _ => {
                for (node, control) in controls {
                    fleet.tell(node, &control).await?;
                }
            }
        }
        Ok(())
    }

    /// Ends that for `nodes`, which are all that are left.
    ///
    /// # Errors
    ///
    /// As those of [`cut`](Self::cut).
    pub async fn heal(&mut self, nodes: Vec<usize>, fleet: &mut Fleet) -> Result<(), HostsError> {
        match &mut self.0 {
            Some(bench) => {
                if let Some(node) = bench.unplugged.take() {
                    bench.lab.set_cable(node, true)?;
                }
            }
            None => {
                for node in nodes {
                    fleet.tell(node, &Control::Heal).await?;
                }
            }
        }
        Ok(())
    }
}

/// A cut was not made, or not healed.
#[derive(Debug)]
pub enum HostsError {
    /// A cable could not be pulled or plugged in.
    Cable(io::Error),
    /// A node could not be told.
    Tell(ProtocolError),
}

impl From<io::Error> for HostsError {
    fn from(error: io::Error) -> Self {
        Self::Cable(error)
    }
}

impl From<ProtocolError> for HostsError {
    fn from(error: ProtocolError) -> Self {
        Self::Tell(error)
    }
}

impl std::fmt::Display for HostsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cable(error) => error.fmt(f),
            Self::Tell(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HostsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cable(error) => Some(error),
            Self::Tell(error) => Some(error),
        }
    }
}
