//! Notices that wait to be passed on, those that have arrived, and which ones have been seen.
//!
//! Rules:
//! - A notice is new once: of each origin the numbers seen are kept in a window, and whatever is too old for it counts as seen.
//! - Of one origin and name only the newest waits; an older one that arrives while it waits is not new any more.
//! - Everything is bounded. What gives way to a bound is counted by the caller, who is told.
//! - Least often sent first, and the longest waiting first among those.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::identity::{BootUid, NodeId, NodeName};
use super::notice::{NOTICES_OF_ONES_OWN_MAX, Notice};
use crate::window::Window;

/// How many notices wait to be passed on, one's own among them.
pub(super) const WAITING_MAX: usize = 512;
/// How many that have arrived wait for the owner of the machine.
const ARRIVED_MAX: usize = 1024;
/// Of how many origins the numbers are remembered: about 250 bytes each.
const ORIGINS_MAX: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    sent: u32,
    stamp: u64,
}

#[derive(Debug)]
struct Waiting {
    notice: Notice,
    is_own: bool,
}

#[derive(Debug)]
struct Heard {
    boot: BootUid,
    numbers: Window,
    at: Duration,
}

/// What became of a notice that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is news, and waits for the owner and to be passed on.
    New,
    /// It was here before, or is so old that nobody knows.
    Repeated,
    /// A newer one of its origin and name waits here, or a later process of its origin has spoken.
    Superseded,
    /// Too many origins have spoken lately.
    NoRoom,
}

/// How many notices gave way to a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GaveWay {
    /// Replaced by a newer one of the same origin and name before they had been sent to the end.
    pub(super) replaced: u64,
    /// Passed on less often than they should have been: too many waited.
    pub(super) cut_short: u64,
    /// Not taken by the owner of the machine.
    pub(super) unread: u64,
}

#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: BTreeMap<Rank, Waiting>,
    named: BTreeMap<(NodeName, Arc<str>), Rank>,
    next_stamp: u64,
    own: usize,
    posted: u64,
    heard: BTreeMap<NodeName, Heard>,
    arrived: VecDeque<Notice>,
}

impl Notices {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How often the most-sent one has been sent.
    pub(super) fn sent_max(&self) -> u32 {
        self.waiting
            .last_key_value()
            .map_or(0, |(rank, _)| rank.sent)
    }

    /// Whether one more of one's own can wait. One that replaces an earlier one needs no room.
    pub(super) fn has_room(&self, me: &NodeId, name: &Arc<str>) -> bool {
        let replaces = self.named.contains_key(&(me.name.clone(), name.clone()));
        self.own < NOTICES_OF_ONES_OWN_MAX || replaces
    }

    /// Queues one of one's own, and says which number it got. The caller has looked whether there is room.
    pub(super) fn post(
        &mut self,
        me: &NodeId,
        name: Arc<str>,
        payload: Arc<[u8]>,
    ) -> (u64, GaveWay) {
        self.posted += 1;
        let notice = Notice {
            origin: me.clone(),
            number: self.posted,
            name,
            payload,
            unknown: [].into(),
        };
        let gave_way = self.queue(notice, true);
        (self.posted, gave_way)
    }

    /// Takes in what came in a packet.
    pub(super) fn arrive(&mut self, now: Duration, notice: &Notice) -> (Arrival, GaveWay) {
        let none = GaveWay::default();
        let is_stranger = !self.heard.contains_key(&notice.origin.name);
        if is_stranger && self.heard.len() >= ORIGINS_MAX {
            return (Arrival::NoRoom, none);
        }
        let new = || Heard {
            boot: notice.origin.boot,
            numbers: Window::starting_with(0),
            at: now,
        };
        let name = notice.origin.name.clone();
        let heard = self.heard.entry(name).or_insert_with(new);
        match notice.origin.boot.cmp(&heard.boot) {
            std::cmp::Ordering::Less => return (Arrival::Superseded, none),
            std::cmp::Ordering::Greater => *heard = new(),
            std::cmp::Ordering::Equal => {}
        }
        if !heard.numbers.accept(notice.number) {
            return (Arrival::Repeated, none);
        }
        heard.at = now;
        let held = self.named_like(notice);
        if let Some(held) = held.and_then(|rank| self.waiting.get(&rank))
            && age(&held.notice) > age(notice)
        {
            return (Arrival::Superseded, none);
        }
        let mut gave_way = self.queue(notice.clone(), false);
        if self.arrived.len() >= ARRIVED_MAX {
            self.arrived.pop_front();
            gave_way.unread += 1;
        }
        self.arrived.push_back(notice.clone());
        (Arrival::New, gave_way)
    }

    /// The next for the owner.
    pub(super) fn take(&mut self) -> Option<Notice> {
        self.arrived.pop_front()
    }

