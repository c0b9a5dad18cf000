//! The figures: a table for people, JSON for programs.

use std::error::Error;
use std::fmt::Write;

use serde::Serialize;

use crate::cli::{Fault, Place, Plan};
use crate::series::Run;

/// A killed node is replaced within this.
const KILLED_MAX_S: f64 = 5.0;
/// And one that is cut off within half of what Pekko documents for its resolver at this size.
const CUT_MAX_S: f64 = 12.5;

/// One series.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    series: &'static str,
    hosts: &'static str,
    nodes: usize,
    runs: usize,
    total_p50_s: f64,
    total_max_s: f64,
    detection_p50_s: f64,
    detection_max_s: f64,
    stable_after_p50_s: f64,
    stable_after_max_s: f64,
    start_p50_s: f64,
    start_max_s: f64,
    double_p50_s: f64,
    double_max_s: f64,
}

impl Row {
    pub(crate) fn of(fault: Fault, place: Place, nodes: usize, runs: &[Run]) -> Self {
        let p50_and_max = |what: fn(&Run) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(what).collect();
            all.sort_by(f64::total_cmp);
            (all[all.len() / 2], all[all.len() - 1])
        };
        let (total_p50_s, total_max_s) = p50_and_max(Run::total);
        let (detection_p50_s, detection_max_s) = p50_and_max(|run| run.detection);
        let (stable_after_p50_s, stable_after_max_s) = p50_and_max(|run| run.stable_after);
        let (start_p50_s, start_max_s) = p50_and_max(|run| run.start);
        let (double_p50_s, double_max_s) = p50_and_max(|run| run.double);
        Self {
            series: fault.name(),
            hosts: place.name(),
            nodes,
            runs: runs.len(),
            total_p50_s,
            total_max_s,
            detection_p50_s,
            detection_max_s,
            stable_after_p50_s,
            stable_after_max_s,
            start_p50_s,
            start_max_s,
            double_p50_s,
            double_max_s,
        }
    }

    /// What it should have kept and did not.
    fn broken_gates(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let limit = match self.series {
            "killed" => KILLED_MAX_S,
            "cut" => CUT_MAX_S,
            _ => return broken,
        };
        let Self { series, hosts, .. } = self;
        if self.total_max_s >= limit {
            let slowest = self.total_max_s;
            broken.push(format!(
                "{series} on {hosts}: {slowest:.2} s, not {limit} s"
            ));
        }
        if self.double_max_s > 0.0 {
            let longest = self.double_max_s;
            broken.push(format!(
                "{series} on {hosts}: two worked for {longest:.3} s"
            ));
        }
        broken
    }
}

/// Returns how many gates are broken.
pub(crate) fn write(rows: &[Row], plan: &Plan) -> Result<usize, Box<dyn Error>> {
    println!(
        "{:<9} {:<9} {:>5} {:>5}  {:>15} {:>15} {:>15} {:>15} {:>15}",
        "series", "hosts", "nodes", "runs", "total", "detection", "stable after", "start", "double"
    );
    for row in rows {
        print!(
            "{:<9} {:<9} {:>5} {:>5} ",
            row.series, row.hosts, row.nodes, row.runs
        );
        for (p50, max) in [
            (row.total_p50_s, row.total_max_s),
            (row.detection_p50_s, row.detection_max_s),
            (row.stable_after_p50_s, row.stable_after_max_s),
            (row.start_p50_s, row.start_max_s),
            (row.double_p50_s, row.double_max_s),
        ] {
            print!(" {:>15}", format!("{p50:.2} / {max:.2}"));
        }
        println!();
    }
    println!("p50 / max in seconds");
    let broken: Vec<String> = rows.iter().flat_map(Row::broken_gates).collect();
    for gate in &broken {
        println!("gate: {gate}");
    }
    if let Some(path) = &plan.json {
        let mut text = String::new();
        for row in rows {
            writeln!(text, "{}", serde_json::to_string(row)?)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(broken.len())
}
