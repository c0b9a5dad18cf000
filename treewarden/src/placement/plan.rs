//! Where things run: a machine without clock or network.
//!
//! It sees the sites and what runs where, and says what to start and stop. What is held stays where it is as long as its site lasts (nothing
//! moves because something better turned up elsewhere, except to spread over zones, one at a time). A new place is the one in the zone that has the fewest
//! replicas of the item, and there the one whose hash with the item is the highest (rendezvous hashing, Thaler and Ravishankar, 1998), so that
//! whoever decides decides the same.
//!
//! Calls: [`Planner::observe`] whenever something has changed and at [`Planner::poll_timeout`]; [`Planner::ended`] for each command when it has an outcome.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use treewarden_cluster::membership::NodeId;
use treewarden_runtime::routing::{hash_of, mix};

/// What is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// On how many sites.
    pub replicas: usize,
}

/// Where something can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Which process of which node.
    pub node: NodeId,
    /// Failure domain; empty when unknown, which is a domain of its own.
    pub zone: String,
    /// What may be done there.
    pub standing: Standing,
}

/// What may be done at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes what it is given.
    Open,
    /// It keeps what it has and takes nothing new.
    Cordoned,
    /// It is to be emptied: what runs there moves away, once it runs elsewhere.
    Draining,
    /// It cannot be reached. It may run what it ran: that is not placed again before it is down, when it is no site any more.
    Unreachable,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// Start the item there.
    Start {
        /// Its name.
        item: String,
        /// Where.
        node: NodeId,
    },
    /// Stop the item there.
    Stop {
        /// Its name.
        item: String,
        /// Where.
        node: NodeId,
    },
}

impl Command {
    fn place(&self) -> Place {
        let (Self::Start { item, node } | Self::Stop { item, node }) = self;
        (item.clone(), node.clone())
    }
}

/// An item at a site.
pub type Place = (String, NodeId);

/// How fast it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long to look before anything is done, so that what runs is known.
    pub settling: Duration,
    /// How many starts may be under way at once.
    pub starts_max: usize,
    /// How long the effect of a command may take to be seen; then it counts as lost.
    pub visible_within: Duration,
    /// How long a site is left out for an item that failed to start there: twice as long each time, up to 64 times.
    pub retry_after: Duration,
}

impl Default for Pace {
    /// Two seconds to settle, 16 starts at once, ten seconds to be seen, one second after the first failure.
    fn default() -> Self {
        Self {
            settling: Duration::from_secs(2),
            starts_max: 16,
            visible_within: Duration::from_secs(10),
            retry_after: Duration::from_secs(1),
        }
    }
}

/// Decides where items run.
#[derive(Debug)]
pub struct Planner {
    items: Vec<Wanted>,
    pace: Pace,
    began: Option<Duration>,
    /// Commands whose effect is not seen yet, and until when they count.
    starting: BTreeMap<Place, Duration>,
    stopping: BTreeMap<Place, Duration>,
    /// Failures in a row, and when to try again.
    failed: BTreeMap<Place, (u32, Duration)>,
}

