//! Probes: a ping, then pings through others, then an accusation; and the same done for others as their relay.
//!
//! Targets are taken from a shuffled list, end to end (SWIM, section 4.3), so that every member is probed within two rounds of the list.
//! One probe is in progress at a time. Nobody is accused by a prober that could not hear its own helpers: their missing nacks lower the
//! prober's own health instead (Lifeguard, section IV-A). The time by which a nack is due travels in the request and leaves it a fifth of
//! the window for both ways, so that a true death does not look like deaf helpers.

use std::net::SocketAddr;
use std::time::Duration;

use super::Machine;
use super::gossip::Extras;
use crate::membership::claim::{Claim, State};
use crate::membership::event::Event;
use crate::membership::health::Sign;
use crate::membership::identity::{NodeId, NodeName};
use crate::membership::rng::Rng;
use crate::membership::table::{Group, Slot};
use crate::membership::timers::Timer;
use crate::membership::wire::Body;

/// More relayed pings than this are not taken on at a time.
const RELAYS_MAX: usize = 256;
/// Longest time that a relay waits, whatever the request says.
const NACK_AFTER_MAX: Duration = Duration::from_secs(60);

/// Not every volunteer finds the accused dead in time.
const VOLUNTEERS_FOR_EACH_CONFIRMATION: usize = 2;
/// More suspects than this are not probed out of turn.
const URGENT_MAX: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Direct,
    Indirect,
}

/// The probe in progress.
#[derive(Debug)]
pub(super) struct Probe {
    slot: Slot,
    target: NodeId,
    seq: u64,
    step: Step,
    asked: Vec<NodeName>,
    nacked: Vec<NodeName>,
    /// The target has answered over a stream.
    streamed_ack: bool,
}

impl Probe {
    pub(super) fn is_for(&self, target: &NodeId, seq: u64) -> bool {
        self.seq == seq && self.target == *target
    }

    pub(super) fn note_streamed_ack(&mut self) {
        self.streamed_ack = true;
    }
}

#[derive(Debug)]
pub(super) struct Probes {
    /// Whom to probe, in order from `next` on.
    order: Vec<Slot>,
    next: usize,
    /// Suspects that this member has volunteered to probe first.
    urgent: Vec<Slot>,
    current: Option<Probe>,
    /// When the current period ends and the next probe begins.
    period_ends_at: Duration,
    next_seq: u64,
}

impl Probes {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            order: Vec::new(),
            next: 0,
            urgent: Vec::new(),
            current: None,
            period_ends_at: Duration::ZERO,
            next_seq: rng.next_u64() >> 48,
        }
    }

    /// A new member is put at a random place among those still to be probed in this round.
    pub(super) fn add(&mut self, slot: Slot, rng: &mut Rng) {
        if self.order.contains(&slot) {
            return;
        }
        let remaining = self.order.len() - self.next;
        self.order
            .insert(self.next + rng.below(remaining + 1), slot);
    }

    /// Many new members, in an order of chance.
    pub(super) fn add_all(&mut self, slots: Vec<Slot>, rng: &mut Rng) {
        self.order.reserve_exact(slots.len());
        self.order.extend(slots);
        rng.shuffle(&mut self.order[self.next..]);
    }

    pub(super) fn stop(&mut self) {
        self.current = None;
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Probe> {
        self.current.as_mut()
    }

    pub(super) fn clear(&mut self) {
        self.current = None;
        self.urgent.clear();
        self.order.clear();
        self.next = 0;
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.urgent.retain(|other| *other != slot);
        if let Some(position) = self.order.iter().position(|other| *other == slot) {
            self.order.remove(position);
            self.next -= usize::from(position < self.next);
        }
    }
}

/// A ping made for somebody else.
#[derive(Debug)]
pub(super) struct Relay {
    asker: SocketAddr,
    asker_id: NodeId,
    asker_seq: u64,
    target: NodeId,
    seq: u64,
    nack_at: Option<Duration>,
    ends_at: Duration,
}

impl Relay {
    pub(super) fn due(&self) -> Duration {
        self.nack_at.unwrap_or(self.ends_at)
    }
}

impl Machine {
    pub(super) fn next_seq(&mut self) -> u64 {
        self.probes.next_seq += 1;
        self.probes.next_seq
    }

    /// The probe timer fired: the next step of the probe in progress, or the next probe.
    pub(super) fn advance_probe(&mut self) {
        match self.probes.current.as_ref().map(|probe| probe.step) {
            Some(Step::Direct) => self.ask_others(),
            Some(Step::Indirect) => {
                self.fail_probe();
                self.start_probe();
            }
            None => self.start_probe(),
        }
    }

