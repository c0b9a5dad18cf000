//! What is asked for.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
failover: how long a cluster is without its singleton

  --runs N                how often each fault happens, 1 to 1000 (default 20)
  --nodes N               how many nodes there are, 3 to 50 (default 5)
  --hosts loopback|netns  where they are (default: both, one after the other)
  --only SERIES           killed, cut or stopped
  --json FILE             writes one object for each series, a line each
  --gate                  exit code 3 unless a killed node is replaced within 5 s and one that is cut off within 12.5 s, always, and two
                          never work at the same time in these series";

pub(crate) enum Request {
    Help,
    /// The process of a node.
    Node(String),
    Measure(Plan),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Loopback,
    Netns,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Netns => "netns",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Killed,
    Cut,
    Stopped,
}

impl Fault {
    pub(crate) const ALL: [Self; 3] = [Self::Killed, Self::Cut, Self::Stopped];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Cut => "cut",
            Self::Stopped => "stopped",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) runs: usize,
    pub(crate) nodes: usize,
    pub(crate) places: Vec<Place>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) gate: bool,
}

pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Request, String> {
    let mut plan = Plan {
        runs: 20,
        nodes: 5,
        places: vec![Place::Loopback, Place::Netns],
        faults: Fault::ALL.to_vec(),
        json: None,
        gate: false,
    };
    let mut args = lexopt::Parser::from_args(args);
    let said = |error: lexopt::Error| error.to_string();
    while let Some(arg) = args.next().map_err(said)? {
        match arg {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("runs") => plan.runs = args.value().and_then(|n| n.parse()).map_err(said)?,
            Long("nodes") => plan.nodes = args.value().and_then(|n| n.parse()).map_err(said)?,
            Long("hosts") => {
                let name = args.value().and_then(|name| name.string()).map_err(said)?;
                let all = [Place::Loopback, Place::Netns];
                plan.places.retain(|place| place.name() == name);
                if plan.places.is_empty() {
                    let names = all.map(Place::name).join(" or ");
                    return Err(format!("--hosts is {name:?}; it has to be {names}"));
                }
            }
            Long("only") => {
                let name = args.value().and_then(|name| name.string()).map_err(said)?;
                plan.faults.retain(|fault| fault.name() == name);
                if plan.faults.is_empty() {
                    let names = Fault::ALL.map(Fault::name).join(", ");
                    return Err(format!("there is no series {name:?}; there are: {names}"));
                }
            }
            Long("json") => plan.json = Some(args.value().map_err(said)?.into()),
            Long("gate") => plan.gate = true,
            Long("node") => {
                let settings = args.value().and_then(|text| text.string()).map_err(said)?;
                return Ok(Request::Node(settings));
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    if !(1..=1000).contains(&plan.runs) {
        return Err(format!(
            "--runs is {}; it lies between 1 and 1000",
            plan.runs
        ));
    }
    if !(3..=50).contains(&plan.nodes) {
        return Err(format!(
            "--nodes is {}; it lies between 3 and 50",
            plan.nodes
        ));
    }
    Ok(Request::Measure(plan))
}
