//! Counts the words of text files on a cluster of real processes, while workers are crashed and one process is killed.
//!
//! `cargo run --release --example cluster`, and `-- --help` for what else it can do.
//!
//! The launcher starts this program again for each node; `treewarden_examples::wordcount` says how it all works.

use std::{env, process::ExitCode};

use treewarden_examples::wordcount::{launcher, node_process, processes::NodeCommand};

/// The argument that makes this program a node.
const NODE: &str = "node-process";

fn main() -> ExitCode {
    if env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == NODE)
    {
        return node_process::main();
    }
    match env::current_exe() {
        Ok(program) => launcher::main(&NodeCommand {
            program,
            arguments: vec![NODE.into()],
        }),
        Err(error) => {
            eprintln!("cluster: cannot find this program to start it again: {error}");
            ExitCode::FAILURE
        }
    }
}
