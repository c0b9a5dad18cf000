//! Ends: of a suspicion, and of patience with those who stay unreachable.

use std::time::Duration;

use super::{Life, Machine};
use crate::membership::claim::{Claim, DownReason, State};
use crate::membership::table::{Group, Slot};
use crate::membership::timers::Timer;
use crate::partition::{Unreachable, Verdict, View};

/// A policy that asks for no wait at all is asked again after this.
const WAIT_LEAST: Duration = Duration::from_millis(1);

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

    fn view(&self) -> View {
        let ids = |group| {
            self.table
                .group(group)
                .iter()
                .filter_map(|slot| self.table.get(*slot))
        };
        let unreachable = ids(Group::Unreachable)
            .map(|member| Unreachable {
                id: member.id.clone(),
                for_duration: self.now.saturating_sub(member.since),
            })
            .collect();
        View {
            reachable: ids(Group::Live)
                .map(|member| member.id.clone())
                .chain([self.id.clone()])
                .collect(),
            unreachable,
            stable_for: self.now.saturating_sub(self.unreachable_changed_at),
        }
    }
}
