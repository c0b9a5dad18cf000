//! Nothing goes wrong: what a cluster costs at rest, and how long it takes to form.

use std::time::Duration;

use serde_json::json;

use super::{repeat, systems};
use crate::arena::{Act, Arena};
use crate::cli::Plan;
use crate::measure::{Figures, traffic};
use crate::memory;
use crate::systems::System;

const LASTS: Duration = Duration::from_secs(120);
const FORMING_MAX: Duration = Duration::from_secs(1800);

pub(super) fn bandwidth(plan: &mut Plan) {
    let nodes = plan.nodes;
    for system in systems(plan, &System::MAIN) {
        repeat(
            plan,
            "bandwidth",
            system,
            nodes,
            json!({}),
            |seed, figures| rest(system, nodes, seed, figures),
        );
    }
}

/// The same by size, doubling up to `--nodes`.
pub(super) fn scale(plan: &mut Plan) {
    let mut nodes = 8;
    while nodes <= plan.nodes {
        for system in systems(plan, &System::MAIN) {
            repeat(plan, "scale", system, nodes, json!({}), |seed, figures| {
                rest(system, nodes, seed, figures)
            });
        }
        nodes *= 2;
    }
}

fn rest(system: System, nodes: usize, seed: u64, figures: &mut Figures) {
    let memory_before = memory::resident_bytes();
    let mut arena = Arena::formed(system, nodes, seed);
    figures.measure_memory(&arena, memory_before);
    let before = traffic(&arena);
    arena.run_for(LASTS);
    figures.count_false_positives(&arena, &Default::default());
    figures.add_traffic(&arena, before);
}

/// Everybody starts within a second, through one seed; the time until all know all counts as dissemination.
pub(super) fn bootstrap(plan: &mut Plan) {
    let nodes = plan.nodes;
    for system in systems(plan, &System::MAIN) {
        repeat(
            plan,
            "bootstrap",
            system,
            nodes,
            json!({}),
            |seed, figures| {
                let mut arena = Arena::new(system, nodes, seed);
                for node in 0..nodes {
                    arena.schedule(
                        Duration::from_secs(1) * node as u32 / nodes as u32,
                        Act::Start(node),
                    );
                }
                let before = traffic(&arena);
                arena.run_until(Duration::from_secs(1));
                while !arena.all_know_all() && arena.now() < FORMING_MAX {
                    arena.run_for(Duration::from_millis(100));
                }
                figures.add_time(arena.now());
                figures.add_traffic(&arena, before);
            },
        );
    }
}
