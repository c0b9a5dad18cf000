//! Runs the processes of a comparison and collects their figures.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::Plan;
use crate::report::{self, Row};
use crate::stats::Summary;
use crate::systems::System;
use crate::systems::erlang::Compiled;
use crate::workload::{Measurement, RuntimeKind, Scale, Workload};

/// `--quick` ends within 10 minutes: no measurement begins after this time.
const QUICK_LIMIT: Duration = Duration::from_secs(9 * 60);

/// Why there is no comparison.
#[derive(Debug)]
pub(crate) enum DriverError {
    Erlang(io::Error),
    Json(io::Error),
    /// Some measurements failed; what they said has been printed, and the others are in the report.
    Failed(usize),
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DriverError::Erlang(cause) => write!(
                f,
                "erl is installed, but its workloads could not be compiled: {cause}; leave Erlang out with --system"
            ),
            DriverError::Json(cause) => {
                write!(f, "the file of --json could not be written: {cause}")
            }
            DriverError::Failed(count) => write!(f, "{count} measurements failed; see above"),
        }
    }
}

impl std::error::Error for DriverError {}

/// What one process measures.
#[derive(Clone, Copy)]
struct Job {
    measurement: Measurement,
    kind: RuntimeKind,
    system: System,
}

/// A job's figures over the rounds.
struct Figures {
    job: Job,
    of_workloads: Vec<(Workload, Vec<f64>)>,
}

/// Measures, prints the tables, writes the JSON.
///
/// # Errors
///
/// Nothing was measured, or not everything, or the JSON was not written; the error says which.
pub(crate) fn compare(plan: &Plan) -> Result<(), DriverError> {
    let erlang = if plan.systems.iter().any(|system| system.is_erlang()) {
        let compiled = Compiled::new().map_err(DriverError::Erlang)?;
        if compiled.is_none() {
            eprintln!("erl and erlc are not in the path: Erlang is left out");
        }
        compiled
    } else {
        None
    };

    let mut all = jobs(plan, erlang.is_some());
    let start = Instant::now();
    let mut failed = 0;
    'rounds: for round in 1..=plan.rounds {
        eprintln!("round {round} of {}, {} processes", plan.rounds, all.len());
        for figures in &mut all {
            if plan.scale == Scale::QUICK && start.elapsed() > QUICK_LIMIT {
                eprintln!(
                    "--quick is out of time in round {round}: the report has what was measured until now"
                );
                break 'rounds;
            }
            let job = figures.job;
            match run(job, plan.scale, erlang.as_ref()) {
                Ok(results) => {
                    for (workload, values) in &mut figures.of_workloads {
                        let found = results.iter().find(|(measured, _)| measured == workload);
                        values.extend(found.map(|(_, figure)| *figure));
                    }
                }
                Err(reason) => {
                    failed += 1;
                    let (system, kind) = (job.system.name(), job.kind.name());
                    eprintln!("{} of {system} on {kind}: {reason}", job.measurement.name());
                }
            }
        }
    }

    let rows: Vec<Row> = all.iter().flat_map(rows).collect();
    print!("{}", report::tables(&rows));
    if let Some(mut file) = plan.json.as_ref() {
        file.write_all(report::json(&rows).as_bytes())
            .map_err(DriverError::Json)?;
    }
    if failed > 0 {
        Err(DriverError::Failed(failed))
    } else {
        Ok(())
    }
}

/// The jobs of one round: for each measurement and runtime, every system in turn.
fn jobs(plan: &Plan, erlang: bool) -> Vec<Figures> {
    let mut jobs = Vec::new();
    for measurement in Measurement::ALL {
        let wanted: Vec<Workload> = plan
            .workloads
            .iter()
            .copied()
            .filter(|workload| workload.measurement() == measurement)
            .collect();
        if wanted.is_empty() {
            continue;
        }
        for &kind in &plan.kinds {
            for &system in &plan.systems {
                if system.has(measurement, kind) && (erlang || !system.is_erlang()) {
                    jobs.push(Figures {
                        job: Job {
                            measurement,
                            kind,
                            system,
                        },
                        of_workloads: wanted
                            .iter()
                            .map(|&workload| (workload, Vec::new()))
                            .collect(),
                    });
                }
            }
        }
    }
    jobs
}

fn rows(figures: &Figures) -> Vec<Row> {
    let Job { kind, system, .. } = figures.job;
    figures
        .of_workloads
        .iter()
        .filter_map(|(workload, values)| {
            let cost = Summary::of(values)?;
            Some(Row {
                workload: *workload,
                runtime: kind,
                system: system.name(),
                cost,
            })
        })
        .collect()
}

/// Runs one process to its end; `Err` says in one line what went wrong.
fn run(job: Job, scale: Scale, erlang: Option<&Compiled>) -> Result<Vec<(Workload, f64)>, String> {
    let command = job.system.command(job.measurement, job.kind, scale, erlang);
    let mut command =
        command.map_err(|error| format!("this program cannot find itself: {error}"))?;
    let output = output_within(&mut command, scale.limit)?;
    let results: Option<Vec<(Workload, f64)>> = output.lines().map(result).collect();
    match results {
        Some(results) if !results.is_empty() => Ok(results),
        _ => Err(format!("printed {output:?} instead of figures")),
    }
}

/// A line of a measuring process: a workload's name and its figure.
fn result(line: &str) -> Option<(Workload, f64)> {
    let (name, figure) = line.split_once(' ')?;
    Some((Workload::from_name(name)?, figure.parse().ok()?))
}

fn output_within(command: &mut Command, limit: Duration) -> Result<String, String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("did not start: {error}"))?;
    let mut stdout = child.stdout.take().ok_or("its output is not piped")?;
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text).map(|_| text);
        // The receiver is gone when the time is up.
        let _ = sender.send(read);
    });
    let outcome = match receiver.recv_timeout(limit) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(format!("its output could not be read: {error}")),
        Err(_) => {
            // It may have ended meanwhile, which is as good.
            let _ = child.kill();
            Err(format!("did not end within {} s", limit.as_secs()))
        }
    };
    let status = child
        .wait()
        .map_err(|error| format!("did not end: {error}"))?;
    let _ = reader.join();
    match outcome {
        Ok(text) if status.success() => Ok(text),
        Ok(_) => Err(format!("ended with {status}")),
        Err(reason) => Err(reason),
    }
}
