//! `children`: what the children of one supervisor cost, and what one of them costs the others.
//!
//! - `cli`: the command line
//! - `lives`: many dynamic children, started, all failing at once and restarted, stopped; time and memory for each
//! - `storm`: a sibling's answers while one child is restarted all the time

use std::io;
use std::process::ExitCode;

use serde_json::json;

mod cli;
mod lives;
#[path = "../../memory.rs"]
mod memory;
mod storm;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli::Command::Help) => {
            print!("{}", cli::HELP);
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Run(plan)) => match run(plan) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("children: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("children: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(plan: cli::Plan) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let mut results = Vec::new();
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        println!(
            "RUST_BACKTRACE is set: each failure captures a backtrace, which is most of what a restart costs"
        );
    }

    let felt = runtime.block_on(async {
        match tokio::spawn(storm::measure()).await {
            Ok(felt) => felt,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    });
    println!(
        "a sibling's answers, p99: {:.1} us quiet, {:.1} us while another child is restarted {} times",
        felt.quiet_p99_us, felt.storm_p99_us, felt.restarts
    );
    results.push(json!({
        "experiment": "storm",
        "quiet_p99_us": felt.quiet_p99_us,
        "storm_p99_us": felt.storm_p99_us,
        "restarts": felt.restarts,
    }));

    println!(
        "{:>9} {:>9} {:>11} {:>8} {:>11} {:>8}",
        "children", "start ns", "restart ns", "stop ns", "bytes each", "peak MB"
    );
    let mut count = plan.children.min(10_000);
    loop {
        let cost = runtime.block_on(async {
            match tokio::spawn(lives::measure(count)).await {
                Ok(cost) => cost,
                Err(ended) => std::panic::resume_unwind(ended.into_panic()),
            }
        });
        println!(
            "{count:>9} {:>9.0} {:>11.0} {:>8.0} {:>11.0} {:>8.0}",
            cost.start_ns, cost.restart_ns, cost.stop_ns, cost.bytes, cost.peak_mb
        );
        results.push(json!({
            "experiment": "lives",
            "children": count,
            "start_ns": cost.start_ns,
            "restart_ns": cost.restart_ns,
            "stop_ns": cost.stop_ns,
            "bytes_each": cost.bytes,
            "peak_mb": cost.peak_mb,
        }));
        if count == plan.children {
            break;
        }
        count = (count * 10).min(plan.children);
    }
    if let Some(file) = plan.json {
        serde_json::to_writer_pretty(file, &results)?;
    }
    Ok(())
}
