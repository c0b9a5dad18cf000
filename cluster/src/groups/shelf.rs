//! The entries that one boot of one node owns, as versions of one list. Pure.
//!
//! Only the owner changes it, and each change raises the version by one; so of two copies the one with the greater version is
//! the newer, and copies never have to be merged. An entry remembers the version with which it came, and removals are remembered
//! for a while, so that any copy, not only the owner's, can tell what has changed since a version: a [`Delta`]. From before its horizon
//! it can tell only the whole.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::entry::{ENTRIES_MAX, Entry, Key, TOPIC_BYTES_MAX};
use crate::membership::NodeId;
use crate::remote::TARGET_BYTES_MAX;

/// How many removals are remembered.
const REMOVED_MAX: usize = 1024;

/// How many changes travel in one delta.
pub(super) const CHANGES_PER_DELTA: usize = 256;

/// What has changed on a shelf between two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delta {
    /// Whose shelf.
    pub(crate) node: NodeId,
    /// What the receiver has to have for it to make sense; `None`: it is the whole, up to `version`.
    pub(crate) since: Option<u64>,
    /// What the receiver has afterwards.
    pub(crate) version: u64,
    pub(crate) set: Vec<(Key, Entry)>,
    pub(crate) removed: Vec<(u64, Key)>,
}

/// What became of a delta.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// These keys may have changed.
    Changed(Vec<Key>),
    /// Nothing new.
    Known,
    /// Something before it is missing.
    Gap,
    /// It breaks a bound; nothing was taken.
    Refused,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    version: u64,
    entries: BTreeMap<Key, Entry>,
    removed: VecDeque<(u64, Key)>,
    /// Removals up to this version are forgotten.
    horizon: u64,
}

impl Shelf {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entry(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.entries.keys()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// The members of a group.
    pub(super) fn targets<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a str> {
        let first = Key::Group {
            group: group.to_owned(),
            target: String::new(),
        };
        let from_first = self
            .entries
            .range((Bound::Included(first), Bound::Unbounded));
        from_first.map_while(move |(key, _)| match key {
            Key::Group {
                group: other,
                target,
            } if other == group => Some(target.as_str()),
            _ => None,
        })
    }

    /// The owner puts something on it.
    pub(super) fn set(&mut self, key: Key, target: String, claimed_ms: u64) {
        self.version += 1;
        let entry = Entry {
            sequence: self.version,
            target,
            claimed_ms,
        };
        self.entries.insert(key, entry);
    }

    /// The owner takes something away. False: it was not there.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        if self.entries.remove(key).is_none() {
            return false;
        }
        self.version += 1;
        self.remember_removed(self.version, key.clone());
        true
    }

    fn remember_removed(&mut self, sequence: u64, key: Key) {
        self.removed.push_back((sequence, key));
        while self.removed.len() > REMOVED_MAX {
            if let Some((sequence, _)) = self.removed.pop_front() {
                self.horizon = sequence;
            }
        }
    }

    /// What a copy with version `since` lacks, in portions. They have to be applied in their order.
    pub(super) fn deltas(&self, node: &NodeId, since: u64) -> Vec<Delta> {
        if since >= self.version {
            return Vec::new();
        }
        let delta = |since, version| Delta {
            node: node.clone(),
            since,
            version,
            set: Vec::new(),
            removed: Vec::new(),
        };
        let mut deltas = Vec::new();
        let mut from = since;
        if since < self.horizon {
            // What was removed until then is not known any more: so all that is left of that time.
            let mut whole = delta(None, self.horizon);
            let entries = self.entries.iter();
            let left = entries.filter(|(_, entry)| entry.sequence <= self.horizon);
            whole.set = left
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect();
            deltas.push(whole);
            from = self.horizon;
        }
        let set = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.sequence, key, Some(entry)));
        let removed = self
            .removed
            .iter()
            .map(|(sequence, key)| (*sequence, key, None));
        let mut changes: Vec<_> = set
            .chain(removed)
            .filter(|(sequence, ..)| *sequence > from)
            .collect();
        changes.sort_by_key(|(sequence, ..)| *sequence);
        let mut portions = changes.chunks(CHANGES_PER_DELTA).peekable();
        while let Some(portion) = portions.next() {
            let last = portion.last().map_or(from, |(sequence, ..)| *sequence);
            let is_last = portions.peek().is_none();
            let version = if is_last { self.version } else { last };
            let mut part = delta(Some(from), version);
            for (sequence, key, entry) in portion {
                match entry {
                    Some(entry) => part.set.push(((*key).clone(), (*entry).clone())),
                    None => part.removed.push((*sequence, (*key).clone())),
                }
            }
            deltas.push(part);
            from = version;
        }
        deltas
    }

    /// Takes over what another copy tells.
    pub(super) fn apply(&mut self, delta: Delta) -> Applied {
        if delta.version <= self.version {
            return Applied::Known;
        }
        if delta.since.is_some_and(|since| since > self.version) {
            return Applied::Gap;
        }
        let is_sound = |sequence: u64| sequence <= delta.version;
        let are_bounded = delta
            .set
            .iter()
            .all(|(key, entry)| is_bounded(key, &entry.target) && is_sound(entry.sequence))
            && delta
                .removed
                .iter()
                .all(|(sequence, key)| is_bounded(key, "") && is_sound(*sequence));
        let changes_max = match delta.since {
            None => ENTRIES_MAX,
            Some(_) => CHANGES_PER_DELTA,
        };
        if !are_bounded || delta.set.len() + delta.removed.len() > changes_max {
            return Applied::Refused;
        }
        let mut changed = Vec::new();
        if delta.since.is_none() {
            changed.extend(self.entries.keys().cloned());
            self.entries.clear();
            self.removed.clear();
            self.horizon = delta.version;
        }
        let had = self.version;
        let is_new = |sequence: u64| sequence > had || delta.since.is_none();
        for (sequence, key) in delta.removed {
            if !is_new(sequence) {
                continue;
            }
            if self
                .entries
                .get(&key)
                .is_some_and(|entry| entry.sequence < sequence)
            {
                self.entries.remove(&key);
            }
            self.remember_removed(sequence, key.clone());
            changed.push(key);
        }
        for (key, entry) in delta.set {
            if is_new(entry.sequence) && self.entries.len() < ENTRIES_MAX {
                changed.push(key.clone());
                self.entries.insert(key, entry);
            }
        }
        self.version = delta.version;
        changed.sort();
        changed.dedup();
        Applied::Changed(changed)
    }
}

