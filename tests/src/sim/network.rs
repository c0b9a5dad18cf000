//! The network: how long a packet takes, and whether it arrives at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use treewarden_cluster::membership::Rng;

/// After how long TCP repeats a packet first (RFC 6298 as Linux has it); each further time after twice as long.
const REPEATED_AFTER: Duration = Duration::from_millis(200);
/// Then the stream counts as broken.
const REPEATED_MAX: usize = 6;

/// How long a packet takes: `least`, plus an exponentially distributed part with the mean `tail_mean`.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    /// The shortest time.
    pub least: Duration,
    /// Mean of what comes on top.
    pub tail_mean: Duration,
}

impl Latency {
    fn draw(&self, rng: &mut Rng) -> Duration {
        let tail = -(1.0 - rng.unit()).ln();
        self.least + self.tail_mean.mul_f64(tail)
    }
}

/// Conditions between all nodes. Links have a direction: from, to.
#[derive(Clone, Debug)]
pub struct Network {
    /// For every packet anew, so that packets overtake each other.
    pub latency: Latency,
    /// Share of packets that get lost.
    pub loss: f64,
    /// Share of packets that arrive twice.
    pub duplication: f64,
    cut: BTreeSet<(usize, usize)>,
    /// Nodes that no datagram reaches or leaves.
    no_datagrams: BTreeSet<usize>,
    link_loss: BTreeMap<(usize, usize), f64>,
}

impl Network {
    /// A network without faults.
    pub fn new(latency: Latency) -> Self {
        Self {
            latency,
            loss: 0.0,
            duplication: 0.0,
            cut: BTreeSet::new(),
            no_datagrams: BTreeSet::new(),
            link_loss: BTreeMap::new(),
        }
    }

    /// Cuts links in the given direction only.
    pub fn cut(&mut self, links: impl IntoIterator<Item = (usize, usize)>) {
        self.cut.extend(links);
    }

    /// Datagrams to and from a node are dropped; streams pass.
    pub fn block_datagrams(&mut self, node: usize) {
        self.no_datagrams.insert(node);
    }

    /// How long a packet of a stream takes, repeated until it arrives; none where either direction is cut.
    pub fn carry_reliably(&self, from: usize, to: usize, rng: &mut Rng) -> Option<Duration> {
        if self.cut.contains(&(from, to)) || self.cut.contains(&(to, from)) {
            return None;
        }
        let mut delay = self.latency.draw(rng);
        let mut wait = REPEATED_AFTER;
        for _ in 0..REPEATED_MAX {
            if !rng.chance(self.loss_of(from, to)) {
                return Some(delay);
            }
            delay += wait;
            wait *= 2;
        }
        None
    }

    fn loss_of(&self, from: usize, to: usize) -> f64 {
        self.link_loss
            .get(&(from, to))
            .copied()
            .unwrap_or(self.loss)
    }

    /// Mends one link in the given direction.
    pub fn mend(&mut self, link: (usize, usize)) {
        self.cut.remove(&link);
    }

    /// Gives one link a loss of its own.
    pub fn set_link_loss(&mut self, link: (usize, usize), loss: f64) {
        self.link_loss.insert(link, loss);
    }

    /// Undoes all faults.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.no_datagrams.clear();
        self.link_loss.clear();
        self.loss = 0.0;
        self.duplication = 0.0;
    }

    /// After how long the copies of one packet arrive: none when it is lost, two when it is doubled.
    pub fn carry(&self, from: usize, to: usize, rng: &mut Rng) -> [Option<Duration>; 2] {
        let blocked = self.no_datagrams.contains(&from) || self.no_datagrams.contains(&to);
        if blocked || self.cut.contains(&(from, to)) || rng.chance(self.loss_of(from, to)) {
            return [None, None];
        }
        let second = if rng.chance(self.duplication) {
            Some(self.latency.draw(rng))
        } else {
            None
        };
        [Some(self.latency.draw(rng)), second]
    }
}