impl Planner {
    /// Knows nothing of what runs; the first observation tells.
    #[must_use]
    pub fn new(items: Vec<Wanted>, pace: Pace) -> Self {
        Self {
            items,
            pace,
            began: None,
            starting: BTreeMap::new(),
            stopping: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// A command has an outcome. One that succeeded counts as done from now on, though its effect may be seen later.
    pub fn ended(&mut self, now: Duration, command: &Command, succeeded: bool) {
        let place = command.place();
        let until = now + self.pace.visible_within;
        match (command, succeeded) {
            (Command::Start { .. }, true) => {
                self.failed.remove(&place);
                self.starting.insert(place, until);
            }
            (Command::Start { .. }, false) => {
                self.starting.remove(&place);
                let (failures, at) = self.failed.entry(place).or_default();
                *at = now + self.pace.retry_after * (1 << (*failures).min(6));
                *failures += 1;
            }
            (Command::Stop { .. }, true) => drop(self.stopping.insert(place, until)),
            (Command::Stop { .. }, false) => {
                // Tried again after a while.
                let until = now + self.pace.retry_after;
                self.stopping.insert(place, until);
            }
        }
    }

    /// When to observe again though nothing has changed. It may be past.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let settled = self.began.map(|began| began + self.pace.settling);
        let pending = self.starting.values().chain(self.stopping.values());
        let retries = self.failed.values().map(|(_, at)| at);
        pending.chain(retries).copied().chain(settled).min()
    }

    /// Looks at all sites that are not down, and at what runs where.
    pub fn observe(
        &mut self,
        now: Duration,
        sites: &[Site],
        placed: &BTreeSet<Place>,
    ) -> Vec<Command> {
        let began = *self.began.get_or_insert(now);
        let is_site = |node: &NodeId| sites.iter().any(|site| site.node == *node);
        let lives = |place: &Place, until: &Duration| *until > now && is_site(&place.1);
        self.starting
            .retain(|place, until| lives(place, until) && !placed.contains(place));
        self.stopping
            .retain(|place, until| lives(place, until) && placed.contains(place));
        self.failed.retain(|place, (_, at)| {
            // Forgotten long after it may be tried again, so that the next failure counts as one in a row.
            is_site(&place.1) && *at + self.pace.retry_after * 64 > now
        });
        if now < began + self.pace.settling {
            return Vec::new();
        }
        let mut commands = Vec::new();
        for item in self.items.clone() {
            self.decide(now, &item, sites, placed, &mut commands);
        }
        for command in &commands {
            let until = now + self.pace.visible_within;
            match command {
                Command::Start { .. } => self.starting.insert(command.place(), until),
                Command::Stop { .. } => self.stopping.insert(command.place(), until),
            };
        }
        commands
    }

    fn decide(
        &self,
        now: Duration,
        item: &Wanted,
        sites: &[Site],
        placed: &BTreeSet<Place>,
        commands: &mut Vec<Command>,
    ) {
        let at = |site: &Site| (item.name.clone(), site.node.clone());
        let runs =
            |site: &Site| placed.contains(&at(site)) && !self.stopping.contains_key(&at(site));
        let holds = |site: &Site| runs(site) || self.starting.contains_key(&at(site));
        let may_fail = |site: &Site| {
            let failed = self.failed.get(&at(site));
            failed.is_none_or(|(_, retry_at)| *retry_at <= now)
        };
        let lasts = |site: &Site| site.standing != Standing::Draining;
        let mut holders: Vec<&Site> = sites
            .iter()
            .filter(|site| holds(site) && lasts(site))
            .collect();
        // Those that are known to do their work.
        let sure = holders
            .iter()
            .filter(|site| runs(site) && site.standing != Standing::Unreachable)
            .count();
        let is_settled = sure == holders.len();
        let mut free: Vec<&Site> = sites
            .iter()
            .filter(|site| site.standing == Standing::Open)
            .filter(|site| !placed.contains(&at(site)) && !holds(site) && may_fail(site))
            .collect();
        let mut under_way = self.starting.len();
        under_way += commands
            .iter()
            .filter(|command| matches!(command, Command::Start { .. }))
            .count();
        let mut start = |site: &Site, commands: &mut Vec<Command>| {
            let is_allowed = under_way < self.pace.starts_max;
            if is_allowed {
                under_way += 1;
                commands.push(Command::Start {
                    item: item.name.clone(),
                    node: site.node.clone(),
                });
            }
            is_allowed
        };

        // Too few: the best of those that are free.
        let mut has_started = false;
        while holders.len() < item.replicas {
            let zones = count_by_zone(&holders);
            let best = free.iter().enumerate().min_by_key(|(_, site)| {
                let crowd = zones.get(&*site.zone).copied().unwrap_or(0);
                (crowd, std::cmp::Reverse(rank(&item.name, site)))
            });
            let Some((index, _)) = best else {
                break;
            };
            let site = free.swap_remove(index);
            if !start(site, commands) {
                return;
            }
            has_started = true;
            holders.push(site);
        }
        if has_started || sure < item.replicas {
            return;
        }

        // Enough that are sure: those that are to be emptied are needed no longer.
        let mut stop = |site: &Site| {
            commands.push(Command::Stop {
                item: item.name.clone(),
                node: site.node.clone(),
            });
        };
        let mut has_stopped = false;
        for site in sites.iter().filter(|site| !lasts(site) && runs(site)) {
            stop(site);
            has_stopped = true;
        }
        let zones = count_by_zone(&holders);
        let crowd = |site: &Site| zones.get(&*site.zone).copied().unwrap_or(0);
        if sure > item.replicas {
            // Too many: the worst of the most crowded zone. One at a time, so that the next is judged by what is left.
            let sure = holders
                .iter()
                .filter(|site| runs(site) && site.standing != Standing::Unreachable);
            let worst =
                sure.max_by_key(|site| (crowd(site), std::cmp::Reverse(rank(&item.name, site))));
            if let Some(site) = worst {
                stop(site);
            }
            return;
        }
        if has_stopped || !is_settled {
            return;
        }
        // As many as wanted, but crowded while another zone has room: one more there, and the crowd loses one when that one runs.
        let most = zones.values().copied().max().unwrap_or(0);
        let roomy = free.iter().filter(|site| crowd(site) + 2 <= most);
        let best =
            roomy.min_by_key(|site| (crowd(site), std::cmp::Reverse(rank(&item.name, site))));
        if let Some(site) = best {
            start(site, commands);
        }
    }
}

fn count_by_zone<'a>(sites: &[&'a Site]) -> HashMap<&'a str, usize> {
    let mut zones = HashMap::new();
    for site in sites {
        *zones.entry(&*site.zone).or_insert(0) += 1;
    }
    zones
}

/// The higher, the rather there.
fn rank(item: &str, site: &Site) -> (u64, NodeId) {
    // By name, so that a node that was restarted gets what it had.
    let hash = mix(hash_of(item) ^ mix(hash_of(site.node.name.as_str())));
    (hash, site.node.clone())
}
