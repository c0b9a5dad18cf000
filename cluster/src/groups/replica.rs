//! One node's copy of the directory: a machine without clock, task or network.
//!
//! The owner calls [`Replica::observe`] whenever membership has changed, [`Replica::receive`] for each message, [`Replica::handle_timeout`] at
//! [`Replica::poll_timeout`] and after changes of its own, and then sends what [`Replica::poll_transmit`] gives, and tells what
//! [`Replica::poll_change`] gives. What is sent may be lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::change::Change;
use super::entry::{Address, ENTRIES_MAX, Entry, Found, GroupError, Key, Standing, check_topic};
use super::gossip::Gossip;
use super::shelf::{Applied, Delta, Shelf};
use crate::membership::{NodeId, Rng};

/// How many portions answer one digest. What is left is told after the next one.
const DELTAS_PER_ANSWER: usize = 32;

#[derive(Debug)]
pub(crate) struct Replica {
    me: NodeId,
    mine: Shelf,
    /// Of others that are not down.
    shelves: BTreeMap<NodeId, Shelf>,
    /// The others that are not down.
    members: BTreeMap<NodeId, Standing>,
    my_standing: Standing,
    /// Who was last said to have each name.
    holders: BTreeMap<String, Address>,
    /// Up to which version of its own it has told the others.
    told: u64,
    interval: Duration,
    sync_at: Option<Duration>,
    rng: Rng,
    transmits: VecDeque<(NodeId, Gossip)>,
    changes: VecDeque<Change>,
    refused: u64,
}

impl Replica {
    /// An empty copy. Each `interval` it compares itself with another one, drawn by lot.
    pub(crate) fn new(me: NodeId, interval: Duration, seed: u64) -> Self {
        Self {
            me,
            mine: Shelf::default(),
            shelves: BTreeMap::new(),
            members: BTreeMap::new(),
            my_standing: Standing::default(),
            holders: BTreeMap::new(),
            told: 0,
            interval,
            sync_at: None,
            rng: Rng::new(seed),
            transmits: VecDeque::new(),
            changes: VecDeque::new(),
            refused: 0,
        }
    }

    /// How many deltas broke a bound and were not taken.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    // This node's own entries.

    pub(crate) fn join(&mut self, group: &str, target: &str) -> Result<(), GroupError> {
        check_topic(group)?;
        let key = Key::Group {
            group: group.to_owned(),
            target: target.to_owned(),
        };
        if self.mine.entry(&key).is_none() {
            self.check_room()?;
            self.mine.set(key, String::new(), 0);
            self.changes.push_back(Change::Joined {
                group: group.to_owned(),
                member: self.at(target),
            });
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self, group: &str, target: &str) -> bool {
        self.remove_mine(&Key::Group {
            group: group.to_owned(),
            target: target.to_owned(),
        })
    }

    pub(crate) fn register(
        &mut self,
        name: &str,
        target: &str,
        clock_ms: u64,
    ) -> Result<(), GroupError> {
        check_topic(name)?;
        match self.holder(name) {
            Some(holder) if holder == self.at(target) => return Ok(()),
            Some(holder) => {
                return Err(GroupError::NameTaken {
                    name: name.to_owned(),
                    holder,
                });
            }
            None => {}
        }
        self.check_room()?;
        let key = Key::Name {
            name: name.to_owned(),
        };
        self.mine.set(key, target.to_owned(), clock_ms);
        self.settle_name(name);
        Ok(())
    }

    pub(crate) fn unregister(&mut self, name: &str) -> bool {
        self.remove_mine(&Key::Name {
            name: name.to_owned(),
        })
    }

    /// Takes back everything that an actor of this node has.
    pub(crate) fn withdraw(&mut self, target: &str) {
        let has = |key: &Key, entry: &Entry| match key {
            Key::Group { target: other, .. } => other == target,
            Key::Name { .. } => entry.target == target,
        };
        let entries = self.mine.entries();
        let keys: Vec<Key> = entries
            .filter(|(key, entry)| has(key, entry))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.remove_mine(&key);
        }
    }

    fn check_room(&self) -> Result<(), GroupError> {
        match self.mine.count() < ENTRIES_MAX {
            true => Ok(()),
            false => Err(GroupError::TooManyEntries),
        }
    }

    fn remove_mine(&mut self, key: &Key) -> bool {
        let was_there = self.mine.remove(key);
        if was_there {
            self.tell_removed(key, &self.me.clone());
        }
        was_there
    }

    // What is found.

    /// Who is in a group, by node.
    pub(crate) fn group(&self, group: &str) -> Vec<Found> {
        let mut all = Vec::new();
        for (node, shelf) in self.all() {
            all.extend(shelf.targets(group).map(|target| self.found(node, target)));
        }
        all.sort_by(|one, other| one.address.cmp(&other.address));
        all
    }

    /// Who has a name.
    pub(crate) fn name(&self, name: &str) -> Option<Found> {
        let holder = self.holder(name)?;
        Some(self.found(&holder.node, &holder.target))
    }

