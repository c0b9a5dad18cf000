//! A node that tests start as a process; see `treewarden_tests::nodes`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let settings = std::env::args().nth(1).unwrap_or_default();
    match treewarden_tests::nodes::run_node(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("lab_node: {why}");
            ExitCode::from(2)
        }
    }
}
