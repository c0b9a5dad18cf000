//! Rapid's cases (Suresh et al. 2018, section 7): one member in a hundred loses four packets of five, or hears nothing for twenty seconds
//! of every forty. Are healthy members accused?

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::{repeat, systems};
use crate::arena::{Act, Arena};
use crate::cli::Plan;
use crate::measure::traffic;
use crate::systems::System;

const LASTS: Duration = Duration::from_secs(200);
const PHASE: Duration = Duration::from_secs(20);

pub(super) fn run(plan: &mut Plan) {
    let nodes = plan.nodes;
    for fault in ["loss", "one-way"] {
        for system in systems(plan, &System::MAIN) {
            let count = (nodes / 100).max(1);
            repeat(
                plan,
                "rapid",
                system,
                nodes,
                json!({ "fault": fault, "anomalies": count }),
                |seed, figures| {
                    let mut arena = Arena::formed(system, nodes, seed);
                    let faulted: BTreeSet<usize> = (1..=count).collect();
                    match fault {
                        "loss" => lose(&mut arena, &faulted),
                        _ => deafen(&mut arena, &faulted),
                    }
                    let before = traffic(&arena);
                    arena.run_for(LASTS);
                    figures.count_false_positives(&arena, &faulted);
                    figures.add_traffic(&arena, before);
                },
            );
        }
    }
}

/// 80 % of the packets to and from some members are lost.
fn lose(arena: &mut Arena, faulted: &BTreeSet<usize>) {
    for &node in faulted {
        for other in (0..arena.nodes()).filter(|other| *other != node) {
            arena.network.set_link_loss((node, other), 0.8);
            arena.network.set_link_loss((other, node), 0.8);
        }
    }
}

/// Some members hear nothing in every second phase; what they send arrives.
fn deafen(arena: &mut Arena, faulted: &BTreeSet<usize>) {
    let mut at = arena.now();
    let end = at + LASTS;
    while at < end {
        for &node in faulted {
            for other in (0..arena.nodes()).filter(|other| *other != node) {
                arena.schedule(at, Act::Cut(other, node));
                arena.schedule(at + PHASE, Act::Mend(other, node));
            }
        }
        at += PHASE * 2;
    }
}
