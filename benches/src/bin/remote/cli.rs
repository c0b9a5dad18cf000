//! What is asked for.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::systems::System;

pub(crate) const HELP: &str = "\
remote: messages between two processes on loopback

  --rounds N         how often everything is measured, 1 to 100 (default 5)
  --quick            3 rounds, shorter ones
  --only WORKLOAD    tell, ask-1, ask-64, ask-beside-large or slow-actor
  --bytes N          tells of this size alone: 16, 100, 1024 or 65536
  --system SYSTEM    treewarden, treewarden-tls, tcp, erlang, tonic, tonic-tls, ractor or ractor-tls;
                     more than once for several (default: all)
  --json FILE        writes the figures there as well";

pub(crate) enum Request {
    Help,
    /// The other process of a measurement.
    Serve(System),
    Measure(Plan),
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    pub(crate) quick: bool,
    pub(crate) only: Option<String>,
    /// None: all sizes.
    pub(crate) bytes: Option<usize>,
    /// None: all.
    pub(crate) systems: Vec<System>,
    pub(crate) json: Option<PathBuf>,
}

pub(crate) const TELL_BYTES: [usize; 4] = [16, 100, 1024, 64 * 1024];

pub(crate) const WORKLOADS: [&str; 5] =
    ["tell", "ask-1", "ask-64", "ask-beside-large", "slow-actor"];

pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Request, String> {
    let mut plan = Plan {
        rounds: 5,
        quick: false,
        only: None,
        bytes: None,
        systems: Vec::new(),
        json: None,
    };
    let mut args = lexopt::Parser::from_args(args);
    let said = |error: lexopt::Error| error.to_string();
    while let Some(arg) = args.next().map_err(said)? {
        match arg {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("rounds") => plan.rounds = args.value().and_then(|n| n.parse()).map_err(said)?,
            Long("quick") => {
                plan.quick = true;
                plan.rounds = 3;
            }
            Long("only") => {
                let only = args.value().and_then(|name| name.string()).map_err(said)?;
                if !WORKLOADS.contains(&&*only) {
                    let all = WORKLOADS.join(", ");
                    return Err(format!("there is no workload {only:?}; there are: {all}"));
                }
                plan.only = Some(only);
            }
            Long("bytes") => {
                let bytes = args.value().and_then(|n| n.parse()).map_err(said)?;
                if !TELL_BYTES.contains(&bytes) {
                    return Err(format!(
                        "no tells of {bytes} bytes; there are: {TELL_BYTES:?}"
                    ));
                }
                plan.bytes = Some(bytes);
            }
            Long("json") => plan.json = Some(args.value().map_err(said)?.into()),
            Long("system") => plan.systems.push(system(&mut args)?),
            Long("serve") => return system(&mut args).map(Request::Serve),
            other => return Err(other.unexpected().to_string()),
        }
    }
    if !(1..=100).contains(&plan.rounds) {
        return Err(format!(
            "--rounds is {}; it has to lie between 1 and 100",
            plan.rounds
        ));
    }
    Ok(Request::Measure(plan))
}

fn system(args: &mut lexopt::Parser) -> Result<System, String> {
    let name = args.value().and_then(|name| name.string());
    let name = name.map_err(|error| error.to_string())?;
    System::by_name(&name).ok_or_else(|| {
        let all = System::ALL.map(System::flag).join(", ");
        format!("there is no system {name:?}; there are: {all}")
    })
}
