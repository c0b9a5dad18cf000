//! What a person types: [`parse`].

use std::{ffi::OsString, fmt, path::PathBuf};

use super::{chaos::Chaos, hosts::HostKind};

/// The most nodes that one launcher starts.
pub const NODES_MAX: u32 = 32;

/// What `--help` prints.
pub const HELP: &str = "\
Counts the words of text files on a cluster of local processes, while parts of it are crashed and killed.

usage: cluster [--nodes N] [--input PATH...] [--chaos MODE] [--hosts KIND] [--interactive] [--plaintext]
               [--output FILE] [--json]

  --nodes N        how many node processes to start, 1 to 32 (default 3)
  --input PATH...  files, and folders with all that is in them (default: this repository's sources and documents)
  --chaos MODE     what breaks meanwhile: none, actors (workers crash), node (one node is killed), coordinator (the node
                   that coordinates is killed), partition (one node is cut off for a while), all (actors and coordinator;
                   with 4 nodes or more a partition after that, with 5 or more another kill before); all but none and
                   actors need at least 3 nodes (default all; none with --interactive)
  --hosts KIND     where nodes live: loopback (default), or netns: each in a network namespace of its own, where a node is cut
                   off by pulling its cable; needs Linux, root and iproute2, and removes them at the end
  --interactive    work slowly, show members and trees, and let keys kill, stop, cut off and crash them; needs a terminal
  --plaintext      do not encrypt links (default: mutual TLS, with certificates that are made for this run alone)
  --output FILE    write the counts there, one count<TAB>word a line, sorted by word as bytes
  --json           end with one line of JSON
  --help           print this

One node coordinates. When it dies another one takes over, and is spared what the others have counted before.

exit codes: 0 the count is exact, 1 it is not or the job failed, 2 bad input, 130 interrupted
";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many node processes to start, from 1 to [`NODES_MAX`].
    pub nodes: u32,
    /// Files and folders; none stands for the repository.
    pub input: Vec<PathBuf>,
    /// What breaks meanwhile.
    pub chaos: Chaos,
    /// Where nodes live.
    pub hosts: HostKind,
    /// Whether a person breaks things.
    pub interactive: bool,
    /// Whether links are in the clear.
    pub plaintext: bool,
    /// Where the counts go.
    pub output: Option<PathBuf>,
    /// Whether to end with a line of JSON.
    pub json: bool,
}

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Do it.
    Run(Options),
    /// Print [`HELP`].
    Help,
}

/// What was typed makes no sense. Nothing was started.
#[derive(Debug)]
#[non_exhaustive]
pub enum CliError {
    /// There is no such flag, a value is missing, or something stands alone.
    Syntax(lexopt::Error),
    /// The number of nodes is not one that can be started.
    Nodes(String),
    /// The mode of chaos does not exist.
    Chaos(String),
    /// There are no such hosts.
    Hosts(String),
    /// Links in the clear stay on loopback.
    PlaintextBeyondLoopback,
    /// `--input` without a path.
    NoInput,
    /// A node cannot be killed or cut off in so small a cluster.
    TooFewToKill {
        /// How many nodes there would be.
        nodes: u32,
        /// What was asked for.
        chaos: Chaos,
    },
}

impl From<lexopt::Error> for CliError {
    fn from(error: lexopt::Error) -> Self {
        Self::Syntax(error)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => write!(f, "{error}; see --help"),
            Self::Nodes(text) => write!(
                f,
                "--nodes must be a number from 1 to {NODES_MAX}, not {text:?}"
            ),
            Self::Chaos(text) => {
                write!(
                    f,
                    "--chaos must be none, actors, node, coordinator, partition or all, not {text:?}"
                )
            }
            Self::Hosts(text) => {
                write!(f, "--hosts must be loopback or netns, not {text:?}")
            }
            Self::PlaintextBeyondLoopback => f.write_str(
                "--plaintext is for --hosts loopback alone: links in the clear stay there",
            ),
            Self::NoInput => f.write_str("--input needs at least one file or folder"),
            Self::TooFewToKill { nodes, chaos } => write!(
                f,
                "--chaos {chaos} takes a node away, and what is left of {nodes} would be no majority: use at least --nodes 3, or --chaos actors"
            ),
        }
    }
}

impl std::error::Error for CliError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Syntax(error) => Some(error),
            Self::Nodes(_)
            | Self::Chaos(_)
            | Self::Hosts(_)
            | Self::PlaintextBeyondLoopback
            | Self::NoInput
            | Self::TooFewToKill { .. } => None,
        }
    }
}

