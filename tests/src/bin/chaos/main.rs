//! Nodes in network namespaces, to which for some minutes everything happens that can happen to machines: killed, stopped, cut off, heard in one
//! direction alone, started again.
//!
//! ```sh
//! cargo run --release -p treewarden-tests --bin chaos -- --minutes 10 --seed 7
//! ```
//!
//! Meanwhile each node tells and delivers numbered parcels to each other, and one does the work of a singleton. Checked is (`checks`): a receiver
//! handles what it is told at most once and in the order of the sender; what was acknowledged was handled, and once in a boot; no boot gets what
//! was for an earlier one; no two do the work of the singleton at the same time, but for a process that was stopped, up to its first look; after each
//! round everything is mended, and all have to agree on who is there, and find each other in a group of the cluster.
//!
//! The schedule (`schedule`) follows from the seed. What the nodes make of it also depends on the machine: the same seed does the same things at the
//! same times.

mod checks;
mod schedule;

use std::fmt::Write;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use checks::Done;
use schedule::{Deed, Schedule};
use treewarden_tests::netns::Lab;
use treewarden_tests::nodes::{Cluster, Hosts, Said, now_us, run_node};

const HELP: &str = "\
Faults of all kinds for some minutes. Needs root and iproute2.

usage: chaos [options]

  --minutes N   how long, 0.1 to 600 (default 1)
  --seed N      what is done when (default: by the clock)
  --nodes N     how many nodes, 3 to 15 (default 5)
  --parcels N   of each kind from each node to each other in a second, 1 to 1000 (default 10)

exit codes: 0 all held or skipped, 1 something did not hold, 2 bad input
";

/// How long the nodes may take to agree once everything is mended.
const AGREEMENT_TIME_MAX: Duration = Duration::from_secs(90);
/// How long parcels that are under way may take to arrive in the end.
const LAST_PARCELS: Duration = Duration::from_secs(3);
/// So many lines of a trace are printed; the file has all.
const TRACE_LINES_PRINTED: usize = 120;

#[derive(Clone, Debug)]
struct Plan {
    minutes: f64,
    seed: u64,
    nodes: usize,
    parcels_per_s: u32,
}

enum Request {
    Help,
    Node(String),
    Run(Plan),
}