    /// The oldest claim to a name of all that are known; of equally old ones that of the oldest node.
    fn holder(&self, name: &str) -> Option<Address> {
        let key = Key::Name {
            name: name.to_owned(),
        };
        let claims = self.all().filter_map(|(node, shelf)| {
            let claim = shelf.entry(&key)?;
            Some((claim.claimed_ms, node.boot, &node.name, node, &claim.target))
        });
        let (.., node, target) = claims.min()?;
        Some(Address {
            node: node.clone(),
            target: target.clone(),
        })
    }

    fn all(&self) -> impl Iterator<Item = (&NodeId, &Shelf)> {
        std::iter::once((&self.me, &self.mine)).chain(&self.shelves)
    }

    /// The address of an actor of this node.
    pub(crate) fn at(&self, target: &str) -> Address {
        Address {
            node: self.me.clone(),
            target: target.to_owned(),
        }
    }

    fn found(&self, node: &NodeId, target: &str) -> Found {
        let is_mine = *node == self.me;
        let standing = match is_mine {
            true => Some(&self.my_standing),
            false => self.members.get(node),
        };
        Found {
            address: Address {
                node: node.clone(),
                target: target.to_owned(),
            },
            is_reachable: is_mine || standing.is_some_and(|standing| standing.is_reachable),
            is_draining: standing.is_some_and(|standing| standing.is_draining),
            is_cordoned: standing.is_some_and(|standing| standing.is_cordoned),
            zone: standing
                .map(|standing| standing.zone.clone())
                .unwrap_or_default(),
        }
    }

    /// The failure domain of this node.
    pub(crate) fn zone(&self) -> &str {
        &self.my_standing.zone
    }

    // What membership says.

    /// All other members that are not down, and this one. True: something that is found looks different now.
    pub(crate) fn observe(
        &mut self,
        me: Standing,
        members: impl IntoIterator<Item = (NodeId, Standing)>,
    ) -> bool {
        let members: BTreeMap<NodeId, Standing> = members.into_iter().collect();
        let differs = self.my_standing != me || self.members != members;
        self.my_standing = me;
        let before = std::mem::replace(&mut self.members, members);
        for (node, was) in &before {
            match self.members.get(node).map(|standing| standing.is_reachable) {
                None => self.forget(node),
                Some(is_reachable) if is_reachable != was.is_reachable => {
                    self.changes.push_back(match is_reachable {
                        true => Change::Reachable { node: node.clone() },
                        false => Change::Unreachable { node: node.clone() },
                    });
                }
                Some(_) => {}
            }
        }
        let could_be = |node: &NodeId| before.get(node).is_some_and(|was| was.is_reachable);
        let back = self.reachable().filter(|node| !could_be(node));
        for node in back.cloned().collect::<Vec<_>>() {
            self.send_digest(node, false);
        }
        differs
    }

    fn reachable(&self) -> impl Iterator<Item = &NodeId> {
        let members = self.members.iter();
        members.filter_map(|(node, standing)| standing.is_reachable.then_some(node))
    }

    /// This node goes on as another boot, and knows nobody any more. Its own entries stay its own.
    pub(crate) fn begin_boot(&mut self, me: NodeId) {
        if me == self.me {
            return;
        }
        for node in std::mem::take(&mut self.members).into_keys() {
            self.forget(&node);
        }
        let old = std::mem::replace(&mut self.me, me);
        self.told = 0;
        let keys: Vec<Key> = self.mine.keys().cloned().collect();
        for key in keys {
            match key {
                Key::Group { group, target } => {
                    let member = Address {
                        node: old.clone(),
                        target: target.clone(),
                    };
                    self.changes.push_back(Change::Left {
                        group: group.clone(),
                        member,
                    });
                    let member = self.at(&target);
                    self.changes.push_back(Change::Joined { group, member });
                }
                Key::Name { name } => self.settle_name(&name),
            }
        }
    }

    fn forget(&mut self, node: &NodeId) {
        let Some(shelf) = self.shelves.remove(node) else {
            return;
        };
        for key in shelf.keys() {
            self.tell_removed(key, node);
        }
    }

    fn tell_removed(&mut self, key: &Key, node: &NodeId) {
        match key {
            Key::Group { group, target } => {
                let member = Address {
                    node: node.clone(),
                    target: target.clone(),
                };
                self.changes.push_back(Change::Left {
                    group: group.clone(),
                    member,
                });
            }
            Key::Name { name } => self.settle_name(name),
        }
    }

    /// Tells who has a name if that has changed, and withdraws a claim of this node's that is not the oldest.
    fn settle_name(&mut self, name: &str) {
        let holder = self.holder(name);
        let key = Key::Name {
            name: name.to_owned(),
        };
        if let (Some(holder), Some(claim)) = (&holder, self.mine.entry(&key))
            && holder.node != self.me
        {
            let loser = self.at(&claim.target);
            self.mine.remove(&key);
            self.changes.push_back(Change::NameLost {
                name: name.to_owned(),
                loser,
                holder: holder.clone(),
            });
        }
        if self.holders.get(name) != holder.as_ref() {
            match &holder {
                Some(holder) => self.holders.insert(name.to_owned(), holder.clone()),
                None => self.holders.remove(name),
            };
            self.changes.push_back(Change::Name {
                name: name.to_owned(),
                holder,
            });
        }
    }

