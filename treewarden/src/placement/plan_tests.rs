//! Decisions held against a table, and against worlds from seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use treewarden_cluster::membership::{BootUid, NodeId, NodeName, Rng};

use super::plan::{Command, Pace, Place, Planner, Site, Standing, Wanted};

const SECOND: Duration = Duration::from_secs(1);

fn id(name: &str) -> NodeId {
    NodeId {
        name: NodeName::new(name).unwrap(),
        boot: BootUid(1),
    }
}

/// `a1` is a node of zone `a`; a mark says how it stands.
fn site(text: &str) -> Site {
    let (name, standing) = match text.split_at(2) {
        (name, "") => (name, Standing::Open),
        (name, "c") => (name, Standing::Cordoned),
        (name, "d") => (name, Standing::Draining),
        (name, "u") => (name, Standing::Unreachable),
        _ => panic!("{text}"),
    };
    Site {
        node: id(name),
        zone: name[..1].to_owned(),
        standing,
    }
}

fn pace() -> Pace {
    Pace {
        settling: Duration::ZERO,
        ..Pace::default()
    }
}

/// What is decided, in short: `+a1` and `-b2`.
fn decide(replicas: usize, sites: &str, placed: &str) -> String {
    let sites: Vec<Site> = sites.split_whitespace().map(site).collect();
    let placed = placed
        .split_whitespace()
        .map(|name| ("x".to_owned(), id(name)))
        .collect();
    let wanted = Wanted {
        name: "x".into(),
        replicas,
    };
    let commands = Planner::new(vec![wanted], pace()).observe(Duration::ZERO, &sites, &placed);
    let short = commands.iter().map(|command| match command {
        Command::Start { node, .. } => format!("+{}", node.name),
        Command::Stop { node, .. } => format!("-{}", node.name),
    });
    short.collect::<Vec<_>>().join(" ")
}

#[test]
fn decisions() {
    // Replicas, sites, where it runs, what is decided.
    let table = [
        // As many as wanted, one in each zone.
        (1, "a1", "", "+a1"),
        (3, "a1 b1 c1", "", "+c1 +a1 +b1"),
        (2, "a1 a2 b1", "a1", "+b1"),
        (2, "a1 a2 b1", "b1", "+a1"),
        // Not more than there are sites, and the second in a zone only when all have one.
        (3, "a1 a2", "", "+a1 +a2"),
        (3, "a1 a2 b1", "a1 b1", "+a2"),
        // What runs stays where it is.
        (1, "a1 b1 c1", "a1", ""),
        (2, "a1 a2 b1", "a2 b1", ""),
        // Unreachable is not down.
        (1, "a1u b1", "a1", ""),
        (2, "a1u b1 c1", "a1 b1", ""),
        // Gone: again elsewhere, in the zone that lost it if that has room.
        (2, "a2 b1 b2", "b1", "+a2"),
        (2, "b1 b2", "b1", "+b2"),
        // A cordoned site keeps what it has and gets nothing.
        (1, "a1c b1", "a1", ""),
        (1, "a1c b1", "", "+b1"),
        (2, "a1c b1", "b1", ""),
        // A draining one is emptied when enough run elsewhere, not before.
        (1, "a1d b1", "a1", "+b1"),
        (1, "a1d b1", "a1 b1", "-a1"),
        (1, "a1d", "a1", ""),
        (1, "a1d b1u", "a1 b1", ""),
        // Too many: the most crowded zone loses one.
        (2, "a1 a2 b1", "a1 a2 b1", "-a2"),
        (1, "a1 b1u", "a1 b1", ""),
        // A zone that has room gets one of a crowded zone, first there and then not here.
        (2, "a1 a2 b1", "a1 a2", "+b1"),
        (3, "a1 a2 a3 b1 b2", "a1 a2 a3", "+b2"),
        (3, "a1 a2 b1 b2", "a1 a2 b1", ""),
        // Nothing wanted any more.
        (0, "a1 b1", "a1", "-a1"),
    ];
    for (replicas, sites, placed, expected) in table {
        let decided = decide(replicas, sites, placed);
        assert_eq!(decided, expected, "{replicas} of {sites}, at {placed}");
    }
}