/// Reads what was typed behind the name of the program.
///
/// # Errors
///
/// The first thing that makes no sense.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, CliError> {
    use lexopt::prelude::*;

    let mut options = Options {
        nodes: 3,
        input: Vec::new(),
        chaos: Chaos::All,
        hosts: HostKind::Loopback,
        interactive: false,
        plaintext: false,
        output: None,
        json: false,
    };
    let mut chaos = None;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("nodes") => options.nodes = nodes(&parser.value()?)?,
            Long("input") => {
                // `values` fails if there is none, and names the flag less well.
                let paths = parser.values().map_err(|_| CliError::NoInput)?;
                options.input.extend(paths.map(PathBuf::from));
            }
            Long("chaos") => {
                let text = parser.value()?.to_string_lossy().into_owned();
                chaos = Some(text.parse().map_err(|_| CliError::Chaos(text))?);
            }
            Long("hosts") => {
                let text = parser.value()?.to_string_lossy().into_owned();
                options.hosts = text.parse().map_err(|_| CliError::Hosts(text))?;
            }
            Long("output") => options.output = Some(parser.value()?.into()),
            Long("interactive") => options.interactive = true,
            Long("plaintext") => options.plaintext = true,
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Ok(Request::Help),
            _ => return Err(argument.unexpected().into()),
        }
    }
    options.chaos = match chaos {
        Some(chaos) => chaos,
        None if options.interactive => Chaos::None,
        None => Chaos::All,
    };
    let Options { nodes, chaos, .. } = options;
    if chaos.needs_a_majority() && nodes < 3 {
        return Err(CliError::TooFewToKill { nodes, chaos });
    }
    if options.plaintext && options.hosts == HostKind::Netns {
        return Err(CliError::PlaintextBeyondLoopback);
    }
    Ok(Request::Run(options))
}

fn nodes(text: &OsString) -> Result<u32, CliError> {
    let text = text.to_string_lossy();
    match text.parse() {
        Ok(nodes) if (1..=NODES_MAX).contains(&nodes) => Ok(nodes),
        _ => Err(CliError::Nodes(text.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Request, CliError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn without_flags_three_nodes_count_the_repository_under_all_chaos() {
        let expected = Options {
            nodes: 3,
            input: vec![],
            chaos: Chaos::All,
            hosts: HostKind::Loopback,
            interactive: false,
            plaintext: false,
            output: None,
            json: false,
        };
        assert_eq!(typed("").unwrap(), Request::Run(expected));
    }

    #[test]
    fn flags_are_read() {
        let line = "--nodes 5 --input a b --chaos node --input=c --output out --plaintext --json";
        let expected = Options {
            nodes: 5,
            input: vec!["a".into(), "b".into(), "c".into()],
            chaos: Chaos::Node,
            hosts: HostKind::Loopback,
            interactive: false,
            plaintext: true,
            output: Some("out".into()),
            json: true,
        };
        assert_eq!(typed(line).unwrap(), Request::Run(expected));
        assert_eq!(typed("--nodes 0x --help").ok(), None);
        assert_eq!(typed("--help --nonsense").unwrap(), Request::Help);
    }

    #[test]
    fn what_makes_no_sense_is_said_in_one_line() {
        let check = |line: &str, expected: &str| {
            let text = typed(line).unwrap_err().to_string();
            assert!(text.contains(expected), "{line}: {text}");
            assert!(!text.contains('\n'), "{line}: {text}");
        };
        check("--nodes 0", "from 1 to 32, not \"0\"");
        check("--nodes -1", "not \"-1\"");
        check("--nodes 33", "not \"33\"");
        check("--nodes three", "not \"three\"");
        check("--nodes", "--nodes");
        check("--chaos some", "not \"some\"");
        check("--nodes 1", "at least --nodes 3");
        check("--nodes 2 --chaos all", "--chaos all takes a node away");
        check("--nodes 2 --chaos node", "--chaos node takes a node");
        check("--nodes 2 --chaos coordinator", "--chaos coordinator takes");
        check("--hosts moon", "loopback or netns, not \"moon\"");
        check("--hosts", "--hosts");
        check("--hosts netns --plaintext", "--hosts loopback alone");
        check("--input --json", "--input needs");
        check("--nonsense", "--nonsense");
        check("alone", "alone");
    }

    #[test]
    fn a_person_breaks_things_alone_unless_it_is_said_otherwise() {
        let chaos = |line| match typed(line) {
            Ok(Request::Run(options)) => (options.interactive, options.chaos),
            other => panic!("{other:?}"),
        };
        assert_eq!(chaos("--interactive"), (true, Chaos::None));
        assert_eq!(chaos("--interactive --chaos node"), (true, Chaos::Node));
    }

    #[test]
    fn hosts_are_loopback_unless_namespaces_are_asked_for() {
        let hosts = |line| match typed(line) {
            Ok(Request::Run(options)) => options.hosts,
            other => panic!("{other:?}"),
        };
        assert_eq!(hosts(""), HostKind::Loopback);
        assert_eq!(hosts("--hosts loopback"), HostKind::Loopback);
        assert_eq!(hosts("--hosts netns"), HostKind::Netns);
    }

    #[test]
    fn small_clusters_run_without_killing_nodes() {
        assert!(typed("--nodes 1 --chaos none").is_ok());
        assert!(typed("--nodes 2 --chaos actors").is_ok());
    }
}
