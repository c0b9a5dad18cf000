//! Every history of a small job: whatever the order in which chunks are read, sent, counted and answered, in which workers
//! fail, and in which the coordinator dies or is followed while it lives, each coordinator that finishes has the exact
//! tally, and as long as there is one it can finish.
//!
//! The histories are gone through one by one, without repeating a state.

use std::collections::{BTreeSet, HashSet};

use super::*;
use crate::wordcount::{
    archive::{Archive, Ticket, print},
    ledger::{HOME, NodeIndex},
    tally::count_chunk,
};

/// Two nodes with one worker each.
const NODES: usize = 2;

const TEXTS: [&[u8]; 2] = [b"a b a", b"b"];

/// Where a delivery is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// On its way to the worker.
    Sent,
    /// The worker has counted, and its answer is on the way.
    Counted,
}

#[derive(Clone)]
struct Coordinator {
    epoch: u64,
    /// Where it is. It numbers the nodes from there.
    home: usize,
    term: Term,
    out: BTreeSet<(Delivery, Stage)>,
}

/// What may happen besides work.
#[derive(Clone, Copy)]
struct Bounds {
    /// How often a coordinator begins.
    terms_max: u64,
    /// How many deliveries fail in all.
    failures_max: u32,
    /// Whether one that is followed may live on, and not know.
    lives_on: bool,
}

#[derive(Clone)]
struct World {
    bounds: Bounds,
    archives: Vec<Archive>,
    coordinators: Vec<Coordinator>,
    terms: u64,
    failures: u32,
}

impl Coordinator {
    fn node(&self, index: NodeIndex) -> usize {
        (self.home + index.0) % NODES
    }
}

impl World {
    fn new(bounds: Bounds) -> Self {
        let mut world = Self {
            bounds,
            archives: vec![Archive::default(); NODES],
            coordinators: Vec::new(),
            terms: 0,
            failures: 0,
        };
        world.begin(0, true);
        world
    }

    /// A new coordinator on `home`, which reaches the other nodes if `reaches_all`.
    fn begin(&mut self, home: usize, reaches_all: bool) {
        self.terms += 1;
        let epoch = self.terms;
        let mut term = Term::new(Limits {
            in_flight_max: 1,
            attempts_max: 100,
        });
        let reached = if reaches_all { NODES } else { 1 };
        for number in 0..reached {
            let archive = &mut self.archives[(home + number) % NODES];
            archive.enlist(epoch).unwrap();
            for entry in archive.page(0).entries {
                term.find(entry).unwrap();
            }
            term.ledger.join(NodeIndex(number), 1);
        }
        self.coordinators.push(Coordinator {
            epoch,
            home,
            term,
            out: BTreeSet::new(),
        });
    }

    /// All worlds that can come next.
    fn next(&self) -> Vec<World> {
        let mut worlds = Vec::new();
        for index in 0..self.coordinators.len() {
            self.steps_of(index, &mut worlds);
        }
        if self.terms < self.bounds.terms_max {
            for home in 0..NODES {
                for reaches_all in [true, false] {
                    if self.bounds.lives_on {
                        let mut world = self.clone();
                        world.begin(home, reaches_all);
                        worlds.push(world);
                    }
                    // It has died, with all that was on its way to it.
                    let mut world = self.clone();
                    let died = world.coordinators.pop().map(|old| old.home);
                    world.begin(home, reaches_all);
                    worlds.push(world);
                    // Its node has died with it, and is started again with nothing.
                    if let Some(died) = died.filter(|&died| died != home) {
                        let mut world = self.clone();
                        world.coordinators.pop();
                        world.archives[died] = Archive::default();
                        world.begin(home, reaches_all);
                        worlds.push(world);
                    }
                }
            }
        }
        worlds
    }