    /// The first `limit` that wait, in order.
    pub(super) fn first(&self, limit: usize) -> Vec<(Rank, Notice)> {
        let first = self.waiting.iter().take(limit);
        first
            .map(|(rank, waiting)| (*rank, waiting.notice.clone()))
            .collect()
    }

    /// Counts a transmission, the last of `allowed` of which ends the wait.
    pub(super) fn sent(&mut self, rank: Rank, allowed: u32) {
        let Some(waiting) = self.remove(rank) else {
            return;
        };
        let rank = Rank {
            sent: rank.sent + 1,
            ..rank
        };
        if rank.sent < allowed {
            self.put(rank, waiting);
        }
    }

    /// Drops what waits, and says how many that were.
    pub(super) fn clear_waiting(&mut self) -> u64 {
        let dropped = self.waiting.len() as u64;
        self.waiting.clear();
        self.named.clear();
        self.own = 0;
        dropped
    }

    /// Forgets the numbers of origins that have been silent since `before`.
    pub(super) fn forget_silent(&mut self, before: Duration) {
        self.heard.retain(|_, heard| heard.at >= before);
    }

    /// The one of the same origin and name that waits.
    fn named_like(&self, notice: &Notice) -> Option<Rank> {
        let key = (notice.origin.name.clone(), notice.name.clone());
        self.named.get(&key).copied()
    }

    fn queue(&mut self, notice: Notice, is_own: bool) -> GaveWay {
        let mut gave_way = GaveWay::default();
        if let Some(rank) = self.named_like(&notice) {
            gave_way.replaced += u64::from(self.remove(rank).is_some());
        }
        if self.waiting.len() >= WAITING_MAX {
            gave_way.cut_short += u64::from(self.cut_one_short());
        }
        let rank = Rank {
            sent: 0,
            stamp: self.next_stamp,
        };
        self.next_stamp += 1;
        self.put(rank, Waiting { notice, is_own });
        gave_way
    }

    /// Whichever has been sent most often has reached most others. One's own are few, and stay.
    fn cut_one_short(&mut self) -> bool {
        let mut from_last = self.waiting.iter().rev();
        let most_sent = from_last.find(|(_, waiting)| !waiting.is_own);
        let rank = most_sent.map(|(rank, _)| *rank);
        rank.is_some_and(|rank| self.remove(rank).is_some())
    }

    fn put(&mut self, rank: Rank, waiting: Waiting) {
        self.own += usize::from(waiting.is_own);
        let notice = &waiting.notice;
        if !notice.name.is_empty() {
            let key = (notice.origin.name.clone(), notice.name.clone());
            self.named.insert(key, rank);
        }
        self.waiting.insert(rank, waiting);
    }

    fn remove(&mut self, rank: Rank) -> Option<Waiting> {
        let waiting = self.waiting.remove(&rank)?;
        self.own -= usize::from(waiting.is_own);
        let notice = &waiting.notice;
        self.named
            .remove(&(notice.origin.name.clone(), notice.name.clone()));
        Some(waiting)
    }
}

