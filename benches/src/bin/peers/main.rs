//! `peers`: Treewarden beside other actor systems, on the same machine, in one run.
//!
//! Each measurement runs in a process of its own, which this program starts by executing itself (or `erl`), so that no
//! system inherits another one's heap, threads or warm caches. The systems are interleaved, A B C A B C, so that a
//! machine that grows slower or faster in the course of a run does so for all of them. Every figure is a cost.
//!
//! - `cli`: the command line
//! - `workload`: names, units and sizes; `peer` and `measure`: the workloads, once for every Rust system
//! - `systems`: one file for each system
//! - `driver`: the processes; `stats` and `report`: what is made of their figures

use std::process::ExitCode;

mod cli;
mod driver;
mod goal;
mod measure;
#[path = "../../memory.rs"]
mod memory;
mod peer;
mod report;
mod stats;
mod systems;
mod workload;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli::Command::Help) => {
            print!("{}", cli::HELP);
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Measure {
            system,
            measurement,
            kind,
            scale,
        }) => {
            for (workload, figure) in system.measure(measurement, kind, scale).unwrap_or_default() {
                println!("{workload} {figure}");
            }
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Compare(plan)) => match driver::compare(&plan) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("peers: {failure}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::from(2)
        }
    }
}
