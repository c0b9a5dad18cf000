//! Some members crash at once. When does the first member know, and when do all?

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use treewarden_cluster::membership::Rng;

use super::{repeat, systems};
use crate::arena::{Act, Arena};
use crate::cli::Plan;
use crate::measure::traffic;
use crate::memory;
use crate::systems::System;

/// Until when everybody has to know.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) fn run(plan: &mut Plan) {
    let (nodes, crashes) = (plan.nodes, plan.crashes);
    for system in systems(plan, &System::MAIN) {
        repeat(
            plan,
            "crash",
            system,
            nodes,
            json!({ "anomalies": crashes }),
            |seed, figures| {
                let memory_before = memory::resident_bytes();
                let mut arena = Arena::formed(system, nodes, seed);
                figures.measure_memory(&arena, memory_before);
                let mut rng = Rng::new(seed);
                let mut order: Vec<usize> = (0..nodes).collect();
                rng.shuffle(&mut order);
                let crashed: BTreeSet<usize> = order.into_iter().take(crashes).collect();
                arena.run_for(rng.duration_below(Duration::from_secs(1)));
                let crashed_at = arena.now();
                for node in &crashed {
                    arena.schedule(crashed_at, Act::Crash(*node));
                }
                let before = traffic(&arena);
                arena.run_for(LIMIT);
                figures.time_crashes(&arena, &crashed, crashed_at);
                figures.count_false_positives(&arena, &crashed);
                figures.add_traffic(&arena, before);
            },
        );
    }
}