    fn start_probe(&mut self) {
        let period = self.health.scale(self.config.probe_interval);
        self.probes.period_ends_at = self.now + period;
        let Some((slot, target, addr)) = self.next_target() else {
            self.timers.set(Timer::Probe, self.probes.period_ends_at);
            return;
        };
        let seq = self.next_seq();
        self.questions.note(seq, self.now);
        self.probes.current = Some(Probe {
            slot,
            target,
            seq,
            step: Step::Direct,
            asked: Vec::new(),
            nacked: Vec::new(),
            streamed_ack: false,
        });
        self.timers.set(
            Timer::Probe,
            self.now + self.health.scale(self.config.probe_timeout),
        );
        self.send(addr, Some(slot), &Body::Ping { seq }, Extras::default());
    }

    /// Somebody else accuses a member. A few who hear of it probe the accused next, so that a true death is confirmed soon, and a false
    /// accusation reaches its subject by several ways. By chance each, so that no one has to choose them.
    pub(super) fn volunteer(&mut self, slot: Slot) {
        let volunteers = self.config.suspicion_confirmations * VOLUNTEERS_FOR_EACH_CONFIRMATION;
        let probability = volunteers as f64 / self.live_count() as f64;
        if self.config.lifeguard.dynamic_suspicion
            && self.probes.urgent.len() < URGENT_MAX
            && self.rng.chance(probability)
        {
            self.probes.urgent.push(slot);
        }
    }

    fn next_target(&mut self) -> Option<(Slot, NodeId, SocketAddr)> {
        if self.table.group(Group::Live).is_empty() {
            return None;
        }
        while let Some(slot) = self.probes.urgent.pop() {
            if let Some(member) = self
                .table
                .get(slot)
                .filter(|member| member.state() == State::Suspect)
            {
                return Some((slot, member.id.clone(), member.record.addr));
            }
        }
        for _ in 0..=self.probes.order.len() {
            if self.probes.next >= self.probes.order.len() {
                let table = &self.table;
                self.probes.order.retain(|slot| {
                    table
                        .get(*slot)
                        .is_some_and(|member| !member.state().is_down())
                });
                self.rng.shuffle(&mut self.probes.order);
                self.probes.next = 0;
            }
            let slot = *self.probes.order.get(self.probes.next)?;
            self.probes.next += 1;
            if let Some(member) = self
                .table
                .get(slot)
                .filter(|member| member.state().is_reachable())
            {
                return Some((slot, member.id.clone(), member.record.addr));
            }
        }
        None
    }

    /// No ack in time: ask others to try.
    fn ask_others(&mut self) {
        let Some(slot) = self.probes.current.as_ref().map(|probe| probe.slot) else {
            return;
        };
        let helpers = self.choose_live(self.config.indirect_probes, Some(slot));
        let window = self.probes.period_ends_at.saturating_sub(self.now);
        let helpers: Vec<(Slot, NodeName, SocketAddr)> = helpers
            .into_iter()
            .filter_map(|helper| {
                self.table
                    .get(helper)
                    .map(|member| (helper, member.id.name.clone(), member.record.addr))
            })
            .collect();
        let Some(probe) = self.probes.current.as_mut() else {
            return;
        };
        let seq = probe.seq;
        probe.step = Step::Indirect;
        probe.asked = helpers.iter().map(|(_, name, _)| name.clone()).collect();
        let nack_after_ms = (window.as_millis() * 4 / 5) as u32;
        let request = Body::PingRequest {
            seq: probe.seq,
            target: probe.target.clone(),
            nack_after_ms,
        };
        self.timers.set(Timer::Probe, self.probes.period_ends_at);
        for (helper, _, addr) in helpers {
            self.send(addr, Some(helper), &request, Extras::default());
        }
        // Whoever confirms a suspicion need not: the accuser has tried.
        let alive = self
            .table
            .get(slot)
            .is_some_and(|member| member.state() == State::Alive);
        if self.config.stream_fallback && alive {
            self.call(slot, seq, window);
        }
    }

