//! A node process of the word count, and nothing else, so that tests need no example.

use std::process::ExitCode;

fn main() -> ExitCode {
    treewarden_examples::wordcount::node_process::main()
}
