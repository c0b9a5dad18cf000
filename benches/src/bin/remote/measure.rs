//! Rounds: each system in turn, each with a server process of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use crate::cli::{Plan, TELL_BYTES, WORKLOADS};
use crate::load::{ASK_BYTES, Figure};
use crate::report::Row;
use crate::systems::System;

/// Which row a figure belongs to, in the order of the report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    workload: usize,
    bytes: usize,
    part: Part,
    system: System,
}

/// What of a workload a figure is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Alone,
    Whole,
    SenderBytes,
    ReceiverBytes,
}

impl Part {
    /// Added to the name of the workload.
    fn suffix(self) -> &'static str {
        match self {
            Self::Alone => "-alone",
            Self::Whole => "",
            Self::SenderBytes => "-sender-memory",
            Self::ReceiverBytes => "-receiver-memory",
        }
    }
}

/// What one system was found to do in one row, over all rounds.
struct Found {
    unit: &'static str,
    values: Vec<f64>,
}

/// Where a figure belongs, its unit and its value.
fn place(figure: &Figure) -> (Part, &'static str, f64) {
    match *figure {
        Figure::Rate(value) => (Part::Whole, "messages/s", value),
        Figure::Latency(value) => (Part::Whole, LATENCY, value),
        Figure::LatencyAlone(value) => (Part::Alone, LATENCY, value),
        Figure::SenderBytes(value) => (Part::SenderBytes, "bytes", value),
        Figure::ReceiverBytes(value) => (Part::ReceiverBytes, "bytes", value),
    }
}

const LATENCY: &str = "us";

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>, Box<dyn Error>> {
    let time = Duration::from_millis(if plan.quick { 500 } else { 1500 });
    let is_wanted = |system: &System| {
        let wanted = plan.systems.is_empty() || plan.systems.contains(system);
        wanted
            && system
                .prepare()
                .inspect_err(|why| eprintln!("{} is left out: {why}", system.flag()))
                .is_ok()
    };
    let systems: Vec<System> = System::ALL.into_iter().filter(is_wanted).collect();
    let mut found: BTreeMap<Key, Found> = BTreeMap::new();
    for round in 1..=plan.rounds {
        eprintln!("round {round} of {}", plan.rounds);
        for (number, workload) in WORKLOADS.into_iter().enumerate() {
            if plan.only.as_ref().is_some_and(|only| only != workload) {
                continue;
            }
            let sizes = match (workload, plan.bytes) {
                ("tell", Some(bytes)) => vec![bytes],
                ("tell", None) => TELL_BYTES.to_vec(),
                _ => vec![ASK_BYTES],
            };
            for bytes in sizes {
                for &system in &systems {
                    if workload == "slow-actor" && !system.is_ours() {
                        continue;
                    }
                    for figure in system.measure(workload, bytes, time)? {
                        let (part, unit, value) = place(&figure);
                        let key = Key {
                            workload: number,
                            bytes,
                            part,
                            system,
                        };
                        let values = Vec::new();
                        let found = found.entry(key).or_insert(Found { unit, values });
                        found.values.push(value);
                    }
                }
            }
        }
    }
    Ok(found.into_iter().map(row).collect())
}

fn row((key, found): (Key, Found)) -> Row {
    let Found { unit, mut values } = found;
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    let latency_at = |share| (unit == LATENCY).then(|| at(share));
    Row {
        workload: format!("{}{}", WORKLOADS[key.workload], key.part.suffix()),
        system: key.system.name(),
        tls: key.system.tls(),
        size_bytes: key.bytes,
        unit,
        median: at(0.5),
        p50_us: latency_at(0.5),
        p99_us: latency_at(0.99),
        p999_us: latency_at(0.999),
    }
}
