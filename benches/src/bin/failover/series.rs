//! One fault after the other, and what the nodes say of it.

use std::error::Error;
use std::time::Duration;

use treewarden_tests::netns::Lab;
use treewarden_tests::nodes::{Cluster, Hosts, Record, Said};

use crate::cli::{Fault, Place, Plan};
use crate::report::Row;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long all is left alone before the next fault, so that probes and gossip have their usual rhythm.
const CALM: Duration = Duration::from_secs(3);

/// One failover, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) detection: f64,
    pub(crate) stable_after: f64,
    pub(crate) start: f64,
    pub(crate) double: f64,
}

impl Run {
    pub(crate) fn total(&self) -> f64 {
        self.detection + self.stable_after + self.start
    }
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for place in &plan.places {
        let hosts = match place {
            Place::Loopback => Hosts::Loopback { nodes: plan.nodes },
            Place::Netns => match Lab::missing() {
                Some(missing) => {
                    println!("failover: netns is skipped, for want of {missing}");
                    continue;
                }
                None => Hosts::Netns(Lab::new(plan.nodes)?),
            },
        };
        let program = std::env::current_exe()?.display().to_string();
        let command = vec![program, "--node".to_owned()];
        let mut cluster = Cluster::new(hosts, command, place.name())?;
        for node in 0..plan.nodes {
            cluster.start(node)?;
        }
        for fault in &plan.faults {
            if *fault == Fault::Cut && *place == Place::Loopback {
                continue; // there is no link to cut
            }
            let mut runs = Vec::new();
            for number in 1..=plan.runs {
                let run = fail_over(&mut cluster, *fault)?;
                eprintln!(
                    "{} {number}: {:.2} s, double {:.3} s",
                    fault.name(),
                    run.total(),
                    run.double
                );
                runs.push(run);
            }
            rows.push(Row::of(*fault, *place, plan.nodes, &runs));
        }
    }
    Ok(rows)
}

/// Who does the work, as far as it was said.
fn host(log: &[Record]) -> Option<usize> {
    let mut host = None;
    for record in log {
        match record.said {
            Said::Begun { .. } => host = Some(record.node),
            Said::Stopped if host == Some(record.node) => host = None,
            _ => {}
        }
    }
    host
}

fn fail_over(cluster: &mut Cluster, fault: Fault) -> Result<Run, Box<dyn Error>> {
    cluster.watch_until_all_agree(PATIENCE)?;
    cluster.watch_until(PATIENCE, |log| host(log).is_some());
    cluster.watch(CALM);
    let old = host(cluster.log()).ok_or("nobody does the work")?;
    let begun = cluster.log().len();
    let at_us = match fault {
        Fault::Killed => cluster.kill(old)?,
        Fault::Stopped => cluster.signal(old, "STOP")?,
        Fault::Cut => {
            let lab = cluster.hosts().lab().ok_or("there is no link to cut")?;
            lab.part(&[old])?;
            treewarden_tests::nodes::now_us()
        }
    };
    let is_elsewhere =
        |record: &Record| record.node != old && matches!(record.said, Said::Begun { .. });
    if !cluster.watch_until(PATIENCE, |log| log[begun..].iter().any(is_elsewhere)) {
        return Err(format!("the work is not begun elsewhere within {PATIENCE:?}").into());
    }
    let ran_again_us = match fault {
        Fault::Stopped => cluster.signal(old, "CONT")?,
        Fault::Killed | Fault::Cut => at_us,
    };
    let has_stopped = |log: &[Record]| {
        let mut by_the_old = log[begun..].iter().filter(|record| record.node == old);
        by_the_old
            .find(|record| record.said == Said::Stopped)
            .map(|record| record.at_us)
    };
    let stopped_us = match fault {
        Fault::Killed => at_us,
        Fault::Cut | Fault::Stopped => {
            cluster.watch_until(PATIENCE, |log| has_stopped(log).is_some());
            has_stopped(cluster.log()).ok_or("the old one never stops")?
        }
    };
    let since = &cluster.log()[begun..];
    let name = format!("n{old:02}");
    let first = |what: &str, is: &dyn Fn(&Record) -> bool| {
        let found = since
            .iter()
            .filter(|record| record.node != old && is(record));
        found
            .map(|record| record.at_us)
            .min()
            .ok_or_else(|| format!("nobody says that it is {what}"))
    };
    let lost_us = first(
        "unreachable",
        &|r| matches!(&r.said, Said::Unreachable { node } if *node == name),
    )?;
    let down_us = first(
        "down",
        &|r| matches!(&r.said, Said::Down { node, .. } if *node == name),
    )?;
    let begun_us = first("begun", &is_elsewhere)?;
    match fault {
        Fault::Killed => cluster.start(old)?,
        Fault::Cut => {
            let lab = cluster.hosts().lab().ok_or("there is no link to mend")?;
            lab.join(&[old])?;
        }
        Fault::Stopped => {}
    }
    let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e6;
    Ok(Run {
        detection: seconds(at_us, lost_us),
        stable_after: seconds(lost_us, down_us),
        start: seconds(down_us, begun_us),
        double: seconds(begun_us.max(ran_again_us), stopped_us),
    })
}
