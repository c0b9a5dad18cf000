//! Ends: of a suspicion, and of patience with those who stay unreachable.

use std::time::Duration;

use super::{Life, Machine};
use crate::membership::claim::{Claim, DownReason, State};
use crate::membership::event::Event;
use crate::membership::table::{Group, Member, Slot};
use crate::membership::timers::Timer;
use crate::partition::{LeaseAnswer, Peer, Unreachable, Verdict, View};

/// A policy that asks for no wait at all is asked again after this.
const WAIT_LEAST: Duration = Duration::from_millis(1);
/// How many silent members are asked at a time.
const ASKED_AT_ONCE: usize = 32;
/// In clusters up to this size everybody asks, so that a slow eldest holds nobody up.
const ASK_EACH_OTHER_BELOW: usize = 32;

/// What is known of the lease that some policies want. Void when the unreachable change.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// Counts how often it was asked for, so that a late answer to an earlier question is known as such.
    asked: u64,
    waiting: bool,
    answer: Option<LeaseAnswer>,
}

impl Lease {
    pub(super) fn forget(&mut self) {
        self.waiting = false;
        self.answer = None;
    }
}

impl Machine {
    /// The answer to [`Event::LeaseWanted`] of the same number. A late answer to an earlier question changes nothing.
    pub fn handle_lease(&mut self, now: Duration, number: u64, answer: LeaseAnswer) {
        self.observe(now);
        if self.lease.waiting && self.lease.asked == number {
            self.lease.waiting = false;
            self.lease.answer = Some(answer);
            self.ask_policy();
        }
    }

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
        let view = self.view();
        match self.policy.decide(&view) {
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
            Verdict::AskLease => self.ask_for_the_lease(&view),
            Verdict::Undecided(reason) => {
                self.events.push_back(Event::PartitionUndecided { reason })
            }
        }
    }

    fn ask_for_the_lease(&mut self, view: &View) {
        if self.lease.waiting {
            return;
        }
        let reachable = view.reachable.iter().map(|peer| &peer.id);
        let owner = reachable
            .min_by_key(|id| (id.boot, *id))
            .unwrap_or(&self.id);
        self.lease.waiting = true;
        self.lease.asked += 1;
        self.events.push_back(Event::LeaseWanted {
            number: self.lease.asked,
            owner: owner.clone(),
        });
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
                self.table.get(*slot).is_some_and(|member| {
                    member.agreed_at < Some(self.unreachable_changed_at.into())
                })
            })
            .collect();
        self.rng.shuffle(&mut silent);
        silent.truncate(ASKED_AT_ONCE);
        for slot in silent {
            self.ping(slot);
        }
    }

    fn view(&self) -> View {
        let members = |group| {
            self.table
                .group(group)
                .iter()
                .filter_map(|slot| self.table.get(*slot))
        };
        let peer = |member: &Member| Peer {
            id: member.id.clone(),
            record: member.record.clone(),
        };
        // Whom this process met as lost already was lost before everybody's time whom it knows.
        let witnessed = |lost: &&Member| lost.was_known_otherwise();
        let first_lost_at = members(Group::Unreachable)
            .filter(witnessed)
            .map(|lost| lost.since)
            .min();
        let mut view = View {
            reachable: vec![Peer {
                id: self.id.clone(),
                record: self.record.clone(),
            }],
            silent: Vec::new(),
            newcomers: Vec::new(),
            unreachable: Vec::new(),
            witnessed: members(Group::Unreachable).all(|lost| witnessed(&lost)),
            stable_for: self.now.saturating_sub(self.unreachable_changed_at),
            lease: self.lease.answer,
        };
        for member in members(Group::Live) {
            let is_newcomer = first_lost_at.is_some_and(|lost_at| member.known_since > lost_at);
            let agrees = member.agreed_at >= Some(self.unreachable_changed_at.into());
            let kind = match (is_newcomer, agrees) {
                (true, _) => &mut view.newcomers,
                (false, true) => &mut view.reachable,
                (false, false) => &mut view.silent,
            };
            kind.push(peer(member));
        }
        view.unreachable = members(Group::Unreachable)
            .map(|member| Unreachable {
                peer: peer(member),
                refused: member.refused,
                for_duration: self.now.saturating_sub(member.since.into()),
            })
            .collect();
        view
    }
}
