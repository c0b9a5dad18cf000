//! Copies of the directory over a network that loses, delays and splits, from seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::change::Change;
use super::entry::{Address, ENTRIES_MAX, GroupError, Standing};
use super::gossip::Gossip;
use super::replica::Replica;
use crate::membership::{BootUid, Metadata, NodeId, NodeName, Rng};

const INTERVAL: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);

fn id(number: usize) -> NodeId {
    NodeId {
        name: NodeName::new(&format!("n{number}")).unwrap(),
        boot: BootUid(number as u64 + 1),
    }
}

fn standing(is_reachable: bool) -> Standing {
    Standing::new(is_reachable, &Metadata::default())
}

/// Nodes in one process, and what is on its way between them.
struct World {
    nodes: Vec<Replica>,
    alive: Vec<bool>,
    /// Nodes of different sides cannot reach each other.
    side: Vec<usize>,
    on_the_way: Vec<(Duration, usize, usize, Gossip)>,
    loss: f64,
    rng: Rng,
    now: Duration,
    /// What the changes told so far add up to, for each node.
    told: Vec<BTreeSet<(String, Address)>>,
    names_told: Vec<BTreeMap<String, Address>>,
    lost_names: usize,
}

impl World {
    fn new(count: usize, seed: u64) -> Self {
        let node = |number| Replica::new(id(number), INTERVAL, seed ^ number as u64);
        Self {
            nodes: (0..count).map(node).collect(),
            alive: vec![true; count],
            side: vec![0; count],
            on_the_way: Vec::new(),
            loss: 0.0,
            rng: Rng::new(seed),
            now: Duration::ZERO,
            told: vec![BTreeSet::new(); count],
            names_told: vec![BTreeMap::new(); count],
            lost_names: 0,
        }
    }