fn main() -> ExitCode {
    let plan = match parse() {
        Ok(Request::Run(plan)) => plan,
        Ok(Request::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Request::Node(settings)) => {
            return match run_node(&settings) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE, // it has said why
            };
        }
        Err(error) => {
            eprintln!("chaos: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if let Some(missing) = Lab::missing() {
        println!("chaos: skipped, for want of {missing}");
        return ExitCode::SUCCESS;
    }
    match run(&plan) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Request, lexopt::Error> {
    use lexopt::prelude::*;
    let mut plan = Plan {
        minutes: 1.0,
        seed: now_us() % 1_000_000,
        nodes: 5,
        parcels_per_s: 10,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("minutes") => plan.minutes = args.value()?.parse()?,
            Long("seed") => plan.seed = args.value()?.parse()?,
            Long("nodes") => plan.nodes = args.value()?.parse()?,
            Long("parcels") => plan.parcels_per_s = args.value()?.parse()?,
            Long("node") => return Ok(Request::Node(args.value()?.string()?)),
            other => return Err(other.unexpected()),
        }
    }
    if !(0.1..=600.0).contains(&plan.minutes) {
        return Err("--minutes lies between 0.1 and 600".into());
    }
    if !(3..=15).contains(&plan.nodes) {
        return Err("--nodes lies between 3 and 15".into());
    }
    if !(1..=1000).contains(&plan.parcels_per_s) {
        return Err("--parcels lies between 1 and 1000".into());
    }
    Ok(Request::Run(plan))
}

/// The nodes, and what has been done to them.
struct Run {
    cluster: Cluster,
    done: Done,
    stopped_since: Vec<Option<u64>>,
    processes: Vec<usize>,
    /// What was done, by the clock of the nodes.
    deeds: Vec<(u64, String)>,
    broken: Vec<String>,
}

/// Returns how much did not hold.
fn run(plan: &Plan) -> io::Result<usize> {
    let length = Duration::from_secs_f64(plan.minutes * 60.0);
    let schedule = Schedule::from_seed(plan.seed, plan.nodes, length);
    let replay = format!(
        "cargo run --release -p treewarden-tests --bin chaos -- --minutes {} --seed {} --nodes {} --parcels {}",
        plan.minutes, plan.seed, plan.nodes, plan.parcels_per_s
    );
    println!("seed {}; replay: {replay}", plan.seed);
    let program = std::env::current_exe()?.display().to_string();
    let command = vec![program, "--node".to_owned()];
    let hosts = Hosts::Netns(Lab::new(plan.nodes)?);
    let cluster = Cluster::new(hosts, command, "chaos")?.with_traffic(plan.parcels_per_s);
    let mut run = Run {
        cluster,
        done: Done::default(),
        stopped_since: vec![None; plan.nodes],
        processes: vec![0; plan.nodes],
        deeds: Vec::new(),
        broken: Vec::new(),
    };
    for node in 0..plan.nodes {
        run.cluster.start(node)?;
    }
    run.expect_agreement("at the start");
    // Time in the schedule stands still while a check takes its time.
    let mut elapsed = Duration::ZERO;
    for (at, deed) in &schedule.deeds {
        run.cluster.watch(at.saturating_sub(elapsed));
        elapsed = *at;
        println!("{:>7.1} s  {deed}", at.as_secs_f64());
        run.deeds.push((now_us(), deed.to_string()));
        run.commit(deed)?;
        if !run.broken.is_empty() {
            break;
        }
    }
    run.cluster.watch(LAST_PARCELS);
    let (mut broken, counts) = checks::broken(run.cluster.log(), &run.done);
    broken.append(&mut run.broken);
    println!(
        "{} tells and {} deliveries handled, {} acknowledged, {} terms of office, {} deeds",
        counts.told,
        counts.delivered,
        counts.acknowledged,
        counts.terms,
        run.deeds.len()
    );
    if broken.is_empty() {
        println!("all held");
        return Ok(0);
    }
    let trace = run.trace();
    let file = std::env::temp_dir().join(format!("chaos-{}.trace", plan.seed));
    std::fs::write(&file, &trace)?;
    let lines: Vec<&str> = trace.lines().collect();
    let last = lines.len().saturating_sub(TRACE_LINES_PRINTED);
    println!("{}\n", lines[last..].join("\n"));
    for what in broken.iter().take(20) {
        println!("broken: {what}");
    }
    println!(
        "{} in all; the whole trace is in {}\nreplay: {replay}",
        broken.len(),
        file.display()
    );
    Ok(broken.len())
}

impl Run {
    fn commit(&mut self, deed: &Deed) -> io::Result<()> {
        let lab = || io::Error::other("they are in namespaces");
        match deed {
            Deed::Kill(node) => {
                let at_us = self.cluster.kill(*node)?;
                self.done.killed.push((*node, self.processes[*node], at_us));
                self.processes[*node] += 1;
            }
            Deed::Start(node) => self.cluster.start(*node)?,
            Deed::Stop(node) => {
                self.stopped_since[*node] = Some(self.cluster.signal(*node, "STOP")?);
            }
            Deed::Continue(node) => {
                let go_us = self.cluster.signal(*node, "CONT")?;
                if let Some(stop_us) = self.stopped_since[*node].take() {
                    self.done.stopped.push((*node, stop_us, go_us));
                }
            }
            Deed::Part(nodes) => self.cluster.hosts().lab().ok_or_else(lab)?.part(nodes)?,
            Deed::Join(nodes) => self.cluster.hosts().lab().ok_or_else(lab)?.join(nodes)?,
            Deed::Mute(from, to) => {
                let lab = self.cluster.hosts().lab().ok_or_else(lab)?;
                lab.set_mute(*from, *to, true)?;
            }
            Deed::Unmute(from, to) => {
                let lab = self.cluster.hosts().lab().ok_or_else(lab)?;
                lab.set_mute(*from, *to, false)?;
            }
            Deed::Check => self.expect_agreement("after everything was mended"),
        }
        Ok(())
    }

    fn expect_agreement(&mut self, when: &str) {
        let begun = Instant::now();
        match self.cluster.watch_until_all_agree(AGREEMENT_TIME_MAX) {
            Ok(_) => println!(
                "           all agree after {:.1} s",
                begun.elapsed().as_secs_f64()
            ),
            Err(views) => self.broken.push(format!(
                "{when} they do not agree within {AGREEMENT_TIME_MAX:?}:\n{views}"
            )),
        }
    }

    /// What was done and what was said of it, without the parcels, in the order of time.
    fn trace(&self) -> String {
        let mut lines: Vec<(u64, String)> = self
            .deeds
            .iter()
            .map(|(at, deed)| (*at, format!("* {deed}")))
            .collect();
        for record in self.cluster.log() {
            if !matches!(
                record.said,
                Said::Handled(_) | Said::Acknowledged(_) | Said::View { .. }
            ) {
                lines.push((
                    record.at_us,
                    format!(
                        "  n{:02}.{}: {:?}",
                        record.node, record.process, record.said
                    ),
                ));
            }
        }
        lines.sort();
        let begun = lines.first().map_or(0, |(at, _)| *at);
        let mut text = String::new();
        for (at, line) in lines {
            let seconds = (at - begun) as f64 / 1e6;
            let _ = writeln!(text, "{seconds:>9.3} ({at}) {line}");
        }
        text
    }
}
