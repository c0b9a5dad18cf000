//! Messages between two processes on loopback: Treewarden's links, plain and under TLS, beside Erlang's distribution and plain TCP.
//!
//! `cargo run --release -p treewarden-benches --bin remote -- [--rounds N] [--quick] [--only WORKLOAD] [--json FILE]`
//!
//! | workload | what |
//! |---|---|
//! | `tell` | messages *handled* for each second: sent without waiting for answers, until the other side has counted all |
//! | `ask-1` | a round trip, one after the other |
//! | `ask-64` | a round trip, of 64 clients at once |
//! | `ask-beside-large` | a round trip while messages of 64 MiB go the same way, on a lane of their own where there is one |
//!
//! The systems take turns in each round, so that a machine that becomes slower does so for all. `tcp` is the limit: the same frames over the same kind of
//! socket, batched in the same way, with nothing behind them that would be an actor.

mod cli;
mod measure;
mod report;
mod systems;

use std::process::ExitCode;

use cli::Request;

fn main() -> ExitCode {
    let request = match cli::parse(std::env::args_os().skip(1)) {
        Ok(request) => request,
        Err(what) => {
            eprintln!("remote: {what}\n\n{}", cli::HELP);
            return ExitCode::from(2);
        }
    };
    let outcome = match request {
        Request::Help => {
            println!("{}", cli::HELP);
            Ok(())
        }
        Request::Serve(system) => systems::serve(system),
        Request::Measure(plan) => measure::run(&plan).and_then(|rows| report::write(&rows, &plan)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("remote: {error}");
            ExitCode::FAILURE
        }
    }
}
