//! Partition policies in the simulated network: whether two sides ever act as the majority at the same time.
//!
//! `TREEWARDEN_SEED=N` runs one history; `TREEWARDEN_SEEDS=N` says how many are run (default 1000).

use std::time::Duration;

use treewarden_cluster::partition::{KeepOldest, PartitionPolicy, StaticQuorum};
use treewarden_tests::sim::{Scenario, keep_majority};

type Policy = fn(Duration, usize) -> Box<dyn PartitionPolicy>;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} has to be a number, not {text:?}")),
    )
}

/// The histories in which two sides act, with what was seen first in each.
fn two_majorities(policy: Policy) -> (u64, Vec<String>) {
    let (first, count) = match number("TREEWARDEN_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("TREEWARDEN_SEEDS").unwrap_or(1000)),
    };
    let mut found = Vec::new();
    for seed in first..first + count {
        let scenario = Scenario::from_seed(seed);
        let both = scenario
            .two_majorities(policy)
            .unwrap_or_else(|report| panic!("{report}"));
        if let Some((at, one, other)) = both.first() {
            let nodes = scenario.nodes();
            found.push(format!(
                "seed {seed} ({nodes} nodes): at {at:?} {one} and {other} have each declared the other down"
            ));
        }
    }
    (count, found)
}

#[test]
fn under_a_static_quorum_no_two_sides_ever_act_as_the_majority() {
    let (_, found) = two_majorities(|stable_after, nodes| {
        Box::new(StaticQuorum::new(nodes / 2 + 1, stable_after))
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Best effort, as the documents say: what is found is counted, and must stay rare.
#[test]
fn under_keep_majority_two_sides_act_in_few_histories_if_in_any() {
    let (count, found) = two_majorities(keep_majority);
    println!("{} of {count} histories\n{}", found.len(), found.join("\n"));
    assert!(found.len() as u64 * 50 <= count, "{}", found.join("\n"));
}

#[test]
fn under_keep_oldest_two_sides_act_in_few_histories_if_in_any() {
    let (count, found) = two_majorities(|stable_after, _| Box::new(KeepOldest::new(stable_after)));
    println!("{} of {count} histories\n{}", found.len(), found.join("\n"));
    assert!(found.len() as u64 * 50 <= count, "{}", found.join("\n"));
}
