//! What was found, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Plan;

/// How long after a fault it was known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Detection {
    /// To the first member.
    pub(crate) first: Option<Duration>,
    /// To all; none if somebody never knew.
    pub(crate) all: Option<Duration>,
}

/// A partition and its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heal {
    /// When the greater side had lost the smaller one.
    pub(crate) lost: Detection,
    /// How long after the heal all knew all again.
    pub(crate) whole: Option<Duration>,
}

/// Of one system.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    pub(crate) system: &'static str,
    pub(crate) formed: Option<Duration>,
    pub(crate) rest_bytes_per_node_s: f64,
    pub(crate) faults_bytes_per_node_s: f64,
    pub(crate) crashes: Vec<Detection>,
    pub(crate) partitions: Vec<Heal>,
    /// Beliefs that a member was lost to which nothing had been done.
    pub(crate) false_losses: usize,
    /// Beliefs that a member was lost that was stopped for 5 s.
    pub(crate) stopped_losses: usize,
}

impl Findings {
    pub(crate) fn new(system: &'static str) -> Self {
        Self {
            system,
            formed: None,
            rest_bytes_per_node_s: 0.0,
            faults_bytes_per_node_s: 0.0,
            crashes: Vec::new(),
            partitions: Vec::new(),
            false_losses: 0,
            stopped_losses: 0,
        }
    }

    fn first(&self) -> Spread {
        Spread::of(self.crashes.iter().map(|crash| crash.first))
    }

    fn all(&self) -> Spread {
        Spread::of(self.crashes.iter().map(|crash| crash.all))
    }
}

/// Seconds; none where it never happened, which counts as later than anything.
#[derive(Clone, Copy, Debug)]
struct Spread {
    median: Option<f64>,
    most: Option<f64>,
}

impl Spread {
    fn of(times: impl Iterator<Item = Option<Duration>>) -> Self {
        let mut times: Vec<f64> = times
            .map(|time| time.map_or(f64::INFINITY, |time| time.as_secs_f64()))
            .collect();
        times.sort_by(f64::total_cmp);
        let finite = |time: &f64| Some(*time).filter(|time| time.is_finite());
        Self {
            median: times.get(times.len() / 2).and_then(finite),
            most: times.last().and_then(finite),
        }
    }
}

/// The gates that our findings do not pass.
pub(crate) fn broken_gates(ours: &Findings, serfs: &Findings) -> Vec<String> {
    let mut broken = Vec::new();
    let sooner = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => a < b,
        (a, b) => a.is_some() || b.is_none(),
    };
    for (what, a, b) in [
        ("first member", ours.first().median, serfs.first().median),
        ("last member", ours.all().median, serfs.all().median),
    ] {
        if !sooner(a, b) {
            broken.push(format!(
                "a crash is known to the {what} after {a:?} s, with serf after {b:?} s"
            ));
        }
    }
    for (what, a, b) in [
        (
            "at rest",
            ours.rest_bytes_per_node_s,
            serfs.rest_bytes_per_node_s,
        ),
        (
            "under faults",
            ours.faults_bytes_per_node_s,
            serfs.faults_bytes_per_node_s,
        ),
    ] {
        if a > 1.2 * b {
            broken.push(format!(
                "{a:.0} bytes for each node and second {what}, {b:.0} with serf"
            ));
        }
    }
    if ours.false_losses > serfs.false_losses {
        broken.push(format!(
            "{} false losses, {} with serf",
            ours.false_losses, serfs.false_losses
        ));
    }
    broken
}

pub(crate) fn json(plan: &Plan, of: &Findings) -> Value {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let detections = |of: &mut dyn Iterator<Item = Detection>| -> Vec<Value> {
        of.map(|found| json!({"first_s": seconds(found.first), "all_s": seconds(found.all)}))
            .collect()
    };
    json!({
        "experiment": "serf",
        "system": of.system,
        "nodes": plan.nodes,
        "formed_s": seconds(of.formed),
        "idle_s": plan.idle.as_secs(),
        "rest_bytes_per_node_s": of.rest_bytes_per_node_s,
        "faults_bytes_per_node_s": of.faults_bytes_per_node_s,
        "crashes": detections(&mut of.crashes.iter().copied()),
        "detect_median_s": of.first().median,
        "detect_max_s": of.first().most,
        "disseminate_median_s": of.all().median,
        "disseminate_max_s": of.all().most,
        "stops": plan.stops,
        "stopped_losses": of.stopped_losses,
        "partitions": detections(&mut of.partitions.iter().map(|partition| partition.lost)),
        "whole_s": of.partitions.iter().map(|partition| seconds(partition.whole)).collect::<Vec<_>>(),
        "fp": of.false_losses,
    })
}

pub(crate) fn table(plan: &Plan, systems: [&Findings; 2]) -> String {
    let mut out = format!("{} nodes, LAN defaults, encrypted\n", plan.nodes);
    let mut row = |what: &str, cell: &dyn Fn(&Findings) -> String| {
        out += &format!(
            "{what:<58} {:>14} {:>14}\n",
            cell(systems[0]),
            cell(systems[1])
        );
    };
    let seconds =
        |time: Option<f64>| time.map_or("never".to_owned(), |time| format!("{time:.2} s"));
    let time = |time: Option<Duration>| seconds(time.map(|time| time.as_secs_f64()));
    row("", &|of| of.system.to_owned());
    row("all know all after", &|of| time(of.formed));
    row("bytes sent by a node in a second, at rest", &|of| {
        format!("{:.0}", of.rest_bytes_per_node_s)
    });
    row("the same under the faults below", &|of| {
        format!("{:.0}", of.faults_bytes_per_node_s)
    });
    let crashes = plan.crashes;
    row(
        &format!("SIGKILL ({crashes}): first to know, median"),
        &|of| seconds(of.first().median),
    );
    row("  first to know, slowest", &|of| seconds(of.first().most));
    row("  all know, median", &|of| seconds(of.all().median));
    row("  all know, slowest", &|of| seconds(of.all().most));
    row(
        &format!("SIGSTOP for 5 s ({}): believed lost meanwhile", plan.stops),
        &|of| of.stopped_losses.to_string(),
    );
    for round in 0..plan.partitions {
        let lost = |of: &Findings| of.partitions[round].lost;
        row(&format!("{} cut off: first loss", plan.nodes / 4), &|of| {
            time(lost(of).first)
        });
        row("  all know of all", &|of| time(lost(of).all));
        row("  after the heal all know all", &|of| {
            time(of.partitions[round].whole)
        });
    }
    row(
        "beliefs that a member was lost that nothing was done to",
        &|of| of.false_losses.to_string(),
    );
    out
}
