//! The other members: one row for each name, grouped by what is believed, with digests kept up to date.
//!
//! Rules:
//! - All changes of a claim go through [`Table::set_claim`] and [`Table::replace`], so that groups, digests and rows cannot disagree.
//! - The order of every list follows from the order of changes alone; the hash map is only looked up in, never walked.
//! - A row's digest does not depend on who accused whom, and a member that is down has none: tables that differ only in what they have
//!   already forgotten are equal.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::claim::{Claim, State, Update};
use super::event::MemberInfo;
use super::identity::{BootUid, NodeId, NodeName};
use super::metadata::Record;
use super::rng::{hash_bytes, mix};
use super::suspicion::Suspicion;
use super::timers::Moment;
use super::wire::BUCKETS;
use hashbrown::HashTable;

/// Place of a row. Valid until the row is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(u32);

impl Slot {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is believed of a member, coarsely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Alive or suspect: probed, gossiped to, counted.
    Live,
    /// Unreachable: re-contacted.
    Unreachable,
    /// Down: remembered, so that late news do not revive it.
    Down,
}

fn group_of(claim: &Claim) -> Group {
    match claim.state() {
        State::Alive | State::Suspect => Group::Live,
        State::Unreachable => Group::Unreachable,
        State::Down(_) => Group::Down,
    }
}

/// A row.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) incarnation: u64,
    pub(super) claim: Claim,
    pub(super) record: Arc<Record>,
    pub(super) unknown: Box<[u8]>,
    /// Present exactly while the claim is `Suspect`.
    pub(super) suspicion: Option<Box<Suspicion>>,
    /// When a packet of exactly this boot last arrived here whose sender saw the cluster just as this machine did.
    pub(super) agreed_at: Option<Moment>,
    /// When the youngest ping was sent that this boot has answered.
    pub(super) answered_at: Option<Moment>,
    /// Its host says that the process is gone. Present only while it is unreachable.
    pub(super) refused: bool,
    /// How often it was accused and came back since it was last left in peace for long.
    pub(super) returns: u8,
    /// Since when the state is what it is.
    pub(super) since: Moment,
    /// Since when this boot is known.
    pub(super) known_since: Moment,
    position_in_group: u32,
}

impl Member {
    pub(super) fn state(&self) -> State {
        self.claim.state()
    }

    /// Whether it was known here before its state became what it is: if it is lost, whether it was lost in this process's own time.
    pub(super) fn was_known_otherwise(&self) -> bool {
        self.since > self.known_since
    }

    pub(super) fn info(&self) -> MemberInfo {
        MemberInfo {
            id: self.id.clone(),
            state: self.state(),
            incarnation: self.incarnation,
            record: self.record.clone(),
            since: self.since.into(),
        }
    }

    /// The row as an update.
    pub(super) fn update(&self, with_record: bool) -> Update {
        Update {
            name: self.id.name.clone(),
            boot: self.id.boot,
            incarnation: self.incarnation,
            claim: self.claim.clone(),
            record: with_record.then(|| self.record.clone()),
            unknown: self.unknown.clone(),
        }
    }

    fn digest(&self) -> u64 {
        match group_of(&self.claim) {
            Group::Live => row_digest(&self.id, self.incarnation, false, self.record.version),
            Group::Unreachable => row_digest(&self.id, self.incarnation, true, self.record.version),
            Group::Down => 0,
        }
    }
}

/// Fingerprint of a row.
pub(super) fn row_digest(
    id: &NodeId,
    incarnation: u64,
    unreachable: bool,
    record_version: u64,
) -> u64 {
    let word = mix(hash_bytes(id.name.as_str().as_bytes()) ^ id.boot.0);
    let word = mix(word ^ (incarnation << 1) ^ u64::from(unreachable));
    mix(word ^ record_version.rotate_left(32))
}

/// In which bucket of anti-entropy a name lies.
pub(super) fn bucket_of(name: &NodeName) -> usize {
    hash_bytes(name.as_str().as_bytes()) as usize % BUCKETS
}

