//! The network: how long a packet takes, and whether it arrives at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use treewarden_cluster::membership::Rng;

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
            link_loss: BTreeMap::new(),
        }
    }

    /// Cuts links in the given direction only.
    pub fn cut(&mut self, links: impl IntoIterator<Item = (usize, usize)>) {
        self.cut.extend(links);
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
        self.link_loss.clear();
        self.loss = 0.0;
        self.duplication = 0.0;
    }

    /// After how long the copies of one packet arrive: none when it is lost, two when it is doubled.
    pub fn carry(&self, from: usize, to: usize, rng: &mut Rng) -> [Option<Duration>; 2] {
        let loss = self
            .link_loss
            .get(&(from, to))
            .copied()
            .unwrap_or(self.loss);
        if self.cut.contains(&(from, to)) || rng.chance(loss) {
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
