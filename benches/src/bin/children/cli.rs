//! The command line of `children`.

use std::ffi::OsString;
use std::fs::File;

use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
children: what the children of one supervisor cost, in time and memory, as their number grows; and what a storm of
restarts of one of them costs the others

Usage: children [--children N] [--json FILE]

  --children N  up to how many, in steps of ten (default 1000000)
  --json FILE   writes the results there, as a list of objects

Exit codes: 0 done, 1 the results could not be written, 2 the flags make no sense
";

const CHILDREN_MAX: usize = 10_000_000;

/// What the command line asks for.
pub(crate) enum Command {
    Help,
    Run(Plan),
}

/// What is to be done.
pub(crate) struct Plan {
    pub(crate) children: usize,
    pub(crate) json: Option<File>,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(args);
    let mut plan = Plan {
        children: 1_000_000,
        json: None,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("children") => plan.children = parser.value()?.parse()?,
            Long("json") => {
                let path = parser.value()?;
                let file = File::create(&path)
                    .map_err(|error| format!("cannot write to {}: {error}", path.display()))?;
                plan.json = Some(file);
            }
            _ => return Err(arg.unexpected()),
        }
    }
    if !(1..=CHILDREN_MAX).contains(&plan.children) {
        return Err(format!("--children is between 1 and {CHILDREN_MAX}").into());
    }
    Ok(Command::Run(plan))
}