#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Option<Member>>,
    free: Vec<Slot>,
    /// By the hash of the row's name: the names themselves are in the rows.
    by_name: HashTable<Slot>,
    hasher: RandomState,
    groups: [Vec<Slot>; 3],
    buckets: [u64; BUCKETS],
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            free: Vec::new(),
            by_name: HashTable::new(),
            hasher: RandomState::new(),
            groups: Default::default(),
            buckets: [0; BUCKETS],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn find(&self, name: &NodeName) -> Option<Slot> {
        let hash = self.hasher.hash_one(name);
        self.by_name
            .find(hash, |slot| self.is_named(*slot, name))
            .copied()
    }

    fn is_named(&self, slot: Slot, name: &NodeName) -> bool {
        self.get(slot).is_some_and(|member| member.id.name == *name)
    }

    /// Room for so many more rows, and no more.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.rows.reserve_exact(rows);
        self.groups[Group::Live as usize].reserve_exact(rows);
    }

    /// The row of exactly this boot.
    pub(super) fn find_boot(&self, id: &NodeId) -> Option<Slot> {
        self.find(&id.name)
            .filter(|slot| self.boot(*slot) == id.boot)
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Member> {
        self.rows.get(slot.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Member> {
        self.rows.get_mut(slot.index())?.as_mut()
    }

    fn boot(&self, slot: Slot) -> BootUid {
        self.get(slot).map_or(BootUid(0), |member| member.id.boot)
    }

    /// Members of a group, in an order that means nothing.
    pub(super) fn group(&self, group: Group) -> &[Slot] {
        &self.groups[group as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Member)> {
        self.rows
            .iter()
            .enumerate()
            .filter_map(|(index, row)| Some((Slot(index as u32), row.as_ref()?)))
    }

    pub(super) fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// A new row, for a name that has none.
    pub(super) fn insert(&mut self, update: &Update, record: Arc<Record>, now: Duration) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            Slot((self.rows.len() - 1) as u32)
        });
        let group = group_of(&update.claim);
        let member = Member {
            id: NodeId {
                name: update.name.clone(),
                boot: update.boot,
            },
            incarnation: update.incarnation,
            claim: update.claim.clone(),
            record,
            unknown: update.unknown.clone(),
            suspicion: None,
            agreed_at: None,
            answered_at: None,
            refused: false,
            returns: 0,
            since: now.into(),
            known_since: now.into(),
            position_in_group: self.groups[group as usize].len() as u32,
        };
        self.groups[group as usize].push(slot);
        self.buckets[bucket_of(&update.name)] ^= member.digest();
        self.rows[slot.index()] = Some(member);
        let (rows, hasher) = (&self.rows, &self.hasher);
        let hash_of = |slot: &Slot| {
            let row = rows.get(slot.index()).and_then(Option::as_ref);
            row.map_or(0, |member| hasher.hash_one(&member.id.name))
        };
        self.by_name
            .insert_unique(hasher.hash_one(&update.name), slot, hash_of);
        slot
    }

    /// Puts a greater boot in the place of a smaller one.
    pub(super) fn replace(
        &mut self,
        slot: Slot,
        update: &Update,
        record: Arc<Record>,
        now: Duration,
    ) {
        self.change(slot, |member| {
            member.id.boot = update.boot;
            member.incarnation = update.incarnation;
            member.claim = update.claim.clone();
            member.record = record;
            member.unknown = update.unknown.clone();
            member.suspicion = None;
            member.agreed_at = None;
            member.answered_at = None;
            member.refused = false;
            member.since = now.into();
            member.known_since = now.into();
        });
    }

    /// Changes what is believed of the boot in a row.
    pub(super) fn set_claim(&mut self, slot: Slot, incarnation: u64, claim: Claim, now: Duration) {
        self.change(slot, |member| {
            if member.claim.state() != claim.state() {
                member.since = now.into();
            }
            if claim.state() != State::Unreachable {
                member.refused = false;
            }
            if claim.state() != State::Suspect {
                member.suspicion = None;
            }
            // A verdict of down may come from one that has seen less of the subject.
            member.incarnation = member.incarnation.max(incarnation);
            member.claim = claim;
        });
    }

    pub(super) fn set_record(&mut self, slot: Slot, record: Arc<Record>) {
        self.change(slot, |member| member.record = record);
    }

    fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.rows.get_mut(slot.index()).and_then(Option::as_mut) else {
            return;
        };
        let bucket = bucket_of(&member.id.name);
        let (digest_before, group_before) = (member.digest(), group_of(&member.claim));
        change(member);
        self.buckets[bucket] ^= digest_before ^ member.digest();
        let group = group_of(&member.claim);
        if group != group_before {
            self.leave_group(slot, group_before);
            let joined = &mut self.groups[group as usize];
            joined.push(slot);
            let position = (joined.len() - 1) as u32;
            if let Some(member) = self.get_mut(slot) {
                member.position_in_group = position;
            }
        }
    }

    fn leave_group(&mut self, slot: Slot, group: Group) {
        let Some(position) = self.get(slot).map(|member| member.position_in_group) else {
            return;
        };
        let list = &mut self.groups[group as usize];
        list.swap_remove(position as usize);
        if let Some(moved) = list.get(position as usize).copied()
            && let Some(member) = self.get_mut(moved)
        {
            member.position_in_group = position;
        }
    }

    /// Forgets a row altogether.
    pub(super) fn forget(&mut self, slot: Slot) {
        let Some(member) = self.get(slot) else { return };
        let (name, digest, group) = (
            member.id.name.clone(),
            member.digest(),
            group_of(&member.claim),
        );
        self.leave_group(slot, group);
        self.buckets[bucket_of(&name)] ^= digest;
        let hash = self.hasher.hash_one(&name);
        if let Ok(entry) = self.by_name.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.rows[slot.index()] = None;
        self.free.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::super::claim::DownReason;
    use super::super::metadata::Metadata;
    use super::*;

    fn record(version: u64) -> Arc<Record> {
        let addr = "127.0.0.1:1".parse().unwrap();
        Arc::new(Record {
            version,
            addr,
            metadata: Metadata::default(),
            versions: super::super::wire::Versions::FIRST,
            unknown: [].into(),
        })
    }

    fn update(name: &str, boot: u64, incarnation: u64, claim: Claim) -> Update {
        let name = NodeName::new(name).unwrap();
        Update {
            name,
            boot: BootUid(boot),
            incarnation,
            claim,
            record: None,
            unknown: [].into(),
        }
    }

    fn total(table: &Table) -> u64 {
        table.buckets().iter().fold(0, |sum, bucket| sum ^ bucket)
    }

    #[test]
    fn groups_and_digests_follow_the_claims() {
        let now = Duration::ZERO;
        let b = NodeName::new("b").unwrap();
        let mut table = Table::new();
        let slots: Vec<Slot> = ["a", "b", "c"]
            .map(|name| table.insert(&update(name, 1, 0, Claim::Alive), record(0), now))
            .into();
        let all_alive = total(&table);
        table.set_claim(slots[0], 0, Claim::Suspect { accuser: b.clone() }, now);
        assert_eq!(
            total(&table),
            all_alive,
            "a mere suspicion is not a difference"
        );
        table.set_claim(slots[0], 0, Claim::Unreachable { accuser: b.clone() }, now);
        assert_eq!(
            (
                table.group(Group::Live).len(),
                table.group(Group::Unreachable).len()
            ),
            (2, 1)
        );
        assert_ne!(total(&table), all_alive);
        table.set_claim(slots[0], 1, Claim::Alive, now);
        table.set_claim(
            slots[2],
            0,
            Claim::Down {
                reason: DownReason::Left,
                decider: b,
            },
            now,
        );
        assert_eq!(table.group(Group::Down), [slots[2]]);
        table.forget(slots[2]);
        table.forget(slots[0]);
        table.forget(slots[1]);
        assert_eq!((total(&table), table.len()), (0, 0));
        assert!(table.group(Group::Live).is_empty());
    }

    #[test]
    fn tables_with_the_same_rows_have_the_same_digest_whatever_the_way_there() {
        let now = Duration::ZERO;
        let mut one = Table::new();
        one.insert(&update("a", 2, 3, Claim::Alive), record(1), now);
        let mut other = Table::new();
        let slot = other.insert(&update("a", 1, 9, Claim::Alive), record(7), now);
        other.replace(slot, &update("a", 2, 0, Claim::Alive), record(0), now);
        other.set_record(slot, record(1));
        other.set_claim(slot, 3, Claim::Alive, now);
        assert_eq!(total(&one), total(&other));
    }
}
