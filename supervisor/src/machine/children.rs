//! The children of one supervisor: a slab, linked in start order, with an index of ids.
//!
//! Everything that happens to one child costs constant time, however many siblings it has. A key carries the serial
//! number of its child, so that it never means a later child in the same slot. Counts are kept as the status of a
//! child changes, in [`Children::set_status`], the only place where it does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{ChildCounts, ChildRole, ChildSpec, Timer};

const NONE: u32 = u32::MAX;

/// The name of a child within its supervisor, never used again for another child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildKey {
    index: u32,
    serial: u32,
}

impl ChildKey {
    /// The place of the child in a table; taken over by another child when this one is gone.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// What a child does just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// No incarnation runs and none is due (OTP: `undefined`).
    Stopped,
    /// No incarnation runs; one is due when the restart of a failed sibling gets to it (OTP: `undefined`).
    AwaitingGroup,
    /// An incarnation starts.
    Starting,
    /// An incarnation runs.
    Running,
    /// An incarnation was told to stop.
    Stopping,
    /// An incarnation has ended, and the supervisor has not come round to it yet.
    Ended,
    /// The child failed and is about to be started again (OTP: `restarting`).
    Restarting,
}

impl Status {
    /// Whether an incarnation exists that has not ended.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Status::Starting | Status::Running | Status::Stopping)
    }

    /// What OTP calls `undefined`.
    #[must_use]
    pub fn is_without_instance(self) -> bool {
        matches!(self, Status::Stopped | Status::AwaitingGroup)
    }
}

/// A child, as the machine knows it.
#[derive(Debug)]
pub struct Child<H, R> {
    pub(crate) spec: ChildSpec,
    pub(crate) handle: H,
    pub(crate) generation: u64,
    status: Status,
    /// The latest failures, oldest first; at most [`Child::FAILURES_KEPT`].
    failures: Vec<Failed<R>>,
    pub(crate) restarts: u64,
    pub(crate) failures_in_a_row: u32,
    /// When the first of these was.
    pub(crate) failing_since: Option<Duration>,
    pub(crate) started_at: Duration,
    /// Whether this incarnation did not start in time: whatever it says now, it will be dead.
    pub(crate) is_start_overdue: bool,
    /// Why the incarnation ended, while the status is `Ended`.
    pub(crate) ended_with: Option<R>,
    /// The end of the backoff, while the status is `Restarting`.
    pub(crate) backoff_timer: Option<Timer>,
}

/// An entry of a child's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed<R> {
    /// The incarnation that failed.
    pub generation: u64,
    /// When, on the clock of `now`.
    pub at: Duration,
    /// Why.
    pub reason: R,
}

impl<H, R> Child<H, R> {
    /// How many failures the history of a child holds.
    pub const FAILURES_KEPT: usize = 8;

    /// The specification.
    #[must_use]
    pub fn spec(&self) -> &ChildSpec {
        &self.spec
    }

    /// What the shell gave with the specification.
    #[must_use]
    pub fn handle(&self) -> &H {
        &self.handle
    }

    /// The present or latest incarnation, counted from 1; 0 before the first start.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the child does just now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// How often it was started again because it or a sibling failed.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The latest ends that led to a restart or were failures, oldest first.
    #[must_use]
    pub fn failures(&self) -> &[Failed<R>] {
        &self.failures
    }

    pub(crate) fn record_failure(&mut self, at: Duration, reason: R) {
        if self.failures.len() == Self::FAILURES_KEPT {
            self.failures.remove(0);
        }
        self.failures.push(Failed {
            generation: self.generation,
            at,
            reason,
        });
    }
}

#[derive(Debug)]
struct Slot<H, R> {
    serial: u32,
    earlier: u32,
    /// The next child in start order; in a free slot, the next free one.
    later: u32,
    child: Option<Child<H, R>>,
}

/// The children of one supervisor.
#[derive(Debug)]
pub(crate) struct Children<H, R> {
    slots: Vec<Slot<H, R>>,
    by_id: HashMap<Arc<str>, u32>,
    first: u32,
    last: u32,
    first_free: u32,
    ids_are_unique: bool,
    len: usize,
    supervisors: usize,
    active: usize,
    significant_present: usize,
}

