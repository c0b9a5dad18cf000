//! Random histories: a cluster forms, suffers, heals, and has to end with the true view.

use std::time::Duration;

use treewarden_cluster::membership::wire::{VERSION_MAX, VERSION_MIN};
use treewarden_cluster::membership::{Config, NodeId, Rng};
use treewarden_cluster::partition::PartitionPolicy;

use super::fault::Fault;
use super::network::{Latency, Network};
use super::truth::differences;
use super::world::{World, WorldConfig, keep_majority};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Time in which the cluster forms before faults begin.
const FORMING: Duration = Duration::from_secs(2);
/// Time within which faults happen.
const SUFFERING: Duration = Duration::from_secs(12);
/// Longest time from the heal until all views are true.
const CONVERGING_MAX: Duration = Duration::from_secs(60);
/// When everything is mended.
const HEALED_AT: Duration = Duration::from_secs(1 + 2 + 12 + 7);
/// For how long they then have to stay true.
const CALM: Duration = Duration::from_secs(2);

/// How a history went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// From the heal until all views were true.
    pub converged_after: Duration,
    /// Fingerprint of all bytes sent.
    pub fingerprint: u64,
    /// Steps of machines.
    pub steps: u64,
}

/// A history: what is done when, made from a seed.
#[derive(Clone, Debug)]
pub struct Scenario {
    seed: u64,
    nodes: usize,
    latency: Latency,
    faults: Vec<(Duration, Fault)>,
    /// Nodes that do not run at the end: crashed or left for good.
    gone: Vec<usize>,
}

