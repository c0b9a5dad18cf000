//! The launcher of the word count. Its nodes are `wordcount_node`, which lies beside it.

use std::{env, process::ExitCode};

use treewarden_examples::wordcount::{launcher, processes::NodeCommand};

fn main() -> ExitCode {
    let program = env::current_exe().expect("a running program has a path");
    launcher::main(&NodeCommand {
        program: program.with_file_name("wordcount_node"),
        arguments: Vec::new(),
    })
}
