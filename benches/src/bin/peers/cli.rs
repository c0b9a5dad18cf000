//! The command line of `peers`.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::systems::System;
use crate::workload::{Measurement, RuntimeKind, Scale, Workload};

pub(crate) const HELP: &str = "\
peers: Treewarden beside other actor systems

Usage: peers [--quick] [--rounds N] [--only WORKLOAD]... [--system SYSTEM]... [--runtime multi|current] [--json FILE]

  --quick            smaller sizes, 3 rounds; begins no round that would end after 10 minutes
  --rounds N         how often everything is measured, 1 to 100 (default 5)
  --only WORKLOAD    tell-1, tell-4, tell-1-64b, tell-4-64b, ask-1, ask-64, ping-pong, ring, fan-out, spawn, stop,
                     bytes, crash-p50, crash-p99 or peak-memory; can be repeated
  --system SYSTEM    treewarden, ractor, kameo, actix, actix-one, xtra, tokio, erlang or erlang-gen; can be repeated
  --runtime KIND     multi (tokio multi_thread, 2 workers) or current (current_thread); default both
  --json FILE        writes the figures as JSON, too
";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Compare(Plan),
    /// What this program starts itself with, in a process for each measurement.
    Measure {
        system: System,
        measurement: Measurement,
        kind: RuntimeKind,
        scale: Scale,
    },
}

/// What is compared.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) scale: Scale,
    pub(crate) rounds: usize,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) systems: Vec<System>,
    pub(crate) kinds: Vec<RuntimeKind>,
    /// Open before anything is measured: a path that cannot be written to is told at once.
    pub(crate) json: Option<File>,
}

/// One line that names the flag and what it takes.
#[derive(Debug)]
pub(crate) enum CliError {
    Flag(lexopt::Error),
    Value {
        flag: &'static str,
        value: String,
        takes: String,
    },
    Json {
        path: PathBuf,
        cause: std::io::Error,
    },
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Flag(cause) => write!(f, "{cause}; see --help"),
            CliError::Value { flag, value, takes } => {
                write!(f, "{flag} takes {takes}, not {value:?}")
            }
            CliError::Json { path, cause } => {
                write!(f, "--json: {} cannot be written: {cause}", path.display())
            }
        }
    }
}

impl std::error::Error for CliError {}

impl From<lexopt::Error> for CliError {
    fn from(cause: lexopt::Error) -> CliError {
        CliError::Flag(cause)
    }
}

/// `args` begins with the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, CliError> {
    let mut parser = lexopt::Parser::from_iter(args);
    let mut quick = false;
    let mut rounds = None;
    let mut workloads = Vec::new();
    let mut systems = Vec::new();
    let mut kinds = Vec::new();
    let mut json = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("quick") => quick = true,
            Long("rounds") => {
                let value = text(&mut parser)?;
                let number = value
                    .parse()
                    .ok()
                    .filter(|rounds| (1..=100).contains(rounds));
                rounds = Some(number.ok_or_else(|| CliError::Value {
                    flag: "--rounds",
                    value,
                    takes: "a number from 1 to 100".to_owned(),
                })?);
            }
            Long("only") => {
                let all = Workload::ALL.map(Workload::name);
                workloads.push(named(&mut parser, "--only", &all, Workload::from_name)?);
            }
            Long("system") => {
                let all = System::ALL.map(System::name);
                systems.push(named(&mut parser, "--system", &all, System::from_name)?);
            }
            Long("runtime") => {
                let all = RuntimeKind::ALL.map(RuntimeKind::name);
                kinds.push(named(
                    &mut parser,
                    "--runtime",
                    &all,
                    RuntimeKind::from_name,
                )?);
            }
            Long("json") => json = Some(PathBuf::from(parser.value()?)),
            Long("measure") => return measurement(&mut parser),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let json = match json {
        Some(path) => Some(File::create(&path).map_err(|cause| CliError::Json { path, cause })?),
        None => None,
    };
    Ok(Command::Compare(Plan {
        scale: if quick { Scale::QUICK } else { Scale::FULL },
        rounds: rounds.unwrap_or(if quick { 3 } else { 5 }),
        workloads: or_all(workloads, &Workload::ALL),
        systems: or_all(systems, &System::ALL),
        kinds: or_all(kinds, &RuntimeKind::ALL),
        json,
    }))
}

/// The four names that follow `--measure`.
fn measurement(parser: &mut lexopt::Parser) -> Result<Command, CliError> {
    const FLAG: &str = "--measure";
    Ok(Command::Measure {
        system: named(
            parser,
            FLAG,
            &System::ALL.map(System::name),
            System::from_name,
        )?,
        measurement: named(
            parser,
            FLAG,
            &Measurement::ALL.map(Measurement::name),
            Measurement::from_name,
        )?,
        kind: named(
            parser,
            FLAG,
            &RuntimeKind::ALL.map(RuntimeKind::name),
            RuntimeKind::from_name,
        )?,
        scale: named(parser, FLAG, &["quick", "full"], Scale::from_name)?,
    })
}

/// A value that is one of `names`.
fn named<T>(
    parser: &mut lexopt::Parser,
    flag: &'static str,
    names: &[&str],
    from_name: impl FnOnce(&str) -> Option<T>,
) -> Result<T, CliError> {
    let value = text(parser)?;
    from_name(&value).ok_or_else(|| CliError::Value {
        flag,
        value,
        takes: format!("one of {}", names.join(", ")),
    })
}

fn text(parser: &mut lexopt::Parser) -> Result<String, CliError> {
    Ok(parser.value()?.to_string_lossy().into_owned())
}

fn or_all<T: Clone>(chosen: Vec<T>, all: &[T]) -> Vec<T> {
    if chosen.is_empty() {
        all.to_vec()
    } else {
        chosen
    }
}
