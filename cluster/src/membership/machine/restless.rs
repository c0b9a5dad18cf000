//! Members that are accused and come back, again and again.
//!
//! One that hangs for seconds at a time, or whose connection flaps, is news three times over each time: suspect, unreachable, alive. In a cluster
//! with some of them that is most of what is sent. From the third time on such a member is *restless*: that it is accused once more is told half as
//! often, stops being told where all know, and waits for packets that are sent anyway or for a round of gossip among several that would have been
//! made for it. Who misses it hears the verdict, and gives the accused its time then. That it is back is told as ever: a wrong accusation has to end.
//! The first who finds it dead does so no later, and the news of members that are not restless wait for nothing.

use std::time::Duration;

use super::Machine;
use crate::membership::broadcasts::Subject;
use crate::membership::claim::{DownReason, State};
use crate::membership::table::Slot;

/// Who has come back so often is restless.
const RETURNS: u8 = 2;
/// Who is left in peace for so many probe intervals begins anew.
const CALM_INTERVALS: u32 = 60;
/// Where nothing else is to be told, rounds of gossip are so many times as far apart.
const UNHURRIED_ROUNDS: u32 = 5;

impl Machine {
    /// The state of a member is about to change. Whoever leaves in order has not been accused.
    pub(super) fn note_return(&mut self, slot: Slot, after: State) {
        let calm = self.config.probe_interval * CALM_INTERVALS;
        let now = self.now;
        let Some(member) = self.table.get_mut(slot) else {
            return;
        };
        let lasted = now.saturating_sub(member.since.into());
        match (member.state(), after) {
            (State::Down(DownReason::Left), _) => member.returns = 0,
            (State::Alive, _) if lasted >= calm => member.returns = 0,
            (State::Alive, _) => {}
            (_, State::Alive) => member.returns = member.returns.saturating_add(1),
            _ => {}
        }
    }

    pub(super) fn is_restless(&self, slot: Slot) -> bool {
        let member = self.table.get(slot);
        member.is_some_and(|member| member.returns >= RETURNS)
    }

    /// Queues the news that a restless member is accused again, or that nobody waits for it any more.
    pub(super) fn tell_of_the_restless(&mut self, slot: Slot) {
        let allowed = self.config.retransmits(self.live_count());
        self.broadcasts
            .add_unhurried(Subject::Member(slot), allowed / 2);
        self.arm_gossip();
    }

    /// After which time the next round of gossip is due.
    pub(super) fn gossip_pause(&self) -> Duration {
        let unhurried = self.broadcasts.all_unhurried() && !self.has_notices_to_send();
        self.config.gossip_interval * if unhurried { UNHURRIED_ROUNDS } else { 1 }
    }
}