    fn fail_probe(&mut self) {
        let Some(probe) = self.probes.current.take() else {
            return;
        };
        if probe.streamed_ack {
            self.stats.stream_answers += 1;
            self.events
                .push_back(Event::AnsweredByStreamAlone { id: probe.target });
            return;
        }
        self.stats.probes_failed += 1;
        let missing = if probe.asked.is_empty() {
            1
        } else {
            probe.asked.len() - probe.nacked.len()
        };
        self.health.note(Sign::ProbeFailed { missing });
        let accuser = self.id.name.clone();
        let Some(member) = self
            .table
            .get(probe.slot)
            .filter(|member| member.id == probe.target)
        else {
            return;
        };
        let incarnation = member.incarnation;
        match member.state() {
            State::Alive => self.apply_claim(probe.slot, incarnation, Claim::Suspect { accuser }),
            State::Suspect => {
                self.confirm_suspicion(probe.slot, &accuser);
            }
            State::Unreachable | State::Down(_) => {}
        }
    }

    /// An ack from `sender` itself: for the probe in progress, or for one made as a relay.
    pub(super) fn handle_ack(&mut self, sender: &NodeId, seq: u64) {
        if self
            .probes
            .current
            .as_ref()
            .is_some_and(|probe| probe.seq == seq && probe.target == *sender)
        {
            self.answer_probe();
        }
        if let Some(index) = self
            .relays
            .iter()
            .position(|relay| relay.seq == seq && relay.target == *sender)
        {
            let relay = self.relays.swap_remove(index);
            let body = Body::RelayedAck {
                seq: relay.asker_seq,
            };
            self.answer_asker(relay.asker, &relay.asker_id, &body);
        }
    }

    /// Says to an asker what became of its request, unless another process has taken its place meanwhile.
    fn answer_asker(&mut self, addr: SocketAddr, id: &NodeId, body: &Body) {
        let row = self
            .table
            .find_boot(id)
            .and_then(|slot| self.table.get(slot));
        let Some(versions) = row.map(|member| member.record.versions) else {
            return;
        };
        let extras = Extras {
            versions: Some(versions),
            ..Extras::default()
        };
        self.send(addr, None, body, extras);
    }

    pub(super) fn handle_relayed_ack(&mut self, helper: &NodeId, seq: u64) {
        if self
            .probes
            .current
            .as_ref()
            .is_some_and(|probe| probe.seq == seq && probe.asked.contains(&helper.name))
        {
            self.answer_probe();
        }
    }

    pub(super) fn handle_nack(&mut self, helper: &NodeId, seq: u64) {
        if let Some(probe) = self.probes.current.as_mut()
            && probe.seq == seq
            && probe.asked.contains(&helper.name)
            && !probe.nacked.contains(&helper.name)
        {
            probe.nacked.push(helper.name.clone());
        }
    }

    fn answer_probe(&mut self) {
        self.probes.current = None;
        self.health.note(Sign::ProbeAnswered);
        self.timers.set(Timer::Probe, self.probes.period_ends_at);
    }

    /// Somebody asks to ping a member on its behalf. Only members are pinged, at the address that is known here.
    pub(super) fn handle_ping_request(
        &mut self,
        asker: SocketAddr,
        asker_id: &NodeId,
        asker_seq: u64,
        target: &NodeId,
        nack_after: Duration,
    ) {
        let known = self
            .table
            .find_boot(target)
            .and_then(|slot| Some((slot, self.table.get(slot)?.record.addr)));
        let repeated = self
            .relays
            .iter()
            .any(|relay| relay.asker == asker && relay.asker_seq == asker_seq);
        if repeated || self.relays.len() >= RELAYS_MAX {
            return;
        }
        let Some((slot, addr)) = known else {
            self.send(
                asker,
                None,
                &Body::Nack { seq: asker_seq },
                Extras::default(),
            );
            return;
        };
        let seq = self.next_seq();
        let nack_after = nack_after.min(NACK_AFTER_MAX);
        self.relays.push(Relay {
            asker,
            asker_id: asker_id.clone(),
            asker_seq,
            target: target.clone(),
            seq,
            nack_at: Some(self.now + nack_after),
            ends_at: self.now + nack_after * 2,
        });
        self.send(addr, Some(slot), &Body::Ping { seq }, Extras::default());
    }

    /// Sends the nacks that are due and forgets what is over.
    pub(super) fn run_relays(&mut self) {
        let now = self.now;
        let mut nacks = Vec::new();
        for relay in self.relays.iter_mut() {
            if relay.nack_at.is_some_and(|at| at <= now) {
                relay.nack_at = None;
                nacks.push((relay.asker, relay.asker_id.clone(), relay.asker_seq));
            }
        }
        self.relays
            .retain(|relay| relay.nack_at.is_some() || relay.ends_at > now);
        for (asker, id, seq) in nacks {
            self.answer_asker(asker, &id, &Body::Nack { seq });
        }
    }
}
