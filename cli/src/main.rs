//! The `treewarden` command. Exit code 0: done; 1: it went wrong on the way; 2: what was asked for makes no sense.

#![forbid(unsafe_code)]

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use lexopt::prelude::*;
use treewarden_cli::certs::{self, CertsError, Plan};
use treewarden_cli::member::{self, MemberError};
use treewarden_cluster::agent::{AgentConfig, Preset, seeds_from_env};

const HELP: &str = "\
treewarden: certificates and keys for a cluster, and a member that says what it sees

  treewarden certs DIR --nodes A,B,C [--cluster NAME] [--days N]

    Makes in DIR what a cluster needs to speak in private: an authority (ca.pem, ca-key.pem), a certificate and
    a key for each node (A.pem, A-key.pem, ...), and the key of its gossip (gossip.key). What is there already
    is kept, so running it again with other nodes adds those.

    --nodes A,B,C    names of nodes: 1 to 64 letters, digits and -._~ each
    --cluster NAME   the cluster that they belong to (default: that of DIR, or \"dev\")
    --days N         how long the certificates are valid, 1 to 3650 (default 365)

  treewarden member --node NAME --bind ADDR (--key FILE | --plaintext) [--seed SEED]...
  treewarden member --config FILE [--seed SEED]...

    Is a member of a cluster and prints what it sees of it, one JSON object a line. Leaves on SIGINT and SIGTERM.

    --config FILE    the settings of a node, in TOML; docs/OPERATIONS.md has an example. It needs a key_file
    --node NAME      its name in the cluster
    --bind ADDR      where it receives, as 10.0.0.1:7946
    --advertise ADDR where others reach it (default: as bound)
    --seed SEED      where others may be: ADDR, HOST:PORT (all addresses of the name) or file:PATH (a list that is
                     read again and again); several are separated by commas. Those in the environment variable
                     TREEWARDEN_JOIN are tried too
    --key FILE       the key of the gossip, as certs writes it
    --plaintext      no key: for loopback and networks that protect by themselves
    --cluster NAME   the cluster's name (default \"dev\")
    --preset NAME    timing for local, lan or wan (default lan)
";

/// Longest validity, in days.
const DAYS_MAX: u32 = 3650;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(Trouble::Usage(what)) => {
            eprintln!("treewarden: {what}\n\n{HELP}");
            ExitCode::from(2)
        }
        Err(Trouble::Refused(error)) => {
            eprintln!("treewarden: {error}");
            ExitCode::from(2)
        }
        Err(Trouble::Failed(error)) => {
            eprintln!("treewarden: {error}");
            ExitCode::FAILURE
        }
        Err(Trouble::Member(error)) => {
            eprintln!("treewarden: {error}");
            match error {
                MemberError::File(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Why a command was not done.
enum Trouble {
    Usage(String),
    Refused(CertsError),
    Failed(CertsError),
    Member(MemberError),
}

impl From<lexopt::Error> for Trouble {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

fn run(args: impl Iterator<Item = OsString>) -> Result<String, Trouble> {
    let mut args = lexopt::Parser::from_args(args);
    match args.next()? {
        Some(Value(command)) if command == "certs" => make_certs(args),
        Some(Value(command)) if command == "member" => run_member(args),
        Some(Value(command)) => Err(Trouble::Usage(format!(
            "there is no command {command:?}; there are: certs, member"
        ))),
        Some(Short('h') | Long("help")) => Ok(HELP.to_owned()),
        Some(other) => Err(other.unexpected().into()),
        None => Err(Trouble::Usage("say what to do".to_owned())),
    }
}

fn make_certs(mut args: lexopt::Parser) -> Result<String, Trouble> {
    let (mut dir, mut cluster, mut nodes, mut days) = (None, None, Vec::new(), 365);
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(HELP.to_owned()),
            Long("cluster") => cluster = Some(args.value()?.string()?),
            Long("nodes") => {
                let list = args.value()?.string()?;
                nodes.extend(list.split(',').map(str::to_owned));
            }
            Long("days") => days = args.value()?.parse()?,
            Value(value) if dir.is_none() => dir = Some(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(dir) = dir else {
        return Err(Trouble::Usage("certs needs a folder".to_owned()));
    };
    if nodes.is_empty() {
        return Err(Trouble::Usage("certs needs --nodes".to_owned()));
    }
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Trouble::Usage(format!(
            "--days is {days}; it has to lie between 1 and {DAYS_MAX}"
        )));
    }
    let plan = Plan {
        dir,
        cluster,
        nodes,
        days,
    };
    let written = certs::write(&plan).map_err(|error| match error {
        CertsError::Name(_) | CertsError::ReservedName | CertsError::OtherCluster { .. } => {
            Trouble::Refused(error)
        }
        error => Trouble::Failed(error),
    })?;
    let said = match written.len() {
        0 => "everything is there already\n".to_owned(),
        _ => written
            .iter()
            .map(|path| format!("wrote {}\n", path.display()))
            .collect(),
    };
    Ok(said)
}

fn run_member(mut args: lexopt::Parser) -> Result<String, Trouble> {
    let usage = |what: &str| Trouble::Usage(what.to_owned());
    let (mut node, mut bind, mut advertise, mut key) = (None, None, None, None);
    let (mut plaintext, mut cluster, mut preset) = (false, None, None);
    let mut file: Option<PathBuf> = None;
    let mut seeds = seeds_from_env("TREEWARDEN_JOIN")
        .map_err(|error| Trouble::Usage(format!("TREEWARDEN_JOIN: {error}")))?;
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(HELP.to_owned()),
            Long("config") => file = Some(PathBuf::from(args.value()?)),
            Long("node") => node = Some(args.value()?.string()?),
            Long("bind") => bind = Some(args.value()?.parse()?),
            Long("advertise") => advertise = Some(args.value()?.parse()?),
            Long("seed") => {
                for seed in args.value()?.string()?.split(',') {
                    let seed = seed.parse();
                    seeds.push(seed.map_err(|error| Trouble::Usage(format!("{error}")))?);
                }
            }
            Long("key") => key = Some(PathBuf::from(args.value()?)),
            Long("plaintext") => plaintext = true,
            Long("cluster") => cluster = Some(args.value()?.string()?),
            Long("preset") => {
                preset = Some(match args.value()?.string()?.as_str() {
                    "local" => Preset::Local,
                    "lan" => Preset::Lan,
                    "wan" => Preset::Wan,
                    other => {
                        let what = format!("--preset is local, lan or wan, not {other:?}");
                        return Err(Trouble::Usage(what));
                    }
                });
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if let Some(file) = file {
        let is_alone = node.is_none() && bind.is_none() && advertise.is_none() && key.is_none();
        if !is_alone || plaintext || cluster.is_some() || preset.is_some() {
            return Err(usage(
                "with --config the file says everything; only --seed may stand beside it",
            ));
        }
        let mut config = member::config_from_file(&file).map_err(Trouble::Member)?;
        config.seeds.extend(seeds);
        return run_with(config);
    }
    if plaintext == key.is_some() {
        return Err(usage("member needs either --key or --plaintext"));
    }
    let plan = member::Plan {
        node: node.ok_or_else(|| usage("member needs --node"))?,
        cluster: cluster.unwrap_or_else(|| "dev".to_owned()),
        bind: bind.ok_or_else(|| usage("member needs --bind"))?,
        advertise,
        seeds,
        key,
        preset: preset.unwrap_or(Preset::Lan),
    };
    run_with(plan.into_config().map_err(Trouble::Member)?)
}

fn run_with(config: AgentConfig) -> Result<String, Trouble> {
    member::run(config, &mut std::io::stdout().lock()).map_err(Trouble::Member)?;
    Ok(String::new())
}