/// Whether somebody who keeps the rules may have entered it.
fn is_bounded(key: &Key, holder: &str) -> bool {
    let (topic, target) = match key {
        Key::Group { group, target } => (group, target.as_str()),
        Key::Name { name } => (name, holder),
    };
    topic.len() <= TOPIC_BYTES_MAX && target.len() <= TARGET_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{BootUid, NodeName, Rng};

    fn owner() -> NodeId {
        NodeId {
            name: NodeName::new("owner").unwrap(),
            boot: BootUid(1),
        }
    }

    fn key(number: usize) -> Key {
        Key::Group {
            group: format!("g{}", number % 3),
            target: format!("t{number}"),
        }
    }

    #[test]
    fn any_copy_brings_any_older_copy_up_to_date() {
        for seed in 0..60 {
            let mut rng = Rng::new(seed);
            let mut original = Shelf::default();
            let mut copies = vec![Shelf::default(); 4];
            // Many removals, so that some copies fall behind the horizon.
            for _ in 0..6000 {
                let key = key(rng.below(if seed % 2 == 0 { 12 } else { 700 }));
                match rng.chance(0.5) {
                    true => original.set(key, String::new(), 0),
                    false => drop(original.remove(&key)),
                }
                if rng.chance(0.01) {
                    let to = rng.below(copies.len());
                    let from = match rng.chance(0.5) {
                        true => original.clone(),
                        false => copies[rng.below(copies.len())].clone(),
                    };
                    for delta in from.deltas(&owner(), copies[to].version()) {
                        let applied = copies[to].apply(delta);
                        assert!(
                            matches!(applied, Applied::Changed(_)),
                            "seed {seed}: {applied:?}"
                        );
                    }
                    assert!(copies[to].version() >= from.version(), "seed {seed}");
                }
            }
            for copy in &mut copies {
                for delta in original.deltas(&owner(), copy.version()) {
                    copy.apply(delta);
                }
                assert_eq!(copy.entries, original.entries, "seed {seed}");
            }
        }
    }

    #[test]
    fn what_comes_twice_late_or_with_something_missing_before_it_changes_nothing() {
        let mut original = Shelf::default();
        original.set(key(1), String::new(), 0);
        let first = original.deltas(&owner(), 0).remove(0);
        original.remove(&key(1));
        let second = original.deltas(&owner(), 1).remove(0);
        original.set(key(2), String::new(), 0);
        let third = original.deltas(&owner(), 2).remove(0);

        let mut copy = Shelf::default();
        copy.apply(first.clone());
        assert_eq!(copy.apply(third.clone()), Applied::Gap);
        assert_eq!(copy.count(), 1);
        assert_eq!(copy.apply(second), Applied::Changed(vec![key(1)]));
        assert_eq!(copy.apply(third), Applied::Changed(vec![key(2)]));
        assert_eq!(copy.apply(first), Applied::Known);
        assert_eq!(copy.entries, original.entries);
    }

    #[test]
    fn what_breaks_a_bound_is_refused() {
        let mut original = Shelf::default();
        original.set(key(1), String::new(), 0);
        let delta = original.deltas(&owner(), 0).remove(0);
        let too_long = Key::Name {
            name: "n".repeat(TOPIC_BYTES_MAX + 1),
        };
        let refused = |change: &dyn Fn(&mut Delta)| {
            let mut delta = delta.clone();
            change(&mut delta);
            let mut copy = Shelf::default();
            assert_eq!(copy.apply(delta), Applied::Refused);
            assert_eq!(copy.version(), 0);
        };
        refused(&|delta| delta.set[0].0 = too_long.clone());
        refused(&|delta| delta.removed.push((1, too_long.clone())));
        // From a version that the shelf has not reached yet.
        refused(&|delta| delta.set[0].1.sequence = 2);
        refused(&|delta| delta.removed.push((2, key(2))));
    }
}
