//! A service under half to ten times its load: how much of its capacity is still served in time, and to whom.
//!
//! One worker, a Poisson stream of requests with a deadline of 100 ms (5 % critical, 25 % default, 70 % sheddable), and a
//! mailbox that does something about it, or does not. `cargo run --release -p treewarden-benches --bin overload --
//! --help` says how to ask for what.
//!
//! - `request`: what is asked, and the ledger in which it is written down how that ended
//! - `drive`: measures the capacity, then offers a multiple of it; in virtual or in real time
//! - `systems`: one file for each system
//! - `cli`, `report`: the command line, the results

use std::process::ExitCode;

mod cli;
mod drive;
mod report;
mod request;
mod systems;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli::Command::Help) => {
            print!("{}", cli::HELP);
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Run(plan)) => match report::run(plan) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("overload: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("overload: {error}");
            ExitCode::from(2)
        }
    }
}
