//! One node's process: a machine, and what can go wrong around it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use treewarden_cluster::membership::{Machine, NodeName};

/// Packets that the receive buffer of a socket holds; later ones are lost.
pub const RECEIVE_BUFFER_PACKETS: usize = 256;

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    Running,
    /// It does not exist (any more).
    Dead,
    /// It is stopped (SIGSTOP): packets wait in the buffer, timers do not run, and on resumption overdue timers meet waiting packets.
    Stopped,
    /// Its input and output are blocked while its timers run.
    Blocked,
    /// Everything that it does comes later by up to this.
    Slow(Duration),
}

impl Condition {
    /// Whether the process exists, in whatever state.
    pub fn exists(self) -> bool {
        self != Self::Dead
    }
}

/// A process.
#[derive(Debug)]
pub struct Process {
    /// The node's name, the same for all its processes.
    pub name: NodeName,
    /// Its address.
    pub addr: SocketAddr,
    /// The newest version of the protocol that its next process will speak: that of the program that is installed.
    pub wire_version_max: u8,
    /// How it is.
    pub condition: Condition,
    /// The machine of the current process, or of the last one.
    pub machine: Option<Machine>,
    /// Packets in the receive buffer.
    pub inbox: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Packets that could not be sent.
    pub outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    /// The wake-up that counts; earlier ones are stale.
    pub wake_at: Option<Duration>,
    /// True once it was stopped or slow.
    pub disturbed: bool,
    /// True once it has left of its own will.
    pub left: bool,
    /// Rises with each process, so that happenings for an earlier one are ignored.
    pub generation: u64,
}

impl Process {
    /// The machine, if the process exists.
    pub fn alive(&self) -> Option<&Machine> {
        self.machine.as_ref().filter(|_| self.condition.exists())
    }

    /// Puts a packet into the receive buffer; false if it was full.
    pub fn buffer(&mut self, from: SocketAddr, bytes: Vec<u8>) -> bool {
        let room = self.inbox.len() < RECEIVE_BUFFER_PACKETS;
        if room {
            self.inbox.push_back((from, bytes));
        }
        room
    }
}