/// Of two notices of one origin the greater is the newer.
fn age(notice: &Notice) -> (BootUid, u64) {
    (notice.origin.boot, notice.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(name: &str, boot: u64) -> NodeId {
        NodeId {
            name: NodeName::new(name).unwrap(),
            boot: BootUid(boot),
        }
    }

    fn notice(origin: NodeId, number: u64, name: &str) -> Notice {
        Notice {
            origin,
            number,
            name: name.into(),
            payload: [].into(),
            unknown: [].into(),
        }
    }

    fn arrive(notices: &mut Notices, notice: &Notice) -> Arrival {
        notices.arrive(Duration::ZERO, notice).0
    }

    #[test]
    fn a_notice_is_new_once_in_whatever_order_they_come() {
        let mut notices = Notices::default();
        let mut check = |boot, number, expected| {
            let notice = notice(origin("a", boot), number, "");
            assert_eq!(arrive(&mut notices, &notice), expected, "{boot} {number}");
        };
        check(5, 2, Arrival::New);
        check(5, 1, Arrival::New);
        check(5, 2, Arrival::Repeated);
        check(5, 1, Arrival::Repeated);
        check(5, 0, Arrival::Repeated);
        check(5, 5000, Arrival::New);
        check(5, 3, Arrival::Repeated); // too old to tell
        check(6, 1, Arrival::New);
        check(5, 5001, Arrival::Superseded);
        check(6, 1, Arrival::Repeated);
    }

    #[test]
    fn the_newest_of_a_name_replaces_the_one_that_waits_and_an_older_one_is_no_news() {
        let mut notices = Notices::default();
        let a = origin("a", 1);
        let check = |notices: &mut Notices, notice: Notice, expected, waiting| {
            assert_eq!(arrive(notices, &notice), expected, "{notice:?}");
            assert_eq!(notices.len(), waiting, "{notice:?}");
        };
        check(&mut notices, notice(a.clone(), 2, "k"), Arrival::New, 1);
        check(&mut notices, notice(a.clone(), 4, "k"), Arrival::New, 1);
        check(
            &mut notices,
            notice(a.clone(), 3, "k"),
            Arrival::Superseded,
            1,
        );
        check(&mut notices, notice(a.clone(), 5, "l"), Arrival::New, 2);
        check(
            &mut notices,
            notice(origin("b", 1), 1, "k"),
            Arrival::New,
            3,
        );
        check(&mut notices, notice(a.clone(), 6, ""), Arrival::New, 4);
        check(&mut notices, notice(a, 7, ""), Arrival::New, 5);
        let taken: Vec<u64> = std::iter::from_fn(|| notices.take())
            .map(|notice| notice.number)
            .collect();
        assert_eq!(taken, [2, 4, 5, 1, 6, 7]);
    }

    #[test]
    fn one_s_own_have_a_bound_which_a_replacement_does_not_need() {
        let mut notices = Notices::default();
        let me = origin("me", 1);
        let name = |text: &str| -> Arc<str> { text.into() };
        for index in 0..NOTICES_OF_ONES_OWN_MAX {
            assert!(notices.has_room(&me, &name(&format!("{index}"))));
            let (number, _) = notices.post(&me, name(&format!("{index}")), [].into());
            assert_eq!(number, index as u64 + 1);
        }
        assert!(!notices.has_room(&me, &name("one more")));
        assert!(!notices.has_room(&me, &name("")));
        assert!(notices.has_room(&me, &name("3")));
        let (_, gave_way) = notices.post(&me, name("3"), [].into());
        assert_eq!(gave_way.replaced, 1);
        assert_eq!(notices.len(), NOTICES_OF_ONES_OWN_MAX);
        let (first, _) = notices.first(1).remove(0);
        notices.sent(first, 1);
        assert!(notices.has_room(&me, &name("one more")));
        assert_eq!(notices.clear_waiting(), NOTICES_OF_ONES_OWN_MAX as u64 - 1);
        assert!(notices.is_empty() && notices.named.is_empty() && notices.own == 0);
    }

    #[test]
    fn a_queue_that_is_full_cuts_short_what_was_sent_most_often_and_of_others() {
        let mut notices = Notices::default();
        notices.post(&origin("me", 1), "own".into(), [].into());
        let own = notices.first(1)[0].0;
        notices.sent(own, 100);
        for number in 1..WAITING_MAX as u64 {
            arrive(&mut notices, &notice(origin("a", 1), number, ""));
        }
        let sent_twice = notices.first(1)[0].clone();
        notices.sent(sent_twice.0, 100);
        let (_, gave_way) = notices.arrive(Duration::ZERO, &notice(origin("b", 1), 1, ""));
        assert_eq!((gave_way.cut_short, notices.len()), (1, WAITING_MAX));
        let waits = |number: u64, of: &str| {
            let all = notices.first(usize::MAX);
            all.iter()
                .any(|(_, held)| held.number == number && held.origin.name.as_str() == of)
        };
        assert!(waits(1, "me") && waits(1, "b"));
        assert!(!waits(sent_twice.1.number, "a"));
    }

    #[test]
    fn memory_is_bounded_whoever_says_whatever() {
        let mut notices = Notices::default();
        let mut refused = 0;
        for index in 0..2 * ORIGINS_MAX {
            let from = origin(&format!("n{index}"), 1);
            match arrive(&mut notices, &notice(from, 1, "k")) {
                Arrival::New => {}
                other => {
                    assert_eq!(other, Arrival::NoRoom);
                    refused += 1;
                }
            }
        }
        assert_eq!(refused, ORIGINS_MAX);
        assert_eq!(
            (notices.len(), notices.named.len(), notices.arrived.len()),
            (WAITING_MAX, WAITING_MAX, ARRIVED_MAX)
        );
        notices.forget_silent(Duration::from_secs(1));
        let again = notice(origin("n9000", 1), 1, "");
        assert_eq!(arrive(&mut notices, &again), Arrival::New);
    }

    #[test]
    fn the_least_often_sent_goes_first_and_each_ends_after_its_transmissions() {
        let mut notices = Notices::default();
        for number in 1..=2 {
            arrive(&mut notices, &notice(origin("a", 1), number, ""));
        }
        let mut order = Vec::new();
        while let Some((rank, notice)) = notices.first(1).into_iter().next() {
            order.push(notice.number);
            notices.sent(rank, 3);
        }
        assert_eq!(order, [1, 2, 1, 2, 1, 2]);
    }
}