#[test]
fn what_was_ordered_is_not_ordered_again_until_it_should_have_been_seen() {
    let sites = [site("a1"), site("b1")];
    let wanted = Wanted {
        name: "x".into(),
        replicas: 1,
    };
    let mut planner = Planner::new(vec![wanted], pace());
    let nothing = BTreeSet::new();
    let first = planner.observe(Duration::ZERO, &sites, &nothing);
    assert_eq!(first.len(), 1);
    assert_eq!(planner.observe(SECOND, &sites, &nothing), []);
    planner.ended(SECOND, &first[0], true);
    assert_eq!(planner.observe(10 * SECOND, &sites, &nothing), []);
    assert_eq!(planner.observe(12 * SECOND, &sites, &nothing), first);
}

#[test]
fn a_site_where_it_fails_to_start_is_left_out_for_a_time_that_grows() {
    let sites = [site("a1"), site("b1")];
    let wanted = Wanted {
        name: "x".into(),
        replicas: 1,
    };
    let mut planner = Planner::new(vec![wanted], pace());
    let nothing = BTreeSet::new();
    let mut now = Duration::ZERO;
    let mut starts = Vec::new();
    while now < 60 * SECOND {
        for command in planner.observe(now, &sites, &nothing) {
            planner.ended(now, &command, false);
            starts.push(now);
        }
        now += SECOND / 10;
    }
    // Two sites, each after 1, 2, 4, 8, 16 and 32 seconds.
    assert!((10..=14).contains(&starts.len()), "{starts:?}");
    assert!(
        starts[1] - starts[0] < SECOND,
        "the other one is tried at once"
    );
}

#[test]
fn nothing_is_done_before_it_has_looked_for_a_while() {
    let wanted = Wanted {
        name: "x".into(),
        replicas: 1,
    };
    let mut planner = Planner::new(vec![wanted], Pace::default());
    let nothing = BTreeSet::new();
    assert_eq!(planner.observe(SECOND, &[site("a1")], &nothing), []);
    assert_eq!(planner.poll_timeout(), Some(3 * SECOND));
    assert_eq!(
        planner.observe(3 * SECOND, &[site("a1")], &nothing).len(),
        1
    );
}

/// Nodes that start and stop what they are told, slowly and not always, and a planner that sees it late.
struct World {
    rng: Rng,
    now: Duration,
    sites: Vec<Site>,
    runs: BTreeSet<Place>,
    /// What the planner sees, as of a little earlier.
    seen: BTreeSet<Place>,
    planner: Planner,
    under_way: Vec<(Duration, Command)>,
    commands: usize,
    failing: f64,
}

const ITEMS: usize = 6;

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let zones = 1 + rng.below(3);
        let mut sites = Vec::new();
        for zone in ["a", "b", "c"].iter().take(zones) {
            for number in 1..=2 + rng.below(3) {
                sites.push(site(&format!("{zone}{number}")));
            }
        }
        let planner = Planner::new(Self::wanted(), pace());
        Self {
            rng,
            now: Duration::ZERO,
            sites,
            runs: BTreeSet::new(),
            seen: BTreeSet::new(),
            planner,
            under_way: Vec::new(),
            commands: 0,
            failing: 0.1,
        }
    }

    fn wanted() -> Vec<Wanted> {
        (0..ITEMS)
            .map(|number| Wanted {
                name: format!("x{number}"),
                replicas: 1 + number % 3,
            })
            .collect()
    }

    fn step(&mut self) {
        self.now += SECOND / 5;
        let (due, later) = std::mem::take(&mut self.under_way)
            .into_iter()
            .partition::<Vec<_>, _>(|(at, _)| *at <= self.now);
        self.under_way = later;
        for (_, command) in due {
            let (Command::Start { item, node } | Command::Stop { item, node }) = &command;
            let place = (item.clone(), node.clone());
            let is_there = self
                .sites
                .iter()
                .any(|site| site.node == *node && site.standing != Standing::Unreachable);
            let succeeds = is_there && !self.rng.chance(self.failing);
            // An answer may be lost though the order was obeyed.
            if succeeds || (is_there && self.rng.chance(0.5)) {
                match command {
                    Command::Start { .. } => drop(self.runs.insert(place)),
                    Command::Stop { .. } => drop(self.runs.remove(&place)),
                }
            }
            self.planner.ended(self.now, &command, succeeds);
        }
        if self.rng.chance(0.5) {
            self.seen = self.runs.clone();
        }
        for command in self.planner.observe(self.now, &self.sites, &self.seen) {
            self.commands += 1;
            let at = self.now + self.rng.duration_below(SECOND);
            self.under_way.push((at, command));
        }
    }

    /// Something happens to a node, or to the one who decides.
    fn disturb(&mut self) {
        match self.rng.below(5) {
            0 if self.sites.len() > 3 => {
                let dies = self.sites.swap_remove(self.rng.below(self.sites.len()));
                self.runs.retain(|(_, node)| *node != dies.node);
            }
            1 => self.planner = Planner::new(Self::wanted(), pace()),
            2 => {
                // Comes back as another boot, or is new.
                let zone = ["a", "b", "c"][self.rng.below(3)];
                let mut new = site(&format!("{zone}{}", 1 + self.rng.below(6)));
                new.node.boot = BootUid(self.now.as_millis() as u64);
                let before: Vec<NodeId> = self.sites.iter().map(|site| site.node.clone()).collect();
                self.sites.retain(|site| site.node.name != new.node.name);
                self.runs
                    .retain(|(_, node)| node.name != new.node.name || !before.contains(node));
                self.sites.push(new);
            }
            _ => {
                let standing =
                    [Standing::Open, Standing::Cordoned, Standing::Unreachable][self.rng.below(3)];
                let index = self.rng.below(self.sites.len());
                self.sites[index].standing = standing;
            }
        }
    }

    fn holders(&self, item: &str) -> Vec<&Site> {
        let runs = |site: &&Site| self.runs.contains(&(item.to_owned(), site.node.clone()));
        self.sites.iter().filter(runs).collect()
    }
}

