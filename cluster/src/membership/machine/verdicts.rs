//! Ends: of a suspicion, and of patience with those who stay unreachable.

use std::time::Duration;

use super::gossip::Extras;
use super::{Life, Machine};
use crate::membership::claim::{Claim, DownReason, State};
use crate::membership::table::{Group, Member, Slot};
use crate::membership::timers::Timer;
use crate::membership::wire::Body;
use crate::partition::{Unreachable, Verdict, View};

/// A policy that asks for no wait at all is asked again after this.
const WAIT_LEAST: Duration = Duration::from_millis(1);
/// How many silent members are asked at a time.
const ASKED_AT_ONCE: usize = 32;
/// In clusters up to this size everybody asks, so that a slow eldest holds nobody up.
const ASK_EACH_OTHER_BELOW: usize = 32;

impl Machine {
    /// A suspicion was not refuted in time.
    pub(super) fn end_suspicion(&mut self, slot: Slot) {
        let Some(member) = self
            .table
            .get(slot)
            .filter(|member| member.state() == State::Suspect)
        else {
            return;
        };
        let claim = Claim::Unreachable {
            accuser: self.id.name.clone(),
        };
        self.apply_claim(slot, member.incarnation, claim);
    }

    /// Asks the policy what to do about the unreachable, and does it.
    pub(super) fn ask_policy(&mut self) {
        if !matches!(self.life, Life::Up) || self.table.group(Group::Unreachable).is_empty() {
            return;
        }
        match self.policy.decide(&self.view()) {
            Verdict::Ask => {
                self.call_the_roll();
                self.timers.set(
                    Timer::Policy,
                    self.now + self.health.scale(self.config.probe_timeout),
                );
            }
            Verdict::WaitFor(wait) => self
                .timers
                .set(Timer::Policy, self.now + wait.max(WAIT_LEAST)),
            Verdict::DownUnreachable => {
                for slot in self.table.group(Group::Unreachable).to_vec() {
                    let Some(incarnation) = self.table.get(slot).map(|member| member.incarnation)
                    else {
                        continue;
                    };
                    let claim = Claim::Down {
                        reason: DownReason::Policy,
                        decider: self.id.name.clone(),
                    };
                    self.apply_claim(slot, incarnation, claim);
                }
            }
            Verdict::DownMyself => self.go_down(DownReason::Policy, self.id.name.clone()),
        }
    }

    /// Pings some of those who have been silent since the last change. Only the oldest member of a side does so, so that the cost is not
    /// that of everybody asking everybody; the others act on what they hear anyway, or on its verdict.
    fn call_the_roll(&mut self) {
        let live = self.table.group(Group::Live);
        let eldest = live
            .iter()
            .filter_map(|slot| self.table.get(*slot))
            .all(|member| member.id.boot >= self.id.boot);
        if !eldest && live.len() > ASK_EACH_OTHER_BELOW {
            return;
        }
        let mut silent: Vec<Slot> = live
            .iter()
            .copied()
            .filter(|slot| {
                self.table
                    .get(*slot)
                    .is_some_and(|member| member.heard_at < Some(self.unreachable_changed_at))
            })
            .collect();
        self.rng.shuffle(&mut silent);
        silent.truncate(ASKED_AT_ONCE);
        for slot in silent {
            let Some(addr) = self.table.get(slot).map(|member| member.record.addr) else {
                continue;
            };
            let seq = self.next_seq();
            self.send(addr, Some(slot), &Body::Ping { seq }, Extras::default());
        }
    }

    fn view(&self) -> View {
        let members = |group| {
            self.table
                .group(group)
                .iter()
                .filter_map(|slot| self.table.get(*slot))
        };
        let (heard, silent): (Vec<&Member>, Vec<&Member>) = members(Group::Live)
            .partition(|member| member.heard_at >= Some(self.unreachable_changed_at));
        let unreachable = members(Group::Unreachable)
            .map(|member| Unreachable {
                id: member.id.clone(),
                for_duration: self.now.saturating_sub(member.since),
            })
            .collect();
        View {
            reachable: heard
                .iter()
                .map(|member| member.id.clone())
                .chain([self.id.clone()])
                .collect(),
            silent: silent.iter().map(|member| member.id.clone()).collect(),
            unreachable,
            stable_for: self.now.saturating_sub(self.unreachable_changed_at),
        }
    }
}
