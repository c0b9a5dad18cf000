//! The command line of `overload`.

use std::ffi::OsString;
use std::fs::File;
use std::time::Duration;

use lexopt::prelude::*;

use crate::drive::Drive;
use crate::systems::{ALL, Contender};

pub(crate) const HELP: &str = "\
overload: how much of a service's capacity is served in time at half to ten times its load, and to whom

Usage: overload [--real] [--system NAME]... [--policy TEXT] [--load FACTOR]... [--seconds S] [--seed N] [--json FILE]

  --real          by the clock, with a worker that keeps a core busy; needs two cores, and nobody else on them.
                  Otherwise in virtual time, where a request takes exactly one millisecond
  --system NAME   treewarden, ractor or kameo; can be repeated; default all
  --policy TEXT   only policies whose name contains it
  --load FACTOR   of the capacity; can be repeated; default 0.5 1 2 5 10
  --seconds S     how long requests come at each load (default 20, with --real 2)
  --seed N        of the arrivals (default 1)
  --json FILE     writes the results there, as a list of objects

Exit codes: 0 done, 1 the results could not be written, 2 the flags make no sense
";

/// What the command line asks for.
pub(crate) enum Command {
    Help,
    Run(Plan),
}

/// What is to be done.
pub(crate) struct Plan {
    pub(crate) drive: Drive,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) loads: Vec<f64>,
    pub(crate) json: Option<File>,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(args);
    let mut policy = String::new();
    let (mut real, mut systems, mut loads, mut seconds, mut seed, mut json) = (
        false,
        Vec::<String>::new(),
        Vec::<f64>::new(),
        None,
        1,
        None,
    );
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("real") => real = true,
            Long("system") => systems.push(parser.value()?.string()?),
            Long("policy") => policy = parser.value()?.string()?,
            Long("load") => loads.push(parser.value()?.parse()?),
            Long("seconds") => seconds = Some(parser.value()?.parse::<f64>()?),
            Long("seed") => seed = parser.value()?.parse()?,
            Long("json") => {
                let path = parser.value()?;
                let file = File::create(&path)
                    .map_err(|error| format!("cannot write to {}: {error}", path.display()))?;
                json = Some(file);
            }
            _ => return Err(arg.unexpected()),
        }
    }
    let seconds = seconds.unwrap_or(if real { 2.0 } else { 20.0 });
    if !(0.2..=3600.0).contains(&seconds) {
        return Err("--seconds is between 0.2 and 3600".into());
    }
    if loads.is_empty() {
        loads = vec![0.5, 1.0, 2.0, 5.0, 10.0];
    }
    if loads.iter().any(|load| !(0.01..=100.0).contains(load)) {
        return Err("--load is between 0.01 and 100".into());
    }
    let known = |name: &String| ALL.iter().any(|contender| contender.system == name);
    if let Some(unknown) = systems.iter().find(|name| !known(name)) {
        return Err(format!("--system {unknown}: it is treewarden, ractor or kameo").into());
    }
    let asked_for = |contender: &&Contender| {
        let system = systems.is_empty() || systems.iter().any(|name| contender.system == name);
        system && contender.policy.contains(&policy)
    };
    Ok(Command::Run(Plan {
        drive: Drive {
            real,
            seed,
            calibration: Duration::from_millis(if real { 500 } else { 2000 }),
            duration: Duration::from_secs_f64(seconds),
        },
        contenders: ALL.iter().filter(asked_for).copied().collect(),
        loads,
        json,
    }))
}