#[test]
fn after_any_trouble_each_item_runs_as_often_as_wanted_spread_over_zones_and_nothing_moves_any_more()
 {
    for seed in 0..40 {
        let mut world = World::new(seed);
        for _ in 0..300 {
            if world.rng.chance(0.05) {
                world.disturb();
            }
            world.step();
        }
        // The trouble is over; one node is drained.
        for site in &mut world.sites {
            site.standing = Standing::Open;
        }
        let drained = world.sites[0].node.clone();
        world.sites[0].standing = Standing::Draining;
        world.failing = 0.0;
        for _ in 0..600 {
            world.step();
        }
        let commands = world.commands;
        for _ in 0..200 {
            world.step();
        }
        assert_eq!(
            world.commands, commands,
            "seed {seed}: it never comes to rest"
        );
        let open: Vec<&Site> = world
            .sites
            .iter()
            .filter(|site| site.node != drained)
            .collect();
        let mut capacity: BTreeMap<&str, usize> = BTreeMap::new();
        for site in &open {
            *capacity.entry(&site.zone).or_default() += 1;
        }
        for item in World::wanted() {
            let holders = world.holders(&item.name);
            if open.len() >= item.replicas {
                assert_eq!(holders.len(), item.replicas, "seed {seed}, {}", item.name);
                assert!(
                    holders.iter().all(|site| site.node != drained),
                    "seed {seed}"
                );
            }
            let count = |zone: &str| holders.iter().filter(|site| site.zone == zone).count();
            for (zone, room) in &capacity {
                for other in capacity.keys() {
                    let could_move = count(zone) < *room && count(other) >= count(zone) + 2;
                    assert!(
                        !could_move,
                        "seed {seed}: {} is crowded in {other}",
                        item.name
                    );
                }
            }
        }
    }
}

#[test]
fn the_death_of_a_node_costs_no_more_starts_than_it_had_replicas() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.failing = 0.0;
        for _ in 0..300 {
            world.step();
        }
        let dies = world.sites.remove(0);
        let lost = world
            .runs
            .iter()
            .filter(|(_, node)| *node == dies.node)
            .count();
        world.runs.retain(|(_, node)| *node != dies.node);
        let before = world.commands;
        for _ in 0..500 {
            world.step();
        }
        // Each loss is one start; when the zone that lost it was full elsewhere, spreading costs no further move.
        let cost = world.commands - before;
        assert!(
            cost <= lost,
            "seed {seed}: {cost} commands for {lost} replicas"
        );
        for item in World::wanted() {
            let expected = item.replicas.min(world.sites.len());
            assert_eq!(world.holders(&item.name).len(), expected, "seed {seed}");
        }
    }
}
