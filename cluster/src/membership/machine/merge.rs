//! Taking in news. The lattice of [`claim`](crate::membership::Claim) decides; this file carries out what follows.

use std::sync::Arc;

use super::contact::Downed;
use super::{Life, Machine};
use crate::membership::broadcasts::Subject;
use crate::membership::claim::{Claim, DownReason, INCARNATION_MAX, State, Update};
use crate::membership::event::Event;
use crate::membership::health::Sign;
use crate::membership::identity::{NodeId, NodeName};
use crate::membership::metadata::Record;
use crate::membership::suspicion::Suspicion;
use crate::membership::table::Slot;
use crate::membership::timers::Timer;

impl Machine {
    /// Takes in one update, and passes it on if it is news.
    pub(super) fn merge(&mut self, update: &Update) {
        if update.name == self.id.name {
            return self.hear_about_myself(update);
        }
        let Some(slot) = self.table.find(&update.name) else {
            return self.meet(update);
        };
        let Some(held) = self.table.get(slot).map(|member| member.id.boot) else {
            return;
        };
        match update.boot.cmp(&held) {
            std::cmp::Ordering::Less => {} // news of the dead
            std::cmp::Ordering::Greater => self.succeed(slot, update),
            std::cmp::Ordering::Equal => self.hear_about(slot, update),
        }
    }

    /// A name that is new here. Without its record it could not be reached: then anti-entropy will bring it.
    fn meet(&mut self, update: &Update) {
        let Some(record) = update.record.clone() else {
            return;
        };
        if self.table.len() >= self.config.members_max {
            self.stats.members_refused += 1;
            return;
        }
        let slot = self.table.insert(update, record, self.now);
        self.greet(slot, update);
    }

    /// A greater boot of a known name: the smaller one is dead.
    fn succeed(&mut self, slot: Slot, update: &Update) {
        let Some(member) = self.table.get(slot) else {
            return;
        };
        let record = match (&update.record, &update.claim) {
            (Some(record), _) => record.clone(),
            (None, Claim::Down { .. }) => member.record.clone(),
            (None, _) => return,
        };
        let was = member.state();
        if !was.is_down() {
            let decider = update.name.clone();
            self.events.push_back(Event::MemberDown {
                id: member.id.clone(),
                reason: DownReason::Replaced,
                decider,
            });
        }
        self.disarm_suspicion(slot);
        self.note_return(slot, update.claim.state());
        self.table.replace(slot, update, record, self.now);
        if was == State::Unreachable {
            self.unreachable_changed();
        }
        self.greet(slot, update);
    }

    /// What follows from a boot that was not known before.
    fn greet(&mut self, slot: Slot, update: &Update) {
        self.sync.view_changed(self.now);
        if !update.claim.state().is_down() {
            if let Some(member) = self.table.get(slot) {
                let info = crate::membership::MemberInfo {
                    state: State::Alive,
                    ..member.info()
                };
                self.events.push_back(Event::MemberJoined(info));
            }
            self.probes.add(slot, &mut self.rng);
            self.follow_claim(slot, State::Alive);
        }
        // One that is only just taking in the whole table tells nobody what everybody knows.
        if !self.sync.is_fresh() {
            self.broadcast(Subject::Member(slot), true);
        }
        if !self.notices.is_empty() {
            self.arm_gossip(); // it may be the first that can hear them
        }
    }

    fn hear_about(&mut self, slot: Slot, update: &Update) {
        let Some(member) = self.table.get_mut(slot) else {
            return;
        };
        if member.state().is_down() {
            return;
        }
        if let Some(record) = &update.record
            && record.version > member.record.version
        {
            member.unknown = update.unknown.clone();
            self.table.set_record(slot, record.clone());
            self.record_changed(slot);
        }
        let Some(member) = self.table.get_mut(slot) else {
            return;
        };
        if update
            .claim
            .beats(update.incarnation, &member.claim, member.incarnation)
        {
            if let Claim::Unreachable { accuser } = &update.claim {
                let suspicion = member
                    .suspicion
                    .as_ref()
                    .filter(|_| member.incarnation == update.incarnation);
                if !suspicion.is_some_and(|suspicion| suspicion.is_ripe(self.now)) {
                    return self.doubt(slot, update.incarnation, accuser);
                }
            }
            member.unknown = update.unknown.clone();
            self.apply_claim(slot, update.incarnation, update.claim.clone());
        } else if update.incarnation == member.incarnation {
            let known = update.claim.state() == member.state();
            let confirmed = match &update.claim {
                Claim::Suspect { accuser } => self.confirm_suspicion(slot, accuser),
                _ => false,
            };
            // A suspicion is told to the end: whoever misses it is a whole suspicion late when the verdict comes.
            let to_the_end =
                matches!(update.claim, Claim::Suspect { .. }) && !self.is_restless(slot);
            if known && !confirmed && !to_the_end {
                let allowed = self.config.retransmits(self.live_count());
                self.broadcasts.heard(Subject::Member(slot), allowed);
            }
        }
    }

