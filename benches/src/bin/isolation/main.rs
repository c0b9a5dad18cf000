//! A subtree that floods, blocks or spins, and what its neighbours feel of it, with and without bulkheads.
//!
//! Neighbour and subtree begin on one runtime with two workers. A bulkhead puts the subtree elsewhere, or lets only one of
//! its actors work at a time. `cargo run --release -p treewarden-benches --bin isolation -- --help` says how to ask for
//! what. There is no virtual time here: a thread that blocks or spins takes real time, or nothing would be seen.
//!
//! - `fault`: the subtree
//! - `neighbour`: who feels it, and how that is measured
//! - `cli`, `report`: the command line, the results

use std::process::ExitCode;

mod cli;
mod fault;
mod neighbour;
mod report;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli::Command::Help) => {
            print!("{}", cli::HELP);
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Run(plan)) => match report::run(plan) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("isolation: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("isolation: {error}");
            ExitCode::from(2)
        }
    }
}
