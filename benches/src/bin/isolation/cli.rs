//! The command line of `isolation`.

use std::ffi::OsString;
use std::fs::File;
use std::time::Duration;

use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
isolation: what a subtree that floods, blocks or spins does to its neighbours, with and without bulkheads

Usage: isolation [--real] [--seconds S] [--json FILE]

  --seconds S   how long each case is measured, quiet and with the fault (default 1)
  --real        the long form: 4 seconds for each. Time is real in both
  --json FILE   writes the results there, as a list of objects

Wants two cores, and nobody else on them. Exit codes: 0 done, 1 the results could not be written, 2 the flags make no sense
";

/// What the command line asks for.
pub(crate) enum Command {
    Help,
    Run(Plan),
}

/// What is to be done.
pub(crate) struct Plan {
    pub(crate) seconds: Duration,
    pub(crate) json: Option<File>,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(args);
    let (mut real, mut seconds, mut json) = (false, None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("real") => real = true,
            Long("seconds") => seconds = Some(parser.value()?.parse::<f64>()?),
            Long("json") => {
                let path = parser.value()?;
                let file = File::create(&path)
                    .map_err(|error| format!("cannot write to {}: {error}", path.display()))?;
                json = Some(file);
            }
            _ => return Err(arg.unexpected()),
        }
    }
    let seconds = seconds.unwrap_or(if real { 4.0 } else { 1.0 });
    if !(0.1..=600.0).contains(&seconds) {
        return Err("--seconds is between 0.1 and 600".into());
    }
    Ok(Command::Run(Plan {
        seconds: Duration::from_secs_f64(seconds),
        json,
    }))
}