    // What others say.

    pub(crate) fn receive(&mut self, gossip: Gossip) {
        match gossip {
            Gossip::Digest {
                from,
                versions,
                is_answer,
            } => self.receive_digest(from, versions, is_answer),
            Gossip::Deltas { from, deltas } => {
                let is_complete = deltas.into_iter().all(|delta| self.receive_delta(delta));
                if !is_complete && self.members.contains_key(&from) {
                    self.send_digest(from, true);
                }
            }
        }
    }

    fn receive_digest(&mut self, from: NodeId, versions: Vec<(NodeId, u64)>, is_answer: bool) {
        if !self.members.contains_key(&from) {
            // Membership has not told of it yet, or has told of its end.
            return;
        }
        let mut answer = Vec::new();
        let mut lacks = false;
        for (node, version) in &versions {
            let shelf = match *node == self.me {
                true => Some(&self.mine),
                false => self.shelves.get(node),
            };
            let known = shelf.map_or(0, Shelf::version);
            lacks |= *version > known && self.members.contains_key(node);
            if let Some(shelf) = shelf
                && known > *version
                && answer.len() < DELTAS_PER_ANSWER
            {
                answer.extend(shelf.deltas(node, *version));
            }
        }
        answer.truncate(DELTAS_PER_ANSWER);
        for delta in answer {
            let gossip = Gossip::Deltas {
                from: self.me.clone(),
                deltas: vec![delta],
            };
            self.transmits.push_back((from.clone(), gossip));
        }
        if lacks && !is_answer {
            self.send_digest(from, true);
        }
    }

    /// False: something before it is missing.
    fn receive_delta(&mut self, delta: Delta) -> bool {
        let node = delta.node.clone();
        // Who is down, or not known yet, has no shelf: a delta that was long on its way must not bring it back.
        if node == self.me || !self.members.contains_key(&node) {
            return true;
        }
        let shelf = self.shelves.entry(node.clone()).or_default();
        let groups_before: BTreeSet<Key> = shelf
            .keys()
            .filter(|key| {
                delta.since.is_none() || delta.removed.iter().any(|(_, gone)| gone == *key)
            })
            .cloned()
            .collect();
        let touched: BTreeSet<Key> = delta
            .set
            .iter()
            .filter(|(key, _)| shelf.entry(key).is_some())
            .map(|(key, _)| key.clone())
            .collect();
        let changed = match shelf.apply(delta) {
            Applied::Changed(changed) => changed,
            Applied::Known => return true,
            Applied::Gap => return false,
            Applied::Refused => {
                self.refused += 1;
                return true;
            }
        };
        for key in changed {
            let is_there = self
                .shelves
                .get(&node)
                .is_some_and(|shelf| shelf.entry(&key).is_some());
            let was_there = groups_before.contains(&key) || touched.contains(&key);
            match (&key, was_there, is_there) {
                (Key::Name { name }, ..) => self.settle_name(&name.clone()),
                (Key::Group { .. }, true, false) => self.tell_removed(&key, &node),
                (Key::Group { group, target }, false, true) => {
                    let member = Address {
                        node: node.clone(),
                        target: target.clone(),
                    };
                    self.changes.push_back(Change::Joined {
                        group: group.clone(),
                        member,
                    });
                }
                (Key::Group { .. }, ..) => {}
            }
        }
        true
    }

    // What is sent.

    /// Tells the others what is new here, and compares itself with one of them when it is time.
    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        if self.mine.version() > self.told {
            let deltas = self.mine.deltas(&self.me, self.told);
            self.told = self.mine.version();
            for node in self.reachable().cloned().collect::<Vec<_>>() {
                let gossip = Gossip::Deltas {
                    from: self.me.clone(),
                    deltas: deltas.clone(),
                };
                self.transmits.push_back((node, gossip));
            }
        }
        if self.sync_at.is_none_or(|at| now >= at) {
            // Not all at the same moment.
            let pause = self.interval / 2 + self.rng.duration_below(self.interval);
            self.sync_at = Some(now + pause);
            let mut reachable: Vec<NodeId> = self.reachable().cloned().collect();
            if !reachable.is_empty() {
                let peer = reachable.swap_remove(self.rng.below(reachable.len()));
                self.send_digest(peer, false);
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.sync_at
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<(NodeId, Gossip)> {
        self.transmits.pop_front()
    }

    pub(crate) fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    fn send_digest(&mut self, to: NodeId, is_answer: bool) {
        let mine = (self.me.clone(), self.mine.version());
        let others = self.members.keys().map(|node| {
            let version = self.shelves.get(node).map_or(0, Shelf::version);
            (node.clone(), version)
        });
        let gossip = Gossip::Digest {
            from: self.me.clone(),
            versions: std::iter::once(mine).chain(others).collect(),
            is_answer,
        };
        self.transmits.push_back((to, gossip));
    }
}