    /// Membership is given: who is dead is down, who is on another side is unreachable.
    fn observe(&mut self) {
        for me in 0..self.nodes.len() {
            let others = (0..self.nodes.len()).filter(|&other| other != me && self.alive[other]);
            let seen: Vec<_> = others
                .map(|other| (id(other), standing(self.side[other] == self.side[me])))
                .collect();
            self.nodes[me].observe(standing(true), seen);
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        let (due, later) = std::mem::take(&mut self.on_the_way)
            .into_iter()
            .partition(|(at, ..)| *at <= self.now);
        self.on_the_way = later;
        for (_, from, to, gossip) in due {
            let _: usize = from;
            if self.alive[to] && self.side[from] == self.side[to] {
                self.nodes[to].receive(gossip);
            }
        }
        for me in 0..self.nodes.len() {
            if !self.alive[me] {
                continue;
            }
            self.nodes[me].handle_timeout(self.now);
            while let Some((to, gossip)) = self.nodes[me].poll_transmit() {
                let to = (0..self.nodes.len())
                    .find(|&other| id(other) == to)
                    .unwrap();
                if !self.rng.chance(self.loss) {
                    let at = self.now + self.rng.duration_below(STEP * 3);
                    self.on_the_way.push((at, me, to, gossip));
                }
            }
            while let Some(change) = self.nodes[me].poll_change() {
                match change {
                    Change::Joined { group, member } => {
                        let is_new = self.told[me].insert((group, member));
                        assert!(is_new, "who joins was not there");
                    }
                    Change::Left { group, member } => {
                        assert!(
                            self.told[me].remove(&(group, member)),
                            "who leaves was there"
                        );
                    }
                    Change::Name {
                        name,
                        holder: Some(holder),
                    } => {
                        self.names_told[me].insert(name, holder);
                    }
                    Change::Name { name, holder: None } => {
                        self.names_told[me].remove(&name);
                    }
                    Change::NameLost { .. } => self.lost_names += 1,
                    Change::Unreachable { .. } | Change::Reachable { .. } => {}
                }
            }
        }
    }

    /// Somebody enters something, or takes it back.
    fn act(&mut self) {
        let me = self.rng.below(self.nodes.len());
        if !self.alive[me] {
            return;
        }
        let topic = format!("t{}", self.rng.below(6));
        let target = format!("~{}", self.rng.below(4));
        let node = &mut self.nodes[me];
        match self.rng.below(5) {
            0 | 1 => node.join(&topic, &target).unwrap(),
            2 => drop(node.leave(&topic, &target)),
            3 => drop(node.register(&topic, &target, self.now.as_millis() as u64)),
            _ => drop(node.unregister(&topic)),
        }
    }

    fn groups(&self, me: usize) -> BTreeSet<(String, Address)> {
        let topics = (0..6).map(|topic| format!("t{topic}"));
        topics
            .flat_map(|topic| {
                let found = self.nodes[me].group(&topic);
                found
                    .into_iter()
                    .map(move |found| (topic.clone(), found.address))
            })
            .collect()
    }

    fn names(&self, me: usize) -> BTreeMap<String, Address> {
        let topics = (0..6).map(|topic| format!("t{topic}"));
        topics
            .filter_map(|topic| {
                let found = self.nodes[me].name(&topic)?;
                Some((topic, found.address))
            })
            .collect()
    }
}

#[test]
fn after_any_loss_and_partition_all_copies_are_the_same_and_so_is_what_was_told() {
    let mut lost_names = 0;
    for seed in 0..80 {
        let mut world = World::new(6, seed);
        world.observe();
        world.loss = 0.3;
        for _ in 0..400 {
            if world.rng.chance(0.3) {
                world.act();
            }
            if world.rng.chance(0.02) {
                for side in &mut world.side {
                    *side = world.rng.below(2);
                }
                world.observe();
            }
            if world.rng.chance(0.002) {
                let dies = world.rng.below(5);
                world.alive[dies] = false;
                world.observe();
            }
            world.step();
        }
        world.side.fill(0);
        world.loss = 0.0;
        world.observe();
        for _ in 0..100 {
            world.step();
        }
        let expected = (world.groups(5), world.names(5));
        for me in (0..6).filter(|&me| world.alive[me]) {
            assert_eq!(
                (world.groups(me), world.names(me)),
                expected,
                "seed {seed}, node {me}"
            );
            assert_eq!(world.told[me], expected.0, "seed {seed}, node {me}");
            assert_eq!(world.names_told[me], expected.1, "seed {seed}, node {me}");
        }
        let is_alive = |node: &NodeId| (0..6).any(|me| world.alive[me] && id(me) == *node);
        assert!(
            expected.0.iter().all(|(_, member)| is_alive(&member.node)),
            "seed {seed}"
        );
        lost_names += world.lost_names;
    }
    assert!(
        lost_names > 0,
        "no two nodes ever claimed a name at the same time"
    );
}

#[test]
fn without_loss_a_change_is_everywhere_after_one_message() {
    let mut world = World::new(5, 1);
    world.observe();
    world.step();
    world.nodes[2].join("g", "~1").unwrap();
    for _ in 0..5 {
        world.step();
    }
    for me in 0..5 {
        assert_eq!(world.nodes[me].group("g").len(), 1, "node {me}");
    }
}

#[test]
fn who_is_unreachable_stays_and_is_marked_and_who_is_down_goes() {
    let mut world = World::new(3, 2);
    world.observe();
    world.nodes[2].join("g", "~1").unwrap();
    world.nodes[2].register("name", "~1", 5).unwrap();
    for _ in 0..5 {
        world.step();
    }
    world.side[2] = 1;
    world.observe();
    let seen = world.nodes[0].group("g");
    assert!(seen.len() == 1 && !seen[0].is_reachable);
    let taken = world.nodes[0].register("name", "~9", 9);
    assert!(
        matches!(taken, Err(GroupError::NameTaken { .. })),
        "{taken:?}"
    );
    world.alive[2] = false;
    world.observe();
    assert_eq!(world.nodes[0].group("g"), []);
    assert_eq!(world.nodes[0].register("name", "~9", 9), Ok(()));
}

#[test]
fn of_two_claims_to_a_name_the_older_holds_and_the_other_is_told() {
    let mut world = World::new(3, 3);
    world.side = vec![0, 1, 0];
    world.observe();
    world.step();
    world.nodes[0].register("name", "~1", 20).unwrap();
    world.nodes[1].register("name", "~2", 10).unwrap();
    world.side.fill(0);
    world.observe();
    for _ in 0..40 {
        world.step();
    }
    let holder = Address {
        node: id(1),
        target: "~2".into(),
    };
    for me in 0..3 {
        assert_eq!(
            world.nodes[me].name("name").unwrap().address,
            holder,
            "node {me}"
        );
    }
    assert_eq!(world.lost_names, 1);
}

#[test]
fn a_node_that_comes_back_under_a_new_boot_enters_what_it_has_anew() {
    let mut world = World::new(2, 4);
    world.observe();
    world.nodes[1].join("t0", "~1").unwrap();
    for _ in 0..5 {
        world.step();
    }
    let again = NodeId {
        boot: BootUid(77),
        ..id(1)
    };
    world.nodes[1].begin_boot(again.clone());
    world.nodes[1].observe(standing(true), [(id(0), standing(true))]);
    world.nodes[0].observe(standing(true), [(again.clone(), standing(true))]);
    assert_eq!(world.nodes[0].group("t0"), [], "the boot before is down");
    world.nodes[1].handle_timeout(Duration::from_secs(10));
    while let Some((_, gossip)) = world.nodes[1].poll_transmit() {
        world.nodes[0].receive(gossip);
    }
    assert_eq!(world.nodes[0].group("t0")[0].address.node, again);
}

#[test]
fn what_exceeds_a_bound_is_refused_with_the_bound() {
    let mut node = Replica::new(id(0), INTERVAL, 0);
    for (topic, bytes) in [(String::new(), 0), ("x".repeat(201), 201)] {
        assert_eq!(
            node.join(&topic, "~1"),
            Err(GroupError::NameLength { bytes })
        );
        assert_eq!(
            node.register(&topic, "~1", 0),
            Err(GroupError::NameLength { bytes })
        );
    }
    for number in 0..ENTRIES_MAX {
        node.join("g", &format!("~{number}")).unwrap();
    }
    assert_eq!(node.join("g", "~0"), Ok(()), "it is there already");
    assert_eq!(node.join("g", "~x"), Err(GroupError::TooManyEntries));
    assert_eq!(node.register("n", "~x", 0), Err(GroupError::TooManyEntries));
}
