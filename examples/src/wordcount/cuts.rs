//! The node that the launcher has cut off from the others, from the cut until it is back: [`Cuts`].

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use tokio::time::Instant;

use super::protocol::{Control, Standing};

/// How long a node is cut off at least.
pub(super) const CUT_TIME_MIN: Duration = Duration::from_secs(3);

/// How long it may take until that is noticed, and until the node is back afterwards.
const NOTICE_TIME_MAX: Duration = Duration::from_secs(30);

/// Which node is cut off. One at a time.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    addresses: BTreeMap<usize, SocketAddr>,
    parted: Option<Parted>,
    count: u32,
}

/// A node that is cut off from the others, and not back yet.
#[derive(Clone, Copy, Debug)]
struct Parted {
    node: usize,
    since: Instant,
    is_noticed: bool,
    healed_at: Option<Instant>,
}

impl Cuts {
    /// Where a node listens.
    pub(super) fn listens(&mut self, node: usize, address: SocketAddr) {
        self.addresses.insert(node, address);
    }

    /// A node has ended. If it was cut off, it will not be back.
    pub(super) fn ended(&mut self, node: usize) {
        self.parted = self.parted.filter(|parted| parted.node != node);
    }

    /// How many there were.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Since when something is waited for, and how long that may take.
    pub(super) fn waits_for(&self) -> Option<(Instant, Duration)> {
        let parted = self.parted?;
        Some((parted.healed_at.unwrap_or(parted.since), NOTICE_TIME_MAX))
    }

    /// When it is time to heal the cut, or something is wrong.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (since, max) = self.waits_for()?;
        let is_to_be_healed = self
            .parted
            .is_some_and(|parted| parted.is_noticed && parted.healed_at.is_none());
        Some(since + if is_to_be_healed { CUT_TIME_MIN } else { max })
    }

    /// A node is cut off from all that have not ended. Returns what to tell whom; nothing while another one is cut off.
    pub(super) fn cut(&mut self, node: usize, ended: &BTreeSet<usize>) -> Vec<(usize, Control)> {
        let Some(&address) = self.addresses.get(&node).filter(|_| self.parted.is_none()) else {
            return Vec::new();
        };
        self.count += 1;
        self.parted = Some(Parted {
            node,
            since: Instant::now(),
            is_noticed: false,
            healed_at: None,
        });
        let others = |other: &usize| *other != node && !ended.contains(other);
        let others: Vec<usize> = self.addresses.keys().copied().filter(others).collect();
        let theirs = others.iter().map(|other| self.addresses[other]).collect();
        let mut controls: Vec<_> = others
            .into_iter()
            .map(|other| (other, Control::Cut(vec![address])))
            .collect();
        controls.push((node, Control::Cut(theirs)));
        controls
    }

    /// Whether the others have noticed, and it has taken long enough.
    pub(super) fn is_time_to_heal(&self) -> bool {
        self.parted.is_some_and(|parted| {
            let is_long = parted.since.elapsed() >= CUT_TIME_MIN;
            parted.healed_at.is_none() && parted.is_noticed && is_long
        })
    }

    /// The cut is healed. Returns the node that was cut off, if one was.
    pub(super) fn heal(&mut self) -> Option<usize> {
        let parted = self.parted.as_mut()?;
        let node = parted.node;
        if parted.healed_at.replace(Instant::now()).is_some() {
            return None;
        }
        if !parted.is_noticed {
            // Whoever was not missed was never away.
            self.parted = None;
        }
        Some(node)
    }

    /// Whether what `observer` sees of another node comes from the cut.
    pub(super) fn explains(
        &mut self,
        observer: usize,
        other: Option<usize>,
        standing: Standing,
    ) -> bool {
        let Some(parted) = &mut self.parted else {
            return false;
        };
        if Some(parted.node) != other {
            return observer == parted.node;
        }
        match standing {
            Standing::Unreachable | Standing::Down => parted.is_noticed = true,
            Standing::Joined | Standing::Back if parted.healed_at.is_some() => self.parted = None,
            _ => {}
        }
        true
    }
}
