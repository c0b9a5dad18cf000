//! Gossip membership and remote references for Treewarden.
//!
//! A [`Node`] is what an application starts: it takes part in the gossip of its cluster, exposes actors to the other
//! nodes, and holds references to theirs.
//!
//! | where | what |
//! |---|---|
//! | [`node`] | the two parts joined |
//! | [`agent`], [`datagram`], [`membership`], [`partition`] | who is there: the shell, sealed datagrams, and the pure machines |
//! | [`remote`] | references to actors on other nodes |
//! | [`groups`] | names and groups of the cluster |
//! | [`singleton`] | work that one member does, and another takes over |
//! | [`transport`] | what links run over: TCP, in the clear or under mutual TLS |
#![forbid(unsafe_code)]

pub mod agent;
pub mod datagram;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod groups;
pub mod membership;
pub mod node;
pub mod partition;
pub mod remote;
pub mod singleton;
pub mod transport;
mod window;

pub use node::{Node, NodeConfig, NodeError};
