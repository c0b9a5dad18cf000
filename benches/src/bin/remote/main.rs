//! Messages between two processes on loopback: Treewarden's links, plain and under TLS, beside Erlang's distribution, gRPC (tonic),
//! ractor_cluster and plain TCP.
//!
//! `cargo run --release -p treewarden-benches --bin remote -- [--rounds N] [--quick] [--only WORKLOAD] [--bytes N] [--system SYSTEM] [--json FILE]`
//!
//! | workload | what |
//! |---|---|
//! | `tell` | messages *handled* for each second: sent without waiting for answers, until the other side has counted all |
//! | `ask-1` | a round trip, one after the other |
//! | `ask-64` | a round trip, of 64 clients at once |
//! | `ask-beside-large` | a round trip while messages of 64 MiB go the same way, on a lane of their own where there is one; and, in turns with it, `ask-beside-large-alone`, with nothing beside it |
//! | `slow-actor` | a round trip over the same link as the messages of 64 senders for an actor that handles 100 of them for each second; in turns with it, `slow-actor-alone`, without them; and by how much both processes have grown. Treewarden alone |
//!
//! Each system is used as its documentation says it is fast: Erlang's nodes with the distribution as it comes; tonic with a stream for tells,
//! unary calls for asks, and a connection of its own for what is large; ractor_cluster with `cast` and `call` to an actor of a group. tonic and
//! ractor_cluster are a package of their own (`benches/remote-peers`) that is built when the benchmark starts. What is not there (`erl`, or
//! cargo) is named and left out.
//!
//! The systems take turns in each workload, so that a machine that becomes slower does so for all. `tcp` is the limit: the same frames over the same kind of
//! socket, batched in the same way, with nothing behind them that would be an actor.

mod cli;
mod load;
mod measure;
#[expect(dead_code, reason = "the peak is for other benchmarks")]
#[path = "../../memory.rs"]
mod memory;
mod report;
mod server;
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