    fn steps_of(&self, index: usize, worlds: &mut Vec<World>) {
        let old = &self.coordinators[index];
        let mut step = |f: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            f(&mut world);
            worlds.push(world);
        };
        if old.term.ledger.wants_chunk() {
            step(&|world| {
                let term = &mut world.coordinators[index].term;
                match TEXTS.get(term.ledger.chunks() as usize) {
                    Some(text) => drop(term.read(Reach::Anywhere, print(text), 1).unwrap()),
                    None => term.complete(),
                }
            });
        }
        let mut tried = old.clone();
        if let Some(delivery) = tried.term.ledger.next_delivery(None) {
            tried.out.insert((delivery, Stage::Sent));
            step(&|world| world.coordinators[index] = tried.clone());
        }
        for (delivery, stage) in &old.out {
            match stage {
                Stage::Sent => step(&|world| world.work(index, *delivery)),
                Stage::Counted => step(&|world| {
                    let coordinator = &mut world.coordinators[index];
                    coordinator.out.remove(&(*delivery, Stage::Counted));
                    let counts = count_chunk(TEXTS[delivery.chunk.0 as usize]);
                    coordinator.term.answered(*delivery, &counts).unwrap();
                }),
            }
            if self.failures < self.bounds.failures_max {
                // It may be answered all the same, later.
                for is_lost in [true, false] {
                    step(&|world| {
                        world.failures += 1;
                        let coordinator = &mut world.coordinators[index];
                        coordinator.term.ledger.failed(*delivery).unwrap();
                        if is_lost {
                            coordinator.out.remove(&(*delivery, stage.clone()));
                        }
                    });
                }
            }
        }
    }

    /// A delivery arrives at its worker.
    fn work(&mut self, index: usize, delivery: Delivery) {
        let coordinator = &mut self.coordinators[index];
        let text = TEXTS[delivery.chunk.0 as usize];
        let ticket = Ticket {
            epoch: coordinator.epoch,
            chunk: delivery.chunk.0,
            print: print(text),
        };
        let archive = &mut self.archives[coordinator.node(delivery.worker.node)];
        if archive.admit(ticket.epoch).is_err() {
            // A coordinator that hears that it is superseded ends.
            self.coordinators.remove(index);
            return;
        }
        archive.keep(ticket, &count_chunk(text).into());
        coordinator.out.remove(&(delivery, Stage::Sent));
        coordinator.out.insert((delivery, Stage::Counted));
    }

    /// Tells worlds apart. The order of words in counts is not part of it.
    fn key(&self) -> String {
        let archive = |archive: &Archive| {
            let page = archive.page(0);
            let chunks: Vec<u64> = page.entries.iter().map(|entry| entry.chunk).collect();
            (archive.clone().enlist(u64::MAX).unwrap(), chunks)
        };
        let coordinator = |at: &Coordinator| {
            let found: Vec<_> = at.term.found.keys().collect();
            let ledger = format!("{:?}", at.term.ledger);
            (
                at.epoch,
                at.home,
                at.out.clone(),
                ledger,
                format!("{found:?}"),
            )
        };
        format!(
            "{:?} {:?} {} {}",
            self.archives.iter().map(archive).collect::<Vec<_>>(),
            self.coordinators
                .iter()
                .map(coordinator)
                .collect::<Vec<_>>(),
            self.terms,
            self.failures,
        )
    }
}

/// Goes through all of them. Returns the epochs in which a coordinator finished, how many chunks such a one had taken over,
/// and how many states there are.
fn explore(bounds: Bounds) -> (BTreeSet<u64>, BTreeSet<u64>, usize) {
    let mut expected = Tally::default();
    for text in TEXTS {
        expected.absorb(&count_chunk(text)).unwrap();
    }
    let mut seen = HashSet::new();
    let mut open = vec![World::new(bounds)];
    let mut finished_in = BTreeSet::new();
    let mut taken_over = BTreeSet::new();
    while let Some(world) = open.pop() {
        if !seen.insert(print(world.key().as_bytes())) {
            continue;
        }
        for coordinator in &world.coordinators {
            if coordinator.term.is_finished() {
                assert_eq!(coordinator.term.tally(), &expected, "{}", world.key());
                assert_eq!(coordinator.term.counted_bytes(), TEXTS.len() as u64);
                finished_in.insert(coordinator.epoch);
                taken_over.insert(coordinator.term.taken_over());
            }
        }
        let youngest = world.coordinators.iter().max_by_key(|at| at.epoch);
        let can_go_on = youngest.is_none_or(|at| {
            let is_stuck = at.out.is_empty() && !at.term.ledger.wants_chunk();
            at.term.is_finished()
                || !is_stuck
                || at.term.ledger.clone().next_delivery(None).is_some()
        });
        assert!(can_go_on, "stuck: {}", world.key());
        open.extend(world.next());
    }
    (finished_in, taken_over, seen.len())
}

#[test]
fn in_every_history_every_coordinator_that_finishes_has_the_exact_tally() {
    for (terms_max, failures_max, lives_on) in
        [(2, 1, false), (3, 0, false), (2, 0, true), (2, 1, true)]
    {
        let (finished_in, taken_over, states) = explore(Bounds {
            terms_max,
            failures_max,
            lives_on,
        });
        println!("{states} states");
        // The search has been where it should.
        assert_eq!(finished_in, (1..=terms_max).collect());
        assert_eq!(taken_over, BTreeSet::from([0, 1, 2]));
    }
}

#[test]
fn an_entry_counts_for_the_text_it_was_made_of_and_for_no_other() {
    let mut term = Term::new(Limits {
        in_flight_max: 1,
        attempts_max: 1,
    });
    term.ledger.join(HOME, 1);
    let entry = |chunk, text: &[u8]| Entry {
        chunk,
        print: print(text),
        counts: count_chunk(text).into(),
    };
    term.find(entry(0, b"before it was changed")).unwrap();
    let read = term.read(Reach::Anywhere, print(b"a"), 1);
    assert_eq!(read, Ok(Read::Open(ChunkId(0))));
    assert_eq!(term.find(entry(0, b"before it was changed")), Ok(false));
    assert_eq!(term.find(entry(0, b"a")), Ok(true), "a node came late");
    assert_eq!(term.find(entry(0, b"a")), Ok(false), "two nodes have it");
    term.find(entry(1, b"b")).unwrap();
    assert_eq!(term.read(Reach::Anywhere, print(b"b"), 1), Ok(Read::Found));
    term.complete();
    assert!(term.is_finished());
    assert_eq!((term.taken_over(), term.tally().words()), (2, 2));
}
