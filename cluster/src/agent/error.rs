//! What can go wrong at the start, and with a command.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::datagram::KeyError;
use crate::membership::{CommandError, NameError};

/// Why an agent did not start. Nothing is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum AgentError {
    /// The node's name is not valid.
    Name(NameError),
    /// Settings or metadata are out of bounds.
    Settings(CommandError),
    /// The address is in use, probably by another node.
    AddressInUse {
        /// Which.
        addr: SocketAddr,
    },
    /// The socket could not be opened for another reason.
    Bind {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Bound to all addresses, so others cannot be told which one to use.
    AdvertiseNeeded {
        /// What it is bound to.
        bind: SocketAddr,
    },
    /// The partition policy needs a lease, and there is none to ask.
    LeaseNeeded,
    /// The operating system gave no randomness.
    Randomness,
}

impl AgentError {
    pub(super) fn from_bind(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { addr },
            _ => Self::Bind { addr, source },
        }
    }
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Settings(error) => error.fmt(f),
            Self::AddressInUse { addr } => write!(
                f,
                "the address {addr} is in use, for UDP or TCP; choose another port or stop the other program"
            ),
            Self::Bind { addr, source } => {
                write!(
                    f,
                    "cannot open the address {addr} for UDP and TCP: {source}"
                )
            }
            Self::AdvertiseNeeded { bind } => {
                write!(
                    f,
                    "{bind} stands for all addresses of this machine; set `advertise` to the one that others can reach"
                )
            }
            Self::LeaseNeeded => write!(
                f,
                "the partition policy asks a third party: set `lease` to it, or choose another policy"
            ),
            Self::Randomness => write!(f, "the operating system gave no randomness"),
        }
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(error) => Some(error),
            Self::Settings(error) => Some(error),
            Self::Bind { source, .. } => Some(source),
            Self::AddressInUse { .. }
            | Self::AdvertiseNeeded { .. }
            | Self::LeaseNeeded
            | Self::Randomness => None,
        }
    }
}

/// Why a command to a running agent had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The machine refused it.
    Refused(CommandError),
    /// The keyring refused it.
    Key(KeyError),
    /// There is no keyring: the agent sends plaintext.
    NoKeyring,
    /// The agent has ended.
    Stopped,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::NoKeyring => write!(f, "the agent sends plaintext, so it has no keys"),
            Self::Stopped => write!(f, "the agent has ended; start a new one"),
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Key(error) => Some(error),
            Self::NoKeyring | Self::Stopped => None,
        }
    }
}
