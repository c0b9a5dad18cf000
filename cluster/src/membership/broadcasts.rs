//! News waiting to be piggybacked, least often sent first, newest first among those.
//!
//! A subject has at most one entry, so the queue is never longer than the table. What is sent is read from the table at that moment; newer
//! news about the same subject therefore replace older ones and begin anew.
//!
//! Hearing what waits here from somebody else can count like sending it: where everybody knows already, nobody goes on telling (the counters
//! with feedback of Demers et al., "Epidemic algorithms for replicated database maintenance", 1987).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::table::Slot;

/// Whom news are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Myself,
    Member(Slot),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    transmits: u32,
    stamp: Reverse<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    rank: Rank,
    with_record: bool,
    /// Nobody waits for it.
    unhurried: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Broadcasts {
    entries: BTreeMap<Subject, Entry>,
    /// How many of them are unhurried.
    unhurried: usize,
    by_rank: BTreeSet<(Rank, Subject)>,
    next_stamp: u64,
}

impl Broadcasts {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How often the most-sent entry has been sent.
    pub(super) fn transmits_max(&self) -> u32 {
        self.by_rank.last().map_or(0, |(rank, _)| rank.transmits)
    }

    /// Queues news; a record that was waiting stays part of them.
    pub(super) fn add(&mut self, subject: Subject, with_record: bool) {
        let waiting = self.remove(subject);
        self.put_as_if_sent(subject, 0, with_record || waiting, false);
    }

    /// Queues news of which the first `sent` transmissions count as done. A record that was waiting stays part of them, and then none does.
    pub(super) fn add_briefly(&mut self, subject: Subject, sent: u32) {
        self.add_in_part(subject, sent, false);
    }

    /// The same for news that nobody waits for, unless a record was waiting.
    pub(super) fn add_unhurried(&mut self, subject: Subject, sent: u32) {
        self.add_in_part(subject, sent, true);
    }

    fn add_in_part(&mut self, subject: Subject, sent: u32, unhurried: bool) {
        match self.remove(subject) {
            true => self.put_as_if_sent(subject, 0, true, false),
            false => self.put_as_if_sent(subject, sent, false, unhurried),
        }
    }

    /// Whether nobody waits for any of these news.
    pub(super) fn all_unhurried(&self) -> bool {
        self.unhurried == self.entries.len()
    }

    /// Queues an addition to news that may still be waiting: those go on being sent as often as they would have been, and all of it at
    /// least as often as by [`add_briefly`](Self::add_briefly).
    pub(super) fn add_to(&mut self, subject: Subject, sent: u32, unhurried: bool) {
        let waiting = self.entries.get(&subject).copied();
        let with_record = self.remove(subject);
        let sent = waiting.map_or(sent, |entry| entry.rank.transmits.min(sent));
        let unhurried = unhurried && waiting.is_none_or(|entry| entry.unhurried);
        self.put_as_if_sent(subject, sent, with_record, unhurried);
    }

    fn put_as_if_sent(
        &mut self,
        subject: Subject,
        transmits: u32,
        with_record: bool,
        unhurried: bool,
    ) {
        let rank = Rank {
            transmits,
            stamp: Reverse(self.next_stamp),
        };
        self.next_stamp += 1;
        let entry = Entry {
            rank,
            with_record,
            unhurried,
        };
        self.put(subject, entry);
    }

    /// Somebody else tells what waits here. Records, which are rare, are told to the end all the same: who lacks one cannot be reached.
    pub(super) fn heard(&mut self, subject: Subject, transmits_allowed: u32) {
        if self
            .entries
            .get(&subject)
            .is_some_and(|entry| !entry.with_record)
        {
            self.sent(subject, transmits_allowed);
        }
    }

    fn put(&mut self, subject: Subject, entry: Entry) {
        self.entries.insert(subject, entry);
        self.unhurried += usize::from(entry.unhurried);
        self.by_rank.insert((entry.rank, subject));
    }

    /// Drops an entry; true if a record was waiting in it.
    pub(super) fn remove(&mut self, subject: Subject) -> bool {
        let Some(entry) = self.entries.remove(&subject) else {
            return false;
        };
        self.unhurried -= usize::from(entry.unhurried);
        self.by_rank.remove(&(entry.rank, subject));
        entry.with_record
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.unhurried = 0;
        self.by_rank.clear();
    }