    /// Somebody's suspicion has ended before the accused had time to be heard here. One member's verdict does not bind the others: they
    /// suspect, for the least time.
    fn doubt(&mut self, slot: Slot, incarnation: u64, accuser: &NodeName) {
        let claim = Claim::Suspect {
            accuser: accuser.clone(),
        };
        let Some(member) = self.table.get(slot) else {
            return;
        };
        if claim.beats(incarnation, &member.claim, member.incarnation) {
            self.apply_claim(slot, incarnation, claim);
        } else {
            let _known = self.confirm_suspicion(slot, accuser);
        }
        let now = self.now;
        let Some(suspicion) = self
            .table
            .get_mut(slot)
            .and_then(|member| member.suspicion.as_mut())
        else {
            return;
        };
        let before = suspicion.ends_at();
        suspicion.hasten(now);
        let after = suspicion.ends_at();
        self.timers.remove_suspicion(before, slot);
        self.timers.add_suspicion(after, slot);
    }

    fn record_changed(&mut self, slot: Slot) {
        if let Some(member) = self.table.get(slot) {
            self.events.push_back(Event::MemberUpdated(member.info()));
        }
        self.sync.view_changed(self.now);
        self.broadcast(Subject::Member(slot), true);
    }

    /// Puts a claim that has won into the table, and does what follows from it.
    pub(super) fn apply_claim(&mut self, slot: Slot, incarnation: u64, claim: Claim) {
        let Some(before) = self.table.get(slot).map(|member| member.state()) else {
            return;
        };
        self.disarm_suspicion(slot);
        self.note_return(slot, claim.state());
        self.table.set_claim(slot, incarnation, claim, self.now);
        self.sync.view_changed(self.now);
        self.follow_claim(slot, before);
        let after = self.table.get(slot).map(|member| member.state());
        match after {
            Some(State::Suspect | State::Unreachable) if self.is_restless(slot) => {
                self.tell_of_the_restless(slot)
            }
            Some(State::Suspect) => {
                self.broadcasts.add(Subject::Member(slot), false);
                self.arm_gossip();
            }
            _ => self.broadcast(Subject::Member(slot), false),
        }
    }

    /// Events and timers that follow from the claim now in the table.
    fn follow_claim(&mut self, slot: Slot, before: State) {
        let Some(member) = self.table.get(slot) else {
            return;
        };
        let id = member.id.clone();
        match member.claim.clone() {
            Claim::Alive => match before {
                State::Suspect => self.events.push_back(Event::SuspicionRefuted { id }),
                State::Unreachable => self.events.push_back(Event::MemberReachable { id }),
                State::Alive | State::Down(_) => {}
            },
            Claim::Suspect { accuser } => {
                if before == State::Unreachable {
                    self.events
                        .push_back(Event::MemberReachable { id: id.clone() });
                }
                self.begin_suspicion(slot, &accuser);
                if accuser != self.id.name {
                    self.volunteer(slot);
                }
                self.events
                    .push_back(Event::MemberSuspected { id, accuser });
            }
            Claim::Unreachable { accuser } => self
                .events
                .push_back(Event::MemberUnreachable { id, accuser }),
            Claim::Down { reason, decider } => self.events.push_back(Event::MemberDown {
                id,
                reason,
                decider,
            }),
        }
        let after = self.table.get(slot).map(|member| member.state());
        if (before == State::Unreachable) != (after == Some(State::Unreachable)) {
            self.unreachable_changed();
        }
    }

    fn unreachable_changed(&mut self) {
        self.unreachable_changed_at = self.now;
        self.lease.forget();
        self.timers.set(Timer::Policy, self.now);
    }

    fn begin_suspicion(&mut self, slot: Slot, accuser: &NodeName) {
        let members = self.live_count();
        let bounds = self.config.suspicion_bounds(members);
        let confirmations = if self.config.lifeguard.dynamic_suspicion {
            self.config.confirmations(members)
        } else {
            0
        };
        let suspicion = Suspicion::new(self.now, bounds, confirmations, accuser.clone());
        self.timers.add_suspicion(suspicion.ends_at(), slot);
        if let Some(member) = self.table.get_mut(slot) {
            member.suspicion = Some(Box::new(suspicion));
        }
    }

