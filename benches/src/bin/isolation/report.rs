//! Runs each fault behind each wall, prints a table, and writes the list of results.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use treewarden_runtime::System;

use crate::cli::Plan;
use crate::fault::{DISPATCHER, Fault, Subtree, Wall};
use crate::neighbour::{Neighbour, p99_us};

/// What the neighbour felt.
struct Felt {
    quiet_p99_us: f64,
    neighbour_p99_us: f64,
}

pub(crate) fn run(plan: Plan) -> io::Result<()> {
    println!(
        "{:<6} {:<11} {:>17} {:>13}",
        "fault", "bulkhead", "neighbour p99 us", "quiet p99 us"
    );
    let mut results = Vec::new();
    for fault in Fault::ALL {
        for wall in Wall::ALL {
            let Felt {
                quiet_p99_us,
                neighbour_p99_us,
            } = measure(fault, wall, plan.seconds);
            let (fault, bulkhead) = (fault.name(), wall.name());
            println!("{fault:<6} {bulkhead:<11} {neighbour_p99_us:>17.0} {quiet_p99_us:>13.0}");
            results.push(json!({
                "fault": fault,
                "bulkhead": bulkhead,
                "neighbour_p99_us": neighbour_p99_us,
                "quiet_p99_us": quiet_p99_us,
            }));
        }
    }
    if let Some(file) = plan.json {
        serde_json::to_writer_pretty(file, &results)?;
    }
    Ok(())
}

fn workers(count: usize) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(count)
        .enable_time()
        .build()
        .expect("a runtime with workers")
}

fn measure(fault: Fault, wall: Wall, seconds: Duration) -> Felt {
    let (common, own) = (workers(2), workers(1));
    let system = System::builder("isolation")
        .dispatcher(DISPATCHER, own.handle().clone())
        .build();
    let client = Builder::new_current_thread().build();
    let client = client.expect("a runtime in this thread");
    let on_common = common.enter();
    let neighbour = system.spawn(Neighbour);
    let quiet_p99_us = client.block_on(p99_us(&neighbour, seconds));
    let subtree = Subtree::start(&system, fault, wall);
    let neighbour_p99_us = client.block_on(p99_us(&neighbour, seconds));
    client.block_on(subtree.stop());
    drop(on_common);
    common.shutdown_background();
    own.shutdown_background();
    Felt {
        quiet_p99_us,
        neighbour_p99_us,
    }
}
