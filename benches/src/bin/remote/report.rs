//! The figures: a table for people, JSON for programs.

use std::error::Error;

use serde::Serialize;

use crate::cli::Plan;

/// One workload of one system.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) workload: String,
    pub(crate) system: &'static str,
    pub(crate) tls: bool,
    pub(crate) size_bytes: usize,
    pub(crate) unit: &'static str,
    pub(crate) median: f64,
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    pub p999_us: Option<f64>,
}

pub(crate) fn write(rows: &[Row], plan: &Plan) -> Result<(), Box<dyn Error>> {
    let mut last = String::new();
    for row in rows {
        let heading = format!("{}, {} bytes", row.workload, row.size_bytes);
        if heading != last {
            println!("\n{heading}");
            last = heading;
        }
        let tls = if row.tls { " (TLS)" } else { "" };
        let system = format!("{}{tls}", row.system);
        match (row.p50_us, row.p99_us, row.p999_us) {
            (Some(p50), Some(p99), Some(p999)) => println!(
                "  {system:<24} p50 {p50:>9.1} us   p99 {p99:>9.1} us   p99.9 {p999:>9.1} us"
            ),
            _ => println!("  {system:<24} {:>12.0} {}", row.median, row.unit),
        }
    }
    if let Some(path) = &plan.json {
        std::fs::write(path, serde_json::to_string_pretty(rows)?)?;
    }
    Ok(())
}
