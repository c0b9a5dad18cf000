//! Whether this member is in touch with the cluster, by what was answered, and what follows when a process is known to be gone.
//!
//! Suspicions find out about others, and take their time when nobody can confirm them, as on the small side of a split. Whoever must not go on
//! alone asks the question the other way round: did enough others answer lately? An answer counts from when its question was sent, so neither a
//! link that works in one direction alone nor a packet that waited in a buffer passes for contact.

use std::collections::VecDeque;
use std::time::Duration;

use super::gossip::Extras;
use super::{Life, Machine};
use crate::membership::claim::{Claim, State};
use crate::membership::identity::NodeId;
use crate::membership::table::{Group, Slot};
use crate::membership::timers::Timer;
use crate::membership::wire::Body;

/// Answers of so many others are enough in a cluster of any size: a side that small is found out by its suspicions.
const ENOUGH: usize = 4;
/// So many questions are remembered until they are answered.
const QUESTIONS_MAX: usize = 256;
/// For each answer that is missing so many members are asked.
const ASKED_FOR_EACH: usize = 2;

/// The pings that may still be answered, and when they were sent.
#[derive(Debug, Default)]
pub(super) struct Questions(VecDeque<(u64, Duration)>);

impl Questions {
    pub(super) fn note(&mut self, seq: u64, now: Duration) {
        if self.0.len() == QUESTIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((seq, now));
    }

    fn asked_at(&self, seq: u64) -> Option<Duration> {
        self.0
            .iter()
            .rev()
            .find(|(other, _)| *other == seq)
            .map(|(_, at)| *at)
    }
}

impl Machine {
    /// Whether so many others answered a ping that was sent within `within` that they make, with this one, more than half of the members that
    /// are not down; four are enough. A member that was not known before that counts as if it had answered. In a cluster of two, of which neither
    /// has more than half, always. After a rejoin the members of the last view before count as well, until more than half of so many are
    /// known again. Pings some if answers are about to become too few, so it has to be asked again and again, several times
    /// within `within`.
    pub fn is_in_touch(&mut self, now: Duration, within: Duration) -> bool {
        self.observe(now);
        if !matches!(self.life, Life::Up) {
            return false;
        }
        let live = self.table.group(Group::Live).to_vec();
        // Who came back may know few others yet, for example those alone that came back with it.
        if (live.len() + 1) * 2 > self.electorate {
            self.electorate = 0;
        }
        let all = 1 + live.len() + self.table.group(Group::Unreachable).len();
        let all = all.max(self.electorate);
        if all <= 2 {
            return true;
        }
        let needed = (all / 2).min(ENOUGH);
        let answered_since = |slot: &Slot, since: Duration| {
            let member = self.table.get(*slot);
            member.is_some_and(|member| member.answered_at >= Some(since.into()))
        };
        let ago = self.now.saturating_sub(within);
        let half_ago = self.now.saturating_sub(within / 2);
        let is_new = |slot: &Slot| {
            let member = self.table.get(*slot);
            member.is_some_and(|member| member.known_since >= ago.into())
        };
        let count =
            |counts: &dyn Fn(&Slot) -> bool| live.iter().filter(|slot| counts(slot)).count();
        let fresh = count(&|slot| answered_since(slot, half_ago));
        let valid = count(&|slot| answered_since(slot, ago) || is_new(slot));
        if fresh < needed {
            let mut silent: Vec<Slot> = live
                .iter()
                .copied()
                .filter(|slot| !answered_since(slot, half_ago))
                .collect();
            self.rng.shuffle(&mut silent);
            silent.truncate((needed - fresh) * ASKED_FOR_EACH);
            for slot in silent {
                self.ping(slot);
            }
        }
        valid >= needed
    }

    /// Whether that boot, which is believed to work, has answered no ping that was sent within `within`. Pings it if answers are about to become
    /// too old, so it has to be asked again and again, and says nothing of value before `within` has passed since that began.
    pub fn is_silent(&mut self, now: Duration, id: &NodeId, within: Duration) -> bool {
        self.observe(now);
        let Some(slot) = self.table.find_boot(id) else {
            return false;
        };
        let Some(member) = self.table.get(slot) else {
            return false;
        };
        if !matches!(self.life, Life::Up)
            || !matches!(member.state(), State::Alive | State::Suspect)
        {
            return false;
        }
        let answered_at = member.answered_at;
        if answered_at < Some(self.now.saturating_sub(within / 2).into()) {
            self.ping(slot);
        }
        answered_at < Some(self.now.saturating_sub(within).into())
    }

    /// The host of that boot says that the process is gone: it refuses connections at the process's address. A member that was believed to work
    /// is unreachable at once, and a partition policy need not wait for the view to settle; nothing else changes, so a wrong word can be
    /// refuted like any other.
    pub fn handle_refused(&mut self, now: Duration, id: &NodeId) {
        self.observe(now);
        if !matches!(self.life, Life::Up) {
            return;
        }
        let Some(slot) = self.table.find_boot(id) else {
            return;
        };
        let Some(member) = self.table.get_mut(slot) else {
            return;
        };
        let incarnation = member.incarnation;
        match member.state() {
            State::Down(_) => return,
            State::Unreachable => {}
            State::Alive | State::Suspect => {
                let accuser = self.id.name.clone();
                self.apply_claim(slot, incarnation, Claim::Unreachable { accuser });
            }
        }
        if let Some(member) = self.table.get_mut(slot) {
            member.refused = true;
        }
        self.timers.set(Timer::Policy, self.now);
    }

    pub(super) fn ping(&mut self, slot: Slot) {
        let Some(addr) = self.table.get(slot).map(|member| member.record.addr) else {
            return;
        };
        let seq = self.next_seq();
        self.questions.note(seq, self.now);
        self.send(addr, Some(slot), &Body::Ping { seq }, Extras::default());
    }

    /// A member has answered a ping of this one.
    pub(super) fn note_answer(&mut self, slot: Slot, seq: u64) {
        if let Some(at) = self.questions.asked_at(seq)
            && let Some(member) = self.table.get_mut(slot)
        {
            member.answered_at = member.answered_at.max(Some(at.into()));
        }
    }
}
