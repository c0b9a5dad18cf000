//! What is done to the clusters. Each experiment is one function of a system, a size and a seed.

mod calm;
mod crash;
mod lifeguard;
mod rapid;

use std::str::FromStr;
use std::time::Instant;

use serde_json::{Value, json};

use crate::cli::Plan;
use crate::measure::Figures;
use crate::memory;
use crate::systems::System;

/// Which experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Experiment {
    Lifeguard,
    Crash,
    Rapid,
    Bandwidth,
    Bootstrap,
    Scale,
}

impl FromStr for Experiment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "lifeguard" => Self::Lifeguard,
            "crash" => Self::Crash,
            "rapid" => Self::Rapid,
            "bandwidth" => Self::Bandwidth,
            "bootstrap" => Self::Bootstrap,
            "scale" => Self::Scale,
            _ => return Err(format!("unknown experiment {text:?}; see --help")),
        })
    }
}

pub(crate) fn run(plan: &mut Plan) {
    match plan.experiment {
        Experiment::Lifeguard => lifeguard::run(plan),
        Experiment::Crash => crash::run(plan),
        Experiment::Rapid => rapid::run(plan),
        Experiment::Bandwidth => calm::bandwidth(plan),
        Experiment::Bootstrap => calm::bootstrap(plan),
        Experiment::Scale => calm::scale(plan),
    }
}

/// The systems that were asked for, or these.
fn systems(plan: &Plan, otherwise: &[System]) -> Vec<System> {
    if plan.systems.is_empty() {
        otherwise.to_vec()
    } else {
        plan.systems.clone()
    }
}

/// Repeats an experiment for each seed and tells the figures, with `more` about the conditions.
fn repeat(
    plan: &mut Plan,
    experiment: &str,
    system: System,
    nodes: usize,
    more: Value,
    once: impl Fn(u64, &mut Figures),
) {
    let mut figures = Figures::default();
    let begun = Instant::now();
    for seed in 0..plan.seeds {
        once(seed, &mut figures);
    }
    let mut result = json!({ "experiment": experiment, "system": system.name(), "nodes": nodes, "seeds": plan.seeds });
    let took = json!({
        "wall_s": begun.elapsed().as_secs_f64(),
        "memory_peak_mb": memory::peak_resident_bytes() / (1024 * 1024),
    });
    for part in [more, figures.to_json(), took] {
        if let (Value::Object(result), Value::Object(part)) = (&mut result, part) {
            result.extend(part);
        }
    }
    plan.tell(&result);
}
