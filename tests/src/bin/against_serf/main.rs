//! Our membership beside HashiCorp's, as Debian ships it (`serf`): the same faults done to real processes in network namespaces.
//!
//! ```sh
//! cargo build --release -p treewarden-cli
//! cargo run --release -p treewarden-tests --bin against_serf -- --nodes 12 --crashes 5
//! ```
//!
//! Both clusters run at the same time, each in a [`Lab`] of its own, so that the machine's other work disturbs both alike. Both are
//! encrypted, with their default settings for a LAN. What each process prints is stamped when it arrives here, by one clock.
//!
//! What is not here: a network with delays or loss; the simulator has that.

#![forbid(unsafe_code)]

mod cluster;
mod report;
mod system;

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use cluster::Cluster;
use report::Findings;
use system::System;
use treewarden_tests::netns::Lab;

const HELP: &str = "\
Compares treewarden's membership with serf's, in network namespaces. Needs root, iproute2 and serf.

usage: against_serf [options]

  --nodes N          in each cluster, 4 to 32 (default 12)
  --idle SECONDS     how long the traffic at rest is measured (default 60)
  --crashes N        how many processes are killed, one after the other (default 5)
  --stops N          how many are stopped for 5 s (default 3)
  --partitions N     how often a quarter of the nodes is cut off (default 1)
  --treewarden PATH  the command (default: beside this program)
  --json FILE        writes one object for each system, a line each
  --gate             exit code 3 unless crashes are found sooner than by serf, with at most 1.2 times its bytes, and with no more
                     false accusations
";

/// How much is done.
#[derive(Clone, Debug)]
struct Plan {
    nodes: usize,
    idle: Duration,
    crashes: usize,
    stops: usize,
    partitions: usize,
    treewarden: PathBuf,
    json: Option<PathBuf>,
    gate: bool,
}

fn main() -> ExitCode {
    let plan = match parse() {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("against_serf: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if let Some(missing) = missing(&plan) {
        println!("against_serf: skipped, for want of {missing}");
        return ExitCode::SUCCESS;
    }
    match compare(&plan) {
        Ok([ours, serfs]) => {
            print!("{}", report::table(&plan, [&ours, &serfs]));
            let broken = report::broken_gates(&ours, &serfs);
            for gate in &broken {
                println!("gate: {gate}");
            }
            if plan.gate && !broken.is_empty() {
                return ExitCode::from(3);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("against_serf: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Option<Plan>, lexopt::Error> {
    use lexopt::prelude::*;
    let beside = std::env::current_exe().unwrap_or_default();
    let mut plan = Plan {
        nodes: 12,
        idle: Duration::from_secs(60),
        crashes: 5,
        stops: 3,
        partitions: 1,
        treewarden: beside.with_file_name("treewarden"),
        json: None,
        gate: false,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("nodes") => plan.nodes = args.value()?.parse()?,
            Long("idle") => plan.idle = Duration::from_secs(args.value()?.parse()?),
            Long("crashes") => plan.crashes = args.value()?.parse()?,
            Long("stops") => plan.stops = args.value()?.parse()?,
            Long("partitions") => plan.partitions = args.value()?.parse()?,
            Long("treewarden") => plan.treewarden = args.value()?.into(),
            Long("json") => plan.json = Some(args.value()?.into()),
            Long("gate") => plan.gate = true,
            other => return Err(other.unexpected()),
        }
    }
    if !(4..=32).contains(&plan.nodes) {
        return Err("--nodes lies between 4 and 32".into());
    }
    Ok(Some(plan))
}

fn missing(plan: &Plan) -> Option<String> {
    let serf = Command::new("serf")
        .arg("version")
        .stdout(Stdio::null())
        .status();
    if serf.is_err() {
        return Some("serf (Debian: apt-get install serf)".to_owned());
    }
    if !plan.treewarden.exists() {
        return Some(format!(
            "{} (cargo build --release -p treewarden-cli)",
            plan.treewarden.display()
        ));
    }
    Lab::missing()
}

/// Ours first.
fn compare(plan: &Plan) -> io::Result<[Findings; 2]> {
    let scratch = treewarden_tests::scratch::Scratch::new("against-serf");
    let key = scratch.file("gossip.key", "5e".repeat(32).as_bytes());
    let systems = [
        System::Treewarden {
            program: plan.treewarden.clone(),
            key,
        },
        System::Serf,
    ];
    let ran = thread::scope(|scope| {
        let threads = systems.map(|system| scope.spawn(move || examine(plan, system)));
        threads.map(|thread| thread.join().expect("an examination does not panic"))
    });
    let [ours, serfs] = ran;
    let both = [ours?, serfs?];
    if let Some(path) = &plan.json {
        let lines: String = both
            .iter()
            .map(|findings| format!("{}\n", report::json(plan, findings)))
            .collect();
        std::fs::write(path, lines)?;
    }
    Ok(both)
}

/// All faults, one after the other, to one cluster.
fn examine(plan: &Plan, system: System) -> io::Result<Findings> {
    let mut findings = Findings::new(system.name());
    let lab = Lab::new(plan.nodes)?;
    let mut cluster = Cluster::start(&lab, system)?;
    findings.formed = cluster.wait_until_all_are_alive();
    cluster.watch(Duration::from_secs(10)); // news of the start are still under way
    cluster.measure_rest(plan.idle, &mut findings)?;
    let before = cluster.traffic()?;
    for round in 0..plan.crashes {
        cluster.crash(1 + round % (plan.nodes - 1), &mut findings)?;
    }
    for round in 0..plan.stops {
        cluster.stop(2 + round % (plan.nodes - 2), &mut findings)?;
    }
    for _ in 0..plan.partitions {
        cluster.partition(plan.nodes / 4, &mut findings)?;
    }
    let after = cluster.traffic()?;
    findings.faults_bytes_per_node_s = after.rate_since(&before);
    Ok(findings)
}
