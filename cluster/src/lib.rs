//! Gossip membership and remote references for Treewarden.
#![forbid(unsafe_code)]

pub mod agent;
pub mod datagram;
pub mod membership;
pub mod partition;
pub mod remote;
