//! What happened, for a person to read when a seed fails.

use std::fmt;
use std::time::Duration;

use treewarden_cluster::membership::{BootUid, Event, Notice};

use super::fault::Fault;

/// One entry.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Something was done to the world.
    Fault(Fault),
    /// A machine told something.
    Told {
        /// Which node's.
        node: usize,
        /// What.
        event: Event,
    },
    /// A notice arrived.
    Heard {
        /// At which node.
        node: usize,
        /// Which.
        notice: Notice,
    },
    /// A process began a boot.
    Boot {
        /// Which node's.
        node: usize,
        /// Under which boot.
        boot: BootUid,
    },
}

/// All entries, in order.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    entries: Vec<(Duration, Entry)>,
}

impl Trace {
    /// Adds an entry.
    pub fn push(&mut self, at: Duration, entry: Entry) {
        self.entries.push((at, entry));
    }

    /// The entries.
    pub fn entries(&self) -> &[(Duration, Entry)] {
        &self.entries
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in &self.entries {
            write!(f, "{:>9.3} s  ", at.as_secs_f64())?;
            match entry {
                Entry::Fault(fault) => writeln!(f, "*** {fault}")?,
                Entry::Boot { node, boot } => writeln!(f, "n{node}: begins boot {boot}")?,
                Entry::Heard { node, notice } => writeln!(
                    f,
                    "n{node}: hears notice {} of {} about {:?}",
                    notice.number, notice.origin, notice.name
                )?,
                Entry::Told { node, event } => {
                    write!(f, "n{node}: ")?;
                    write_event(f, event)?;
                }
            }
        }
        Ok(())
    }
}

fn write_event(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    match event {
        Event::MemberJoined(info) => writeln!(f, "{} joined", info.id),
        Event::MemberUpdated(info) => writeln!(f, "{} changed its record", info.id),
        Event::MemberSuspected { id, accuser } => writeln!(f, "{id} is suspect, says {accuser}"),
        Event::SuspicionRefuted { id } => writeln!(f, "{id} refuted the suspicion"),
        Event::MemberUnreachable { id, accuser } => {
            writeln!(f, "{id} is unreachable, says {accuser}")
        }
        Event::MemberReachable { id } => writeln!(f, "{id} is reachable again"),
        Event::MemberDown {
            id,
            reason,
            decider,
        } => writeln!(f, "{id} is down ({reason:?}), says {decider}"),
        Event::Joined { via } => writeln!(f, "in contact, through {via}"),
        Event::Refuted {
            incarnation,
            accuser,
        } => writeln!(f, "refutes {accuser} with incarnation {incarnation}"),
        Event::SelfDown { reason, decider } => {
            writeln!(f, "is down itself ({reason:?}), says {decider}")
        }
        Event::RejoinPossible => writeln!(f, "could rejoin"),
        Event::LeaveComplete => writeln!(f, "has left"),
        Event::Paused { late } => writeln!(f, "did not run for {late:?}"),
        other => writeln!(f, "{other:?}"),
    }
}
