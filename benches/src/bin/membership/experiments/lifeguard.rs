//! Lifeguard's experiment: some members have their input and output blocked for a time, again and again at intervals, for two minutes
//! (Dadgar, Phillips and Currey 2018, section V). How often are members accused that nothing was done to?

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::{repeat, systems};
use crate::arena::{Act, Arena};
use crate::cli::Plan;
use crate::measure::{Figures, traffic};
use crate::systems::System;

const LASTS: Duration = Duration::from_secs(120);
/// How often it is counted whom the members believe to work.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

pub(super) fn run(plan: &mut Plan) {
    let nodes = plan.nodes;
    let (counts, durations_ms, intervals_ms): (&[usize], &[u64], &[u64]) = if plan.full {
        (
            &[1, 4, 8, 12, 16, 20, 24, 28, 32],
            &[128, 512, 2048, 8192, 16_384, 32_768],
            &[1, 4, 16, 64, 256, 1024, 4096, 16_384],
        )
    } else {
        (&[1, 8, 32], &[2048, 8192, 32_768], &[16, 1024])
    };
    let mut cells = plan.cells.clone();
    if cells.is_empty() {
        for &anomalies in counts.iter().filter(|count| **count * 2 < nodes) {
            for &blocked in durations_ms {
                cells.extend(intervals_ms.iter().map(|open| (anomalies, blocked, *open)));
            }
        }
    }
    for (anomalies, blocked_ms, interval_ms) in cells {
        for system in systems(plan, &System::ALL) {
            let more = json!({ "anomalies": anomalies, "blocked_ms": blocked_ms, "interval_ms": interval_ms });
            let cell = Cell {
                anomalies,
                blocked: Duration::from_millis(blocked_ms),
                open: Duration::from_millis(interval_ms),
            };
            repeat(plan, "lifeguard", system, nodes, more, |seed, figures| {
                cell.once(system, nodes, seed, figures)
            });
        }
    }
}

struct Cell {
    anomalies: usize,
    blocked: Duration,
    open: Duration,
}

impl Cell {
    fn once(&self, system: System, nodes: usize, seed: u64, figures: &mut Figures) {
        let mut arena = Arena::formed(system, nodes, seed);
        let faulted: BTreeSet<usize> = (0..self.anomalies)
            .map(|number| 1 + number * (nodes - 1) / self.anomalies)
            .collect();
        let start = arena.now();
        for &node in &faulted {
            let mut at = start;
            while at < start + LASTS {
                arena.schedule(at, Act::Block(node));
                arena.schedule(at + self.blocked, Act::Unblock(node));
                at += self.blocked + self.open;
            }
        }
        let before = traffic(&arena);
        arena.spent.clear();
        while arena.now() < start + LASTS {
            arena.run_for(LOOKS_EVERY);
            figures.look_at_beliefs(&arena);
        }
        figures.count_false_positives(&arena, &faulted);
        figures.add_traffic(&arena, before);
        figures.add_purposes(&arena, &faulted);
    }
}
