//! One node, started by hand. It says which command to type in another terminal, and what it sees of the other node.
//!
//! `cargo run --example node`, and `-- --help` for what else it can do. Try Ctrl-C on one of them, and `kill -9`.

use std::{env, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};
use treewarden::prelude::*;
use treewarden_examples::by_hand::{self, BadInput, HELP, Request};

#[tokio::main]
async fn main() -> ExitCode {
    let ran = match by_hand::parse(env::args_os().skip(1)) {
        Ok(Request::Run(options)) => run(options).await,
        Ok(Request::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => Err(error.into()),
    };
    let Err(failure) = ran else {
        return ExitCode::SUCCESS;
    };
    eprintln!("node: {failure}");
    match failure.downcast_ref::<BadInput>() {
        Some(_) => ExitCode::from(2),
        None => ExitCode::FAILURE,
    }
}

async fn run(options: by_hand::Options) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    by_hand::run(options, stop).await
}