    /// The first `limit` entries in order, with whether their record goes along.
    pub(super) fn first(&self, limit: usize) -> Vec<(Subject, bool)> {
        self.by_rank
            .iter()
            .take(limit)
            .map(|(_, subject)| {
                (
                    *subject,
                    self.entries
                        .get(subject)
                        .is_some_and(|entry| entry.with_record),
                )
            })
            .collect()
    }

    /// Counts a transmission, the last of `transmits_allowed` of which ends the entry.
    pub(super) fn sent(&mut self, subject: Subject, transmits_allowed: u32) {
        let Some(entry) = self.entries.get(&subject).copied() else {
            return;
        };
        self.remove(subject);
        let rank = Rank {
            transmits: entry.rank.transmits + 1,
            ..entry.rank
        };
        if rank.transmits < transmits_allowed {
            self.put(subject, Entry { rank, ..entry });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_ends_after_its_transmissions() {
        let mut queue = Broadcasts::default();
        queue.add(Subject::Myself, true);
        queue.sent(Subject::Myself, 2);
        assert_eq!((queue.len(), queue.transmits_max()), (1, 1));
        queue.sent(Subject::Myself, 2);
        assert!(queue.is_empty());
        assert_eq!(queue.first(4), []);
    }

    #[test]
    fn what_others_tell_counts_as_sent_unless_there_is_a_record_to_tell() {
        let mut queue = Broadcasts::default();
        queue.add(Subject::Myself, false);
        queue.heard(Subject::Myself, 2);
        assert_eq!((queue.len(), queue.transmits_max()), (1, 1));
        queue.heard(Subject::Myself, 2);
        assert!(queue.is_empty());
        queue.heard(Subject::Myself, 2);
        queue.add(Subject::Myself, true);
        queue.heard(Subject::Myself, 2);
        assert_eq!((queue.len(), queue.transmits_max()), (1, 0));
    }

    #[test]
    fn brief_news_are_sent_less_often_unless_a_record_was_waiting() {
        let mut queue = Broadcasts::default();
        queue.add_briefly(Subject::Myself, 1);
        queue.sent(Subject::Myself, 2);
        assert!(queue.is_empty());
        queue.add(Subject::Myself, true);
        queue.add_briefly(Subject::Myself, 1);
        assert_eq!(queue.transmits_max(), 0);
        assert_eq!(queue.first(4), [(Subject::Myself, true)]);
    }

    #[test]
    fn an_addition_does_not_cut_short_what_it_adds_to() {
        let mut queue = Broadcasts::default();
        let left_after = |queue: &mut Broadcasts| {
            queue.add_to(Subject::Myself, 7, false);
            10 - queue.transmits_max()
        };
        assert_eq!(left_after(&mut queue), 3);
        queue.add(Subject::Myself, false);
        queue.sent(Subject::Myself, 10);
        assert_eq!(left_after(&mut queue), 9);
        for _ in 0..8 {
            queue.sent(Subject::Myself, 10);
        }
        assert_eq!(left_after(&mut queue), 3);
    }

    #[test]
    fn news_that_nobody_waits_for_are_so_until_others_join_them() {
        let mut queue = Broadcasts::default();
        assert!(queue.all_unhurried());
        queue.add_unhurried(Subject::Myself, 1);
        queue.sent(Subject::Myself, 9);
        queue.add_to(Subject::Myself, 7, true);
        assert!(queue.all_unhurried());
        queue.add_to(Subject::Myself, 7, false);
        assert!(!queue.all_unhurried());
        queue.add_unhurried(Subject::Myself, 1);
        assert!(queue.all_unhurried());
        queue.clear();
        queue.add(Subject::Myself, true);
        queue.add_unhurried(Subject::Myself, 5);
        assert!(!queue.all_unhurried(), "a record is waited for");
        assert_eq!(queue.transmits_max(), 0);
    }

    #[test]
    fn newer_news_begin_anew_and_keep_a_waiting_record() {
        let mut queue = Broadcasts::default();
        queue.add(Subject::Myself, true);
        queue.sent(Subject::Myself, 9);
        queue.add(Subject::Myself, false);
        assert_eq!(queue.transmits_max(), 0);
        assert_eq!(queue.first(4), [(Subject::Myself, true)]);
    }
}
