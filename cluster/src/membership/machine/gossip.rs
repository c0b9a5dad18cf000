//! Making packets, and filling them with news.

use std::net::SocketAddr;

use super::{Life, Machine};
use crate::membership::broadcasts::Subject;
use crate::membership::claim::State;
use crate::membership::event::Transmit;
use crate::membership::table::{Group, Slot};
use crate::membership::timers::Timer;
use crate::membership::wire::{Body, Header, PacketWriter, Phase, Versions};

/// After so many updates that did not fit, a packet counts as full.
const MISFITS_MAX: usize = 3;
/// No update is shorter.
const UPDATE_BYTES_LEAST: usize = 12;

/// What a packet asks and gives besides its body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extras {
    /// The receiver shall send its record.
    pub(super) introduce: bool,
    /// This member's record goes along.
    pub(super) own_record: bool,
    /// Which versions the receiver reads, where that is known otherwise than by its row or its packet.
    pub(super) versions: Option<Versions>,
}

impl Machine {
    /// In which version to write to whoever is at `to`. A row says so only while its member is believed to work: otherwise another boot may be
    /// there, with an older program. Whoever is down itself learns nothing of that, so it trusts no row.
    pub(super) fn version_for(&self, to: SocketAddr, receiver: Option<Slot>) -> u8 {
        let ours = self.config.versions();
        let by_row = receiver
            .and_then(|slot| self.table.get(slot))
            .filter(|member| member.state().is_reachable() && member.record.addr == to)
            .filter(|_| self.takes_part())
            .map(|member| member.record.versions);
        let by_packet = || {
            let speaker = self.speaker.filter(|(from, _)| *from == to);
            speaker.map(|(_, versions)| versions)
        };
        let theirs = by_row.or_else(by_packet);
        theirs.map_or(ours.oldest(), |theirs| ours.to_speak_with(theirs))
    }

    pub(super) fn header(&self, version: u8, introduce: bool) -> Header {
        let phase = match self.life {
            Life::Up => Phase::Up,
            Life::Leaving | Life::Left => Phase::Leaving,
            Life::Downed(_) => Phase::Downed,
        };
        let quorate = self.live_count() > self.unreachable_count();
        Header {
            version,
            versions: self.config.versions(),
            from: self.id.clone(),
            phase,
            introduce,
            quorate,
            digest: self.digest() as u32,
        }
    }

    /// Sends a packet, with as many news as fit. What the receiver stands accused of goes first (Lifeguard's buddy system): an accused
    /// member has to hear of it at the first opportunity.
    pub(super) fn send(
        &mut self,
        to: SocketAddr,
        receiver: Option<Slot>,
        body: &Body,
        extras: Extras,
    ) {
        let packet = self.compose(to, receiver, body, extras);
        self.transmit(to, packet);
    }

    /// The same, without sending it.
    pub(super) fn compose(
        &mut self,
        to: SocketAddr,
        receiver: Option<Slot>,
        body: &Body,
        extras: Extras,
    ) -> PacketWriter {
        let version = match extras.versions {
            Some(theirs) => self.config.versions().to_speak_with(theirs),
            None => self.version_for(to, receiver),
        };
        let mut packet = PacketWriter::new(
            &self.header(version, extras.introduce),
            body,
            self.config.packet_bytes_max,
        );
        if let Some(member) = receiver.and_then(|slot| self.table.get(slot)) {
            let tell = match member.state() {
                State::Alive => false,
                State::Suspect => self.config.lifeguard.buddy,
                State::Unreachable | State::Down(_) => true,
            };
            if tell {
                packet.push(&member.update(false));
            }
        }
        if extras.own_record {
            packet.push(&self.own_update(true));
        }
        if self.takes_part() {
            self.fill(&mut packet);
            self.fill_with_notices(&mut packet);
        } else {
            packet.push(&self.own_update(false)); // others need not find out by themselves
        }
        packet
    }

    pub(super) fn transmit(&mut self, to: SocketAddr, packet: PacketWriter) {
        let bytes = packet.finish();
        if let Some(conversation) = &mut self.conversation
            && conversation.with == to
        {
            conversation.said.push(bytes);
            return;
        }
        self.stats.packets_sent += 1;
        self.stats.bytes_sent += bytes.len() as u64;
        self.transmits.push_back(Transmit { to, bytes });
    }

    fn fill(&mut self, packet: &mut PacketWriter) {
        if self.broadcasts.is_empty() {
            return;
        }
        let allowed = self.config.retransmits(self.live_count());
        let mut misfits = 0;
        for (subject, with_record) in self.broadcasts.first(packet.room() / UPDATE_BYTES_LEAST) {
            let update = match subject {
                Subject::Myself => Some(self.own_update(with_record)),
                Subject::Member(slot) => self
                    .table
                    .get(slot)
                    .map(|member| member.update(with_record)),
            };
            match update {
                None => drop(self.broadcasts.remove(subject)),
                Some(update) if packet.push(&update) => self.broadcasts.sent(subject, allowed),
                Some(_) => misfits += 1,
            }
            if misfits == MISFITS_MAX {
                break;
            }
        }
    }

    /// Queues news and sees to it that they go out. What anti-entropy could repair at once, because all have the record, is sent less often.
    pub(super) fn broadcast(&mut self, subject: Subject, with_record: bool) {
        if with_record {
            self.broadcasts.add(subject, true);
        } else {
            let allowed = self.config.retransmits(self.live_count());
            self.broadcasts.add_briefly(subject, allowed / 4);
        }
        self.arm_gossip();
    }

    /// The first news after a silence go out at once, later ones wait for the interval.
    pub(super) fn arm_gossip(&mut self) {
        if self.broadcasts.is_empty() && !self.has_notices_to_send() {
            return;
        }
        let earliest = self
            .gossiped_at
            .map_or(self.now, |at| at + self.gossip_pause());
        let due = earliest.max(self.now);
        if self.timers.get(Timer::Gossip).is_none_or(|set| due < set) {
            self.timers.set(Timer::Gossip, due);
        }
    }

    /// One round: the same news to a few random members.
    pub(super) fn gossip(&mut self) {
        if self.table.group(Group::Live).is_empty() {
            return; // a first member brings news of its own, which set the timer again
        }
        self.gossiped_at = Some(self.now);
        for slot in self.choose_for_gossip() {
            if self.broadcasts.is_empty() && !self.has_notices_for(slot) {
                continue;
            }
            if let Some(addr) = self.table.get(slot).map(|member| member.record.addr) {
                self.send(addr, Some(slot), &Body::Gossip, Extras::default());
            }
        }
        self.arm_gossip();
    }

    /// A packet of news for one receiver.
    pub(super) fn send_gossip(&mut self, to: SocketAddr, receiver: Option<Slot>) {
        self.send(to, receiver, &Body::Gossip, Extras::default());
    }

    /// Up to `count` different live members other than `except`, at random.
    pub(super) fn choose_live(&mut self, count: usize, except: Option<Slot>) -> Vec<Slot> {
        let live = self.table.group(Group::Live);
        let mut chosen: Vec<Slot> = Vec::with_capacity(count);
        if live.len() <= count * 2 {
            chosen.extend(live.iter().filter(|slot| Some(**slot) != except));
            self.rng.shuffle(&mut chosen);
            chosen.truncate(count);
            return chosen;
        }
        while chosen.len() < count {
            let slot = live[self.rng.below(live.len())];
            if Some(slot) != except && !chosen.contains(&slot) {
                chosen.push(slot);
            }
        }
        chosen
    }
}