    pub(super) fn disarm_suspicion(&mut self, slot: Slot) {
        if let Some(suspicion) = self
            .table
            .get_mut(slot)
            .and_then(|member| member.suspicion.take())
        {
            self.timers.remove_suspicion(suspicion.ends_at(), slot);
        }
    }

    /// Counts an accuser of a member that is suspect; true if that was news.
    pub(super) fn confirm_suspicion(&mut self, slot: Slot, accuser: &NodeName) -> bool {
        let Some(member) = self.table.get_mut(slot) else {
            return false;
        };
        let Some(suspicion) = member.suspicion.as_mut() else {
            return false;
        };
        let before = suspicion.ends_at();
        if !suspicion.confirm(self.now, accuser) {
            return false;
        }
        let after = suspicion.ends_at();
        member.claim = Claim::Suspect {
            accuser: accuser.clone(),
        };
        self.timers.remove_suspicion(before, slot);
        self.timers.add_suspicion(after, slot);
        // One round of gossip: it has to reach some of those who suspect, and the first whose suspicion ends tells everybody.
        let allowed = self.config.retransmits(self.live_count());
        let sent = allowed.saturating_sub(self.config.gossip_fanout as u32);
        let restless = self.is_restless(slot);
        let sent = sent + u32::from(restless);
        self.broadcasts
            .add_to(Subject::Member(slot), sent, restless);
        self.arm_gossip();
        true
    }

    /// Others speak of this member: false accusations are refuted, verdicts are final.
    fn hear_about_myself(&mut self, update: &Update) {
        match update.boot.cmp(&self.id.boot) {
            std::cmp::Ordering::Less => return,
            std::cmp::Ordering::Greater => {
                let successor = NodeId {
                    name: update.name.clone(),
                    boot: update.boot,
                };
                return self.be_replaced(&successor);
            }
            std::cmp::Ordering::Equal => {}
        }
        if !matches!(self.life, Life::Up) {
            return; // a leaving member has nothing to refute
        }
        if let Some(record) = &update.record
            && record.version > self.record.version
        {
            self.record = Arc::new(Record {
                version: record.version + 1,
                ..Record::clone(&self.record)
            });
            self.broadcast(Subject::Myself, true);
        }
        match &update.claim {
            Claim::Down { reason, decider } => self.go_down(*reason, decider.clone()),
            Claim::Suspect { accuser } | Claim::Unreachable { accuser }
                if update.incarnation >= self.incarnation =>
            {
                self.refute(update.incarnation, accuser.clone());
            }
            Claim::Alive if update.incarnation > self.incarnation => {
                self.raise_incarnation(update.incarnation)
            }
            _ => {}
        }
    }

    fn refute(&mut self, accused_incarnation: u64, accuser: NodeName) {
        self.raise_incarnation(accused_incarnation);
        self.health.note(Sign::Accused);
        self.stats.refutations += 1;
        self.events.push_back(Event::Refuted {
            incarnation: self.incarnation,
            accuser,
        });
    }

    fn raise_incarnation(&mut self, above: u64) {
        self.incarnation = (above + 1).min(INCARNATION_MAX);
        self.sync.view_changed(self.now);
        self.broadcast(Subject::Myself, false);
    }

    pub(super) fn be_replaced(&mut self, successor: &NodeId) {
        if let Life::Downed(downed) = &mut self.life {
            downed.boot_seen = downed.boot_seen.max(successor.boot);
            return;
        }
        self.go_down(DownReason::Replaced, successor.name.clone());
        if let Life::Downed(downed) = &mut self.life {
            downed.boot_seen = successor.boot;
        }
    }

    /// The end of this boot. It stays in contact only to learn when it can rejoin.
    pub(super) fn go_down(&mut self, reason: DownReason, decider: NodeName) {
        if matches!(self.life, Life::Downed(_) | Life::Left) {
            return;
        }
        let electorate = self.live_count() + self.unreachable_count();
        self.life = Life::Downed(Downed::new(
            reason,
            decider.clone(),
            electorate,
            self.id.boot,
        ));
        self.timers.clear_all();
        self.broadcasts.clear();
        self.drop_notices();
        self.relays.clear();
        self.probes.stop();
        self.timers.set(
            Timer::Contact,
            self.now + self.rng.duration_below(self.config.contact_interval),
        );
        self.events.push_back(Event::SelfDown { reason, decider });
    }
}
