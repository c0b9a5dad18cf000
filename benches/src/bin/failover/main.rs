//! How long a cluster is without its singleton when the node that does its work fails, and whether two ever do it at the same time.
//!
//! ```sh
//! cargo run --release -p treewarden-benches --bin failover -- [--runs N] [--nodes N] [--hosts loopback|netns] [--json FILE] [--gate]
//! ```
//!
//! Every node is a process with the library's default settings: timing for a LAN, keep majority, TLS, a margin of 2 s.
//!
//! | series | what happens to the node that does the work | needs |
//! |---|---|---|
//! | `killed` | SIGKILL: its host is still there | |
//! | `cut` | its link is cut, silently, as when a machine dies | netns |
//! | `stopped` | SIGSTOP until another node has begun, then SIGCONT | |
//!
//! The time until the work is done elsewhere falls into *detection* (until the first member says that the node is unreachable), *stable after*
//! (until the first says that it is down) and *start* (until the work begins elsewhere). *Double* is for how long two processes that both ran
//! were at the work.

mod cli;
mod report;
mod series;

use std::process::ExitCode;

use cli::Request;

fn main() -> ExitCode {
    let plan = match cli::parse(std::env::args_os().skip(1)) {
        Ok(Request::Help) => {
            println!("{}", cli::HELP);
            return ExitCode::SUCCESS;
        }
        Ok(Request::Node(settings)) => {
            return match treewarden_tests::nodes::run_node(&settings) {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => {
                    eprintln!("failover: {why}");
                    ExitCode::FAILURE
                }
            };
        }
        Ok(Request::Measure(plan)) => plan,
        Err(what) => {
            eprintln!("failover: {what}\n\n{}", cli::HELP);
            return ExitCode::from(2);
        }
    };
    match series::run(&plan).and_then(|rows| report::write(&rows, &plan)) {
        Ok(broken) if plan.gate && broken > 0 => ExitCode::from(3),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failover: {error}");
            ExitCode::FAILURE
        }
    }
}