impl Scenario {
    /// The history of a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5ce9_a110);
        let nodes = 3 + rng.below(6);
        let latency = Latency {
            least: MS / 5,
            tail_mean: MS * (1 + rng.below(8) as u32),
        };
        let mut scenario = Self {
            seed,
            nodes,
            latency,
            faults: Vec::new(),
            gone: Vec::new(),
        };
        scenario.form(&mut rng);
        scenario.install_and_post(&mut Rng::new(seed ^ 0x0_1d_0e));
        for _ in 0..3 + rng.below(8) {
            let at = SECOND + FORMING + rng.duration_below(SUFFERING);
            scenario.add_fault(at, &mut rng);
        }
        scenario
    }

    /// Nodes start over half a second; in one history of four, all at once.
    fn form(&mut self, rng: &mut Rng) {
        let spread = if rng.chance(0.25) {
            Duration::ZERO
        } else {
            SECOND / 2
        };
        for node in 0..self.nodes {
            let at = SECOND + rng.duration_below(spread);
            self.faults.push((at, Fault::Start(node)));
        }
    }

    /// In one history of three there are programs of two versions, and which one a node runs may change with each start. Everybody posts.
    fn install_and_post(&mut self, rng: &mut Rng) {
        let two_versions = rng.chance(1.0 / 3.0);
        for node in (0..self.nodes).filter(|_| two_versions) {
            for at in [SECOND / 2, SECOND + rng.duration_below(SUFFERING)] {
                let version = if rng.chance(0.5) {
                    VERSION_MIN
                } else {
                    VERSION_MAX
                };
                self.faults.push((at, Fault::Install(node, version)));
            }
        }
        for _ in 0..rng.below(12) {
            let at = SECOND + rng.duration_below(FORMING + SUFFERING);
            let name = ["", "", "a", "b"][rng.below(4)];
            self.faults
                .push((at, Fault::Post(rng.below(self.nodes), name)));
        }
    }

    fn add_fault(&mut self, at: Duration, rng: &mut Rng) {
        let node = rng.below(self.nodes);
        let other = (node + 1 + rng.below(self.nodes - 1)) % self.nodes;
        let until = at + MS * 200 + rng.duration_below(SECOND * 6);
        let (one_side, other_side) = self.sides(rng);
        // Fewer than half may go for good: a keep-majority cluster that lost more stays down, as it should.
        let may_go =
            node != 0 && (self.gone.len() + 1) * 2 < self.nodes && !self.gone.contains(&node);
        match rng.below(17) {
            0 | 1 if may_go => {
                self.gone.push(node);
                self.faults.push((at, Fault::Crash(node)));
            }
            0..=2 => self
                .faults
                .extend([(at, Fault::Crash(node)), (until, Fault::Start(node))]),
            3 if may_go => {
                self.gone.push(node);
                self.faults.push((at, Fault::Leave(node)));
            }
            3 | 4 => self
                .faults
                .extend([(at, Fault::Stop(node)), (until, Fault::Continue(node))]),
            5 => self
                .faults
                .extend([(at, Fault::BlockIo(node)), (until, Fault::UnblockIo(node))]),
            6 => self.faults.extend([
                (at, Fault::SlowDown(node, MS * (20 + rng.below(300) as u32))),
                (until, Fault::SpeedUp(node)),
            ]),
            7..=9 => self.faults.extend([
                (at, Fault::split(&one_side, &other_side)),
                (until, Fault::Heal),
            ]),
            10 => self.faults.extend([
                (at, Fault::one_way(&one_side, &other_side)),
                (until, Fault::Heal),
            ]),
            11 => self
                .faults
                .extend([(at, Fault::split(&[node], &[other])), (until, Fault::Heal)]),
            12 => self.faults.extend([
                (at, Fault::Loss(0.05 + rng.unit() * 0.5)),
                (until, Fault::Loss(0.0)),
            ]),
            13 => self.faults.push((at, Fault::Duplicate(rng.unit() * 0.5))),
            14 => self.flip_flop(at, until, (node, other)),
            15 => self
                .faults
                .extend([(at, Fault::BlockDatagrams(node)), (until, Fault::Heal)]),
            _ if rng.chance(0.3) => self.faults.push((at, Fault::DownByOperator(node, other))),
            _ => self.faults.push((at, Fault::ChangeMetadata(node))),
        }
    }

    fn flip_flop(&mut self, from: Duration, until: Duration, link: (usize, usize)) {
        let mut at = from;
        while at < until {
            self.faults.push((at, Fault::Cut(vec![link])));
            self.faults.push((at + MS * 300, Fault::Mend(link)));
            at += MS * 600;
        }
    }

    fn sides(&self, rng: &mut Rng) -> (Vec<usize>, Vec<usize>) {
        let mut all: Vec<usize> = (0..self.nodes).collect();
        rng.shuffle(&mut all);
        let other = all.split_off(1 + rng.below(self.nodes - 1));
        (all, other)
    }

    /// Lets the history happen.
    ///
    /// # Errors
    /// What went wrong, with the trace and the command that replays it.
    pub fn run(&self) -> Result<Outcome, String> {
        let mut world = self.world(keep_majority);
        let healed_at = HEALED_AT;
        world
            .run_until(healed_at)
            .map_err(|broken| self.report(&world, &broken.to_string()))?;
        self.heal(&mut world);
        let mut end = healed_at;
        while !differences(&world.processes).is_empty() {
            if end - healed_at > CONVERGING_MAX {
                let found = differences(&world.processes).join("\n  ");
                return Err(self.report(
                    &world,
                    &format!("{CONVERGING_MAX:?} after the heal:\n  {found}"),
                ));
            }
            end += MS * 100;
            world
                .run_until(end)
                .map_err(|broken| self.report(&world, &broken.to_string()))?;
        }
        world
            .run_until(end + CALM)
            .map_err(|broken| self.report(&world, &broken.to_string()))?;
        let found = differences(&world.processes);
        if !found.is_empty() {
            return Err(self.report(
                &world,
                &format!("views were true, and then:\n  {}", found.join("\n  ")),
            ));
        }
        Ok(Outcome {
            converged_after: end - healed_at,
            fingerprint: world.fingerprint(),
            steps: world.steps(),
        })
    }

    /// Lets the history happen under another partition policy, up to the heal, and says when two members that were both up had each declared the
    /// other down.
    ///
    /// # Errors
    /// An invariant that did not hold, with the trace and the command that replays it.
    pub fn two_majorities(
        &self,
        policy: fn(Duration, usize) -> Box<dyn PartitionPolicy>,
    ) -> Result<Vec<(Duration, NodeId, NodeId)>, String> {
        let mut world = self.world(policy);
        world
            .run_until(HEALED_AT)
            .map_err(|broken| self.report(&world, &broken.to_string()))?;
        Ok(std::mem::take(&mut world.two_majorities))
    }

    fn world(&self, policy: fn(Duration, usize) -> Box<dyn PartitionPolicy>) -> World {
        let config = WorldConfig {
            membership: Config::local(),
            stable_after: SECOND * 2,
            policy,
            nodes: self.nodes,
            seeds: 3.min(self.nodes),
            check_every: 1,
            trace: true,
        };
        let mut world = World::new(config, Network::new(self.latency), self.seed);
        for (at, fault) in &self.faults {
            world.schedule(*at, fault.clone());
        }
        world
    }

    /// How many nodes it has.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Everything is mended, and whoever is not gone for good runs.
    fn heal(&self, world: &mut World) {
        world.commit(Fault::Heal);
        for node in 0..self.nodes {
            world.commit(Fault::Continue(node));
            world.commit(Fault::UnblockIo(node));
            world.commit(Fault::SpeedUp(node));
            let gone = self.gone.contains(&node);
            match (gone, world.processes[node].condition.exists()) {
                (true, true) => world.commit(Fault::Crash(node)),
                (false, false) => world.commit(Fault::Start(node)),
                _ => {}
            }
        }
    }

    fn report(&self, world: &World, what: &str) -> String {
        format!(
            "seed {} ({} nodes, latency {:?}, gone for good {:?})\n{}\n{what}\n\nreplay: {}\n",
            self.seed,
            self.nodes,
            self.latency,
            self.gone,
            world.trace,
            format_args!(
                "TREEWARDEN_SEED={} cargo test -p treewarden-tests --test membership_simulation -- --nocapture",
                self.seed
            ),
        )
    }
}