impl<H, R> Children<H, R> {
    pub(crate) fn new(ids_are_unique: bool) -> Self {
        Children {
            slots: Vec::new(),
            by_id: HashMap::new(),
            first: NONE,
            last: NONE,
            first_free: NONE,
            ids_are_unique,
            len: 0,
            supervisors: 0,
            active: 0,
            significant_present: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Significant children that run or are about to run again.
    pub(crate) fn significant_present(&self) -> usize {
        self.significant_present
    }

    pub(crate) fn counts(&self) -> ChildCounts {
        ChildCounts {
            specs: if self.ids_are_unique { self.len } else { 1 },
            active: self.active,
            supervisors: self.supervisors,
            workers: self.len - self.supervisors,
        }
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<ChildKey> {
        self.by_id.get(id).map(|index| self.key(*index))
    }

    pub(crate) fn get(&self, key: ChildKey) -> Option<&Child<H, R>> {
        let slot = self.slots.get(key.index())?;
        slot.child.as_ref().filter(|_| slot.serial == key.serial)
    }

    pub(crate) fn get_mut(&mut self, key: ChildKey) -> Option<&mut Child<H, R>> {
        let slot = self.slots.get_mut(key.index())?;
        slot.child.as_mut().filter(|_| slot.serial == key.serial)
    }

    /// Adds a child after all others, if its id is free.
    pub(crate) fn push(&mut self, spec: ChildSpec, handle: H) -> Option<ChildKey> {
        if self.ids_are_unique && self.by_id.contains_key(&spec.id) {
            return None;
        }
        let index = match self.first_free {
            NONE => {
                let index = u32::try_from(self.slots.len())
                    .ok()
                    .filter(|index| *index != NONE)?;
                self.slots.push(Slot {
                    serial: 0,
                    earlier: NONE,
                    later: NONE,
                    child: None,
                });
                index
            }
            free => {
                self.first_free = self.slots[free as usize].later;
                free
            }
        };
        if self.ids_are_unique {
            self.by_id.insert(spec.id.clone(), index);
        }
        self.len += 1;
        self.supervisors += usize::from(spec.role == ChildRole::Supervisor);
        self.slots[index as usize].child = Some(Child {
            spec,
            handle,
            generation: 0,
            status: Status::Stopped,
            failures: Vec::new(),
            restarts: 0,
            failures_in_a_row: 0,
            failing_since: None,
            started_at: Duration::ZERO,
            is_start_overdue: false,
            ended_with: None,
            backoff_timer: None,
        });
        self.link_last(index);
        Some(self.key(index))
    }

    pub(crate) fn remove(&mut self, key: ChildKey) -> Option<Child<H, R>> {
        self.get(key)?;
        self.set_status(key, Status::Stopped);
        let first_free = self.first_free;
        let slot = &mut self.slots[key.index()];
        let child = slot.child.take()?;
        let (earlier, later) = (slot.earlier, slot.later);
        slot.serial = slot.serial.wrapping_add(1);
        slot.later = first_free;
        self.first_free = key.index;
        match earlier {
            NONE => self.first = later,
            earlier => self.slots[earlier as usize].later = later,
        }
        match later {
            NONE => self.last = earlier,
            later => self.slots[later as usize].earlier = earlier,
        }
        self.by_id.remove(&child.spec.id);
        self.len -= 1;
        self.supervisors -= usize::from(child.spec.role == ChildRole::Supervisor);
        Some(child)
    }

    /// The only place where a status changes. A key that is out of date changes nothing.
    pub(crate) fn set_status(&mut self, key: ChildKey, status: Status) {
        let Some(child) = self.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut child.status, status);
        let significant = child.spec.significant;
        let count = |total: &mut usize, was: bool, is: bool| match (was, is) {
            (false, true) => *total += 1,
            (true, false) => *total -= 1,
            _ => {}
        };
        count(
            &mut self.active,
            before == Status::Running,
            status == Status::Running,
        );
        if significant {
            let present = |status: Status| !status.is_without_instance();
            count(
                &mut self.significant_present,
                present(before),
                present(status),
            );
        }
    }

    /// Gives a child another specification with the same id. A key that is out of date changes nothing.
    pub(crate) fn set_spec(&mut self, key: ChildKey, spec: ChildSpec) {
        let Some(child) = self.get_mut(key) else {
            return;
        };
        let is_present = !child.status.is_without_instance();
        let before = std::mem::replace(&mut child.spec, spec);
        let (role, significant) = (child.spec.role, child.spec.significant);
        let is_supervisor = |role| usize::from(role == ChildRole::Supervisor);
        self.supervisors = self.supervisors + is_supervisor(role) - is_supervisor(before.role);
        if is_present {
            self.significant_present = self.significant_present + usize::from(significant)
                - usize::from(before.significant);
        }
    }

    pub(crate) fn first(&self) -> Option<ChildKey> {
        self.some_key(self.first)
    }

    pub(crate) fn last(&self) -> Option<ChildKey> {
        self.some_key(self.last)
    }

    pub(crate) fn later(&self, key: ChildKey) -> Option<ChildKey> {
        self.get(key)?;
        self.some_key(self.slots[key.index()].later)
    }

    pub(crate) fn earlier(&self, key: ChildKey) -> Option<ChildKey> {
        self.get(key)?;
        self.some_key(self.slots[key.index()].earlier)
    }

    pub(crate) fn iter_in_start_order(&self) -> impl Iterator<Item = (ChildKey, &Child<H, R>)> {
        std::iter::successors(self.first(), |key| self.later(*key))
            .filter_map(|key| self.get(key).map(|child| (key, child)))
    }

    /// Links the children in another order; those that `order` does not name follow in their old order.
    pub(crate) fn reorder(&mut self, order: &[ChildKey]) {
        let mut linked = vec![false; self.slots.len()];
        let mut in_order = Vec::with_capacity(self.len);
        let old_order: Vec<_> = self.iter_in_start_order().map(|(key, _)| key).collect();
        for key in order.iter().copied().chain(old_order) {
            if self.get(key).is_some() && !std::mem::replace(&mut linked[key.index()], true) {
                in_order.push(key.index);
            }
        }
        (self.first, self.last) = (NONE, NONE);
        for index in in_order {
            self.link_last(index);
        }
    }

    fn link_last(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.earlier = self.last;
        slot.later = NONE;
        match self.last {
            NONE => self.first = index,
            last => self.slots[last as usize].later = index,
        }
        self.last = index;
    }

    fn some_key(&self, index: u32) -> Option<ChildKey> {
        (index != NONE).then(|| self.key(index))
    }

    fn key(&self, index: u32) -> ChildKey {
        ChildKey {
            index,
            serial: self.slots[index as usize].serial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(children: &Children<(), ()>) -> String {
        children
            .iter_in_start_order()
            .map(|(_, child)| &*child.spec.id)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn start_order_survives_removal_and_reuse_of_slots() {
        let mut children = Children::new(true);
        let add =
            |children: &mut Children<(), ()>, id: &str| children.push(ChildSpec::worker(id), ());
        let keys: Vec<_> = ["a", "b", "c"]
            .map(|id| add(&mut children, id).expect("the id is free"))
            .into();
        children.reorder(&[keys[2]]);
        assert_eq!(ids(&children), "c a b");
        children.reorder(&keys);
        assert_eq!(ids(&children), "a b c");
        assert!(children.remove(keys[1]).is_some());
        assert_eq!(ids(&children), "a c");
        let d = add(&mut children, "d").expect("the id is free");
        assert_eq!(ids(&children), "a c d");
        assert_eq!(d.index(), keys[1].index());
        assert!(
            children.get(keys[1]).is_none(),
            "a dead key does not mean the child that took over its slot"
        );
        assert!(add(&mut children, "a").is_none(), "the id is taken");
        for key in [keys[0], keys[2], d] {
            assert!(children.remove(key).is_some());
        }
        assert_eq!((ids(&children), children.len()), (String::new(), 0));
        assert_eq!((children.first(), children.last()), (None, None));
    }
}
