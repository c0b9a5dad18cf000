//! `membership`: Treewarden's failure detection beside foca's, and beside itself with parts of Lifeguard switched off.
//!
//! Every system runs as many members in one simulated network: the same delays, losses and faults, from the same seeds. Time is virtual,
//! so the figures do not depend on this machine. Each result is one JSON object on a line of standard output.
//!
//! - `arena`: the simulated network and its processes, for any system; `streams`: conversations in it
//! - `systems`: one file for each system
//! - `experiments`: what is done to them; `measure`: what is made of what they tell

use std::process::ExitCode;

mod arena;
mod cli;
mod experiments;
mod measure;
#[path = "../../memory.rs"]
mod memory;
mod streams;
mod systems;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(cli::Command::Help) => {
            print!("{}", cli::HELP);
            ExitCode::SUCCESS
        }
        Ok(cli::Command::Run(mut plan)) => {
            experiments::run(&mut plan);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("membership: {error}");
            ExitCode::from(2)
        }
    }
}
