//! The command line of `membership`.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;

use lexopt::prelude::*;

use crate::experiments::Experiment;
use crate::systems::System;

pub(crate) const HELP: &str = "\
membership: Treewarden's failure detection beside foca's, in one simulated network

Usage: membership EXPERIMENT [--nodes N] [--crashes N] [--seeds N] [--system SYSTEM]... [--full] [--json FILE]

  EXPERIMENT       lifeguard  members whose input and output are blocked again and again: false positives
                   crash      members that crash at once: when they are found, and when all know
                   rapid      members with 80 % loss, and with links that work in one direction by turns
                   bandwidth  a cluster at rest
                   bootstrap  all members start at once: when all know all
                   scale      cost for each member, by size of the cluster
  --nodes N        members (default 128; scale: up to this)
  --crashes N      how many crash in `crash` (default 1)
  --seeds N        repetitions with seeds 0 to N-1 (default 3)
  --system SYSTEM  treewarden, swim, lha-probe, lha-suspicion, buddy or foca, all with settings for a data centre; treewarden-local and
                   treewarden-wan with the other ones; can be repeated; default all that fit
  --full           lifeguard: the whole grid of durations, intervals and numbers, which takes hours
  --cell N:MS:MS   lifeguard: only this cell: how many are blocked, for how long, and how long open in between; can be repeated
  --json FILE      writes the results there, too
";

/// What the command line asks for.
pub(crate) enum Command {
    Help,
    Run(Plan),
}

/// What is to be done.
pub(crate) struct Plan {
    pub(crate) experiment: Experiment,
    pub(crate) nodes: usize,
    pub(crate) crashes: usize,
    pub(crate) seeds: u64,
    pub(crate) systems: Vec<System>,
    pub(crate) full: bool,
    /// How many are blocked, for how many milliseconds, and for how many they are open; empty for the grid.
    pub(crate) cells: Vec<(usize, u64, u64)>,
    pub(crate) json: Option<File>,
}

impl Plan {
    /// Writes a result where it was asked for. A reader that has gone ends nothing.
    pub(crate) fn tell(&mut self, result: &serde_json::Value) {
        println!("{result}");
        if let Some(file) = &mut self.json
            && let Err(error) = writeln!(file, "{result}")
        {
            eprintln!("membership: the results can no longer be written to the file: {error}");
            self.json = None;
        }
    }
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(args);
    let mut experiment = None;
    let (mut nodes, mut crashes, mut seeds, mut systems, mut full, mut json) =
        (128usize, 1usize, 3u64, Vec::new(), false, None);
    let mut cells = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("nodes") => nodes = parser.value()?.parse()?,
            Long("crashes") => crashes = parser.value()?.parse()?,
            Long("seeds") => seeds = parser.value()?.parse()?,
            Long("system") => systems.push(parser.value()?.parse()?),
            Long("full") => full = true,
            Long("cell") => cells.push(cell(&parser.value()?.string()?)?),
            Long("json") => {
                let path = parser.value()?;
                let file = File::create(&path)
                    .map_err(|error| format!("cannot write to {}: {error}", path.display()))?;
                json = Some(file);
            }
            Value(value) if experiment.is_none() => experiment = Some(value.parse()?),
            _ => return Err(arg.unexpected()),
        }
    }
    let Some(experiment) = experiment else {
        return Err("which experiment? see --help".into());
    };
    if nodes < 8 || seeds == 0 || crashes == 0 || crashes * 2 >= nodes {
        return Err("--nodes is at least 8, --seeds and --crashes at least 1, and fewer than half of the nodes can crash".into());
    }
    if let Some((anomalies, ..)) = cells
        .iter()
        .find(|(anomalies, ..)| *anomalies == 0 || anomalies * 2 >= nodes)
    {
        return Err(format!("--cell blocks {anomalies} of {nodes} nodes; it has to be at least one and fewer than half").into());
    }
    Ok(Command::Run(Plan {
        experiment,
        nodes,
        crashes,
        seeds,
        systems,
        full,
        cells,
        json,
    }))
}

/// Such as 32:8192:16.
fn cell(text: &str) -> Result<(usize, u64, u64), lexopt::Error> {
    let numbers: Result<Vec<u64>, _> = text.split(':').map(str::parse).collect();
    match numbers.as_deref() {
        Ok(&[anomalies, blocked, open]) if (1..=120_000).contains(&blocked) && open > 0 => {
            Ok((anomalies as usize, blocked, open))
        }
        _ => Err(format!("--cell takes three numbers such as 32:8192:16, the second from 1 to 120000 and the third above 0, not {text:?}").into()),
    }
}
