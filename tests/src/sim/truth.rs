//! What is really the case, as opposed to what the nodes believe.

use std::collections::{BTreeMap, BTreeSet};

use treewarden_cluster::membership::{DownReason, Event, Machine, NodeId, NodeName, State};

use super::process::Process;

/// Facts that invariants compare beliefs with.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// The incarnation that each boot has reached by its own decision.
    pub incarnations: BTreeMap<NodeId, u64>,
    /// Boots that somebody was entitled to declare down and did.
    pub verdicts: BTreeSet<(NodeId, DownReason)>,
    /// The greatest boot of each name.
    pub newest: BTreeMap<NodeName, NodeId>,
    /// The newest version of the protocol that each boot reads.
    pub reads: BTreeMap<NodeId, u8>,
    /// What was posted, by origin and number.
    pub posted: BTreeMap<(NodeId, u64), Vec<u8>>,
}

impl Truth {
    /// A boot begins.
    pub fn begin(&mut self, id: &NodeId, wire_version_max: u8) {
        self.reads.insert(id.clone(), wire_version_max);
        self.incarnations.insert(id.clone(), 0);
        self.newest.insert(id.name.clone(), id.clone());
    }

    /// Takes in what a machine did.
    pub fn note(&mut self, machine: &Machine, events: &[Event]) {
        self.incarnations
            .insert(machine.id().clone(), machine.incarnation());
        let me = machine.id();
        for event in events {
            match event {
                Event::MemberDown {
                    id,
                    reason,
                    decider,
                } if *decider == me.name => {
                    self.verdicts.insert((id.clone(), *reason));
                }
                Event::SelfDown { reason, decider } if *decider == me.name => {
                    self.verdicts.insert((me.clone(), *reason));
                }
                _ => {}
            }
        }
    }
}

/// Where views differ from the truth; empty when every existing node sees every other as it is.
pub fn differences(processes: &[Process]) -> Vec<String> {
    let mut found = Vec::new();
    for observer in processes {
        let Some(machine) = observer.alive() else {
            continue;
        };
        if machine.state() != State::Alive {
            found.push(format!("{} is {} itself", machine.id(), machine.state()));
            continue;
        }
        for other in processes.iter().filter(|other| other.name != observer.name) {
            let believed = machine.member(&other.name);
            match (other.alive(), believed) {
                (Some(truth), Some(row))
                    if row.id == *truth.id()
                        && row.state == State::Alive
                        && row.incarnation == truth.incarnation() =>
                {
                    if row.record.version != truth.record().version {
                        found.push(format!("{} has an old record of {}", machine.id(), row.id));
                    }
                }
                (Some(truth), Some(row)) => {
                    let (id, incarnation) = (truth.id(), truth.incarnation());
                    let held = row.incarnation;
                    found.push(format!(
                        "{} believes {} {} at {held}, but {id} at {incarnation} lives",
                        machine.id(),
                        row.id,
                        row.state
                    ));
                }
                (Some(truth), None) => {
                    found.push(format!("{} does not know {}", machine.id(), truth.id()))
                }
                (None, Some(row)) if !row.state.is_down() => {
                    found.push(format!(
                        "{} believes {} {}, but it is dead",
                        machine.id(),
                        row.id,
                        row.state
                    ));
                }
                (None, _) => {}
            }
        }
    }
    found
}
