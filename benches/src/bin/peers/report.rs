//! The report: a table for people, JSON for programs.

use std::fmt::Write as _;

use serde_json::json;

use crate::stats::Summary;
use crate::workload::{RuntimeKind, Workload};

/// The system that the others are compared with.
const OURS: &str = "treewarden";

/// One row: what a system costs on a workload.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) workload: Workload,
    pub(crate) runtime: RuntimeKind,
    pub(crate) system: &'static str,
    pub(crate) cost: Summary,
}

/// One table for each workload and runtime, in the order of [`Workload::ALL`], the cheapest system first.
pub(crate) fn tables(rows: &[Row]) -> String {
    let mut text = String::new();
    for workload in Workload::ALL {
        for runtime in RuntimeKind::ALL {
            let mut here: Vec<&Row> = rows
                .iter()
                .filter(|row| row.workload == workload && row.runtime == runtime)
                .collect();
            if here.is_empty() {
                continue;
            }
            here.sort_by(|a, b| a.cost.median.total_cmp(&b.cost.median));
            let ours = here
                .iter()
                .find(|row| row.system == OURS)
                .map(|row| row.cost.median);
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "\n{workload} on {}, {} ({})",
                runtime.name(),
                workload.unit(),
                workload.meaning()
            );
            let _ = writeln!(
                text,
                "  {:<14} {:>10} {:>10} {:>10} {:>14}",
                "system", "median", "min", "max", "to treewarden"
            );
            for row in here {
                let ratio = match ours {
                    Some(ours) if ours > 0.0 => format!("{:.2}x", row.cost.median / ours),
                    _ => "-".to_owned(),
                };
                let _ = writeln!(
                    text,
                    "  {:<14} {:>10} {:>10} {:>10} {ratio:>14}",
                    row.system,
                    figure(row.cost.median),
                    figure(row.cost.min),
                    figure(row.cost.max),
                );
            }
        }
    }
    text
}

/// Three digits that mean something, no exponent.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A list of objects: `workload, runtime, system, unit, median, min, max`.
pub(crate) fn json(rows: &[Row]) -> String {
    let objects: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            json!({
                "workload": row.workload.name(),
                "runtime": row.runtime.name(),
                "system": row.system,
                "unit": row.workload.unit(),
                "median": row.cost.median,
                "min": row.cost.min,
                "max": row.cost.max,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Array(objects))
}
