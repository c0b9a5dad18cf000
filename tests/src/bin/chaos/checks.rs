//! What must hold, whatever was done: read from what the nodes have said.

use std::collections::{BTreeMap, BTreeSet};

use treewarden_tests::nodes::{Parcel, Record, Said};

/// A process that was stopped notices that at its first look, which comes within this after it goes on. Until then another may work as well.
const FIRST_LOOK_US: u64 = 500_000;

/// When processes could not work because of what was done to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// The node, which process of it, and when.
    pub(crate) killed: Vec<(usize, usize, u64)>,
    /// The node, from when to when it was stopped.
    pub(crate) stopped: Vec<(usize, u64, u64)>,
}

/// What was counted, for the report.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) told: usize,
    pub(crate) delivered: usize,
    pub(crate) acknowledged: usize,
    pub(crate) terms: usize,
}

/// A line for everything that did not hold.
pub(crate) fn broken(log: &[Record], done: &Done) -> (Vec<String>, Counts) {
    let mut counts = Counts::default();
    let mut broken = Vec::new();
    parcels(log, &mut broken, &mut counts);
    terms(log, done, &mut broken, &mut counts);
    for record in log {
        if let Said::Failed { why } = &record.said {
            broken.push(format!("n{:02} failed: {why}", record.node));
        }
    }
    (broken, counts)
}

/// The receiving node and process, the sender, and the boot that it sends to.
type Line<'l> = (usize, usize, &'l (String, u64), u64);

/// What was told arrives at most once and in order; what was acknowledged was handled, and once.
fn parcels(log: &[Record], broken: &mut Vec<String>, counts: &mut Counts) {
    let mut last: BTreeMap<Line<'_>, u64> = BTreeMap::new();
    let mut handled: BTreeSet<(usize, usize, &Parcel)> = BTreeSet::new();
    let mut handled_somewhere: BTreeSet<&Parcel> = BTreeSet::new();
    let mut boots: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for record in log {
        let process = (record.node, record.process);
        match &record.said {
            Said::Started { boot } => drop(boots.insert(process, *boot)),
            Said::Handled(parcel) => {
                let by = format!("n{:02}, process {}", record.node, record.process);
                if boots.get(&process).is_some_and(|boot| *boot > parcel.to.1) {
                    broken.push(format!(
                        "{by} got {parcel:?}, which was for an earlier boot"
                    ));
                }
                if !handled.insert((record.node, record.process, parcel)) {
                    broken.push(format!("{by} handled {parcel:?} twice"));
                }
                if parcel.acknowledged {
                    counts.delivered += 1;
                    handled_somewhere.insert(parcel);
                    continue;
                }
                counts.told += 1;
                let line = (record.node, record.process, &parcel.from, parcel.to.1);
                if let Some(before) = last.insert(line, parcel.number)
                    && before > parcel.number
                {
                    broken.push(format!("{by} handled {parcel:?} after number {before}"));
                }
            }
            _ => {}
        }
    }
    for record in log {
        if let Said::Acknowledged(parcel) = &record.said {
            counts.acknowledged += 1;
            if !handled_somewhere.contains(parcel) {
                broken.push(format!(
                    "n{:02} was told that {parcel:?} was handled, and it was not",
                    record.node
                ));
            }
        }
    }
}

/// One time at the work of the singleton.
struct Term {
    node: usize,
    process: usize,
    from_us: u64,
    to_us: u64,
}

fn terms(log: &[Record], done: &Done, broken: &mut Vec<String>, counts: &mut Counts) {
    let mut terms: Vec<Term> = Vec::new();
    for record in log {
        match record.said {
            Said::Begun { .. } => terms.push(Term {
                node: record.node,
                process: record.process,
                from_us: record.at_us,
                to_us: u64::MAX,
            }),
            Said::Stopped => {
                let mut open = terms.iter_mut().rev();
                if let Some(term) =
                    open.find(|term| (term.node, term.process) == (record.node, record.process))
                {
                    term.to_us = record.at_us;
                }
            }
            _ => {}
        }
    }
    for (node, process, at_us) in &done.killed {
        for term in &mut terms {
            if (term.node, term.process) == (*node, *process) {
                term.to_us = term.to_us.min(*at_us);
            }
        }
    }
    counts.terms = terms.len();
    for (place, one) in terms.iter().enumerate() {
        for other in &terms[place + 1..] {
            let (from, to) = (one.from_us.max(other.from_us), one.to_us.min(other.to_us));
            for (from, to) in without_stops(done, [one.node, other.node], from, to) {
                let ms = if to == u64::MAX {
                    0
                } else {
                    (to - from) / 1000
                };
                broken.push(format!(
                    "n{:02} and n{:02} worked at the same time for {ms} ms, from {from} us on",
                    one.node, other.node
                ));
            }
        }
    }
}

/// What is left of a time when both work, without those in which one of them was stopped or had not looked around since.
fn without_stops(done: &Done, nodes: [usize; 2], from: u64, to: u64) -> Vec<(u64, u64)> {
    let mut left = vec![(from, to)];
    for (_, stop, go) in done.stopped.iter().filter(|stop| nodes.contains(&stop.0)) {
        let go = go + FIRST_LOOK_US;
        let cut = |(from, to): (u64, u64)| [(from, to.min(*stop)), (from.max(go), to)];
        left = left.into_iter().flat_map(cut).collect();
        left.sort_unstable();
        left.dedup();
        left.retain(|(from, to)| from < to);
    }
    left.retain(|(from, to)| from < to);
    left
}
