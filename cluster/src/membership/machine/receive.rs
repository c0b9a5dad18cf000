//! Packets: who sent it, what news it brings, what it asks.

use std::net::SocketAddr;
use std::time::Duration;

use super::gossip::Extras;
use super::{Life, Machine};
use crate::membership::claim::State;
use crate::membership::identity::NodeId;
use crate::membership::table::Slot;
use crate::membership::wire::{Body, Header, Packet, PacketError, Phase};

impl Machine {
    /// Takes in a datagram, whose origin the caller has authenticated.
    ///
    /// # Errors
    /// [`PacketError`] when it is not understood, or is this member's own. It is counted and changes nothing.
    pub fn handle_packet(
        &mut self,
        now: Duration,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), PacketError> {
        self.observe(now);
        let packet = self.read(from, bytes)?;
        match self.life {
            Life::Up | Life::Leaving => self.receive(from, &packet),
            Life::Downed(_) => self.receive_while_down(from, &packet),
            Life::Left => {}
        }
        self.speaker = None;
        Ok(())
    }

    /// Reads a packet. Until the [speaker](Machine::speaker) is cleared, whatever goes to its sender is in a version that this one reads.
    pub(super) fn read(&mut self, from: SocketAddr, bytes: &[u8]) -> Result<Packet, PacketError> {
        let packet = Packet::decode_in(self.config.versions(), bytes)
            .and_then(|packet| {
                if packet.header.from == self.id {
                    Err(PacketError::FromMyself)
                } else {
                    Ok(packet)
                }
            })
            .inspect_err(|error| {
                self.stats.packets_refused += 1;
                let is_version = matches!(error, PacketError::Version { .. });
                self.stats.versions_refused += u64::from(is_version);
            })?;
        self.stats.packets_received += 1;
        self.speaker = Some((from, packet.header.versions));
        Ok(packet)
    }

    pub(super) fn receive(&mut self, from: SocketAddr, packet: &Packet) {
        for update in &packet.updates {
            self.merge(update);
            if !self.takes_part() {
                return; // it was this member's own end
            }
        }
        for notice in &packet.notices {
            self.hear(notice);
        }
        let sender = self.recognise(from, &packet.header, &packet.body);
        if !self.takes_part() {
            return;
        }
        match &packet.body {
            Body::Ping { seq } => {
                let extras = Extras {
                    own_record: packet.header.introduce,
                    ..Extras::default()
                };
                self.send(from, sender, &Body::Ack { seq: *seq }, extras);
            }
            Body::Ack { seq } => {
                if let Some(slot) = sender {
                    self.note_answer(slot, *seq);
                }
                match self.conversation.is_some() {
                    true => self.handle_streamed_ack(&packet.header.from, *seq),
                    false => self.handle_ack(&packet.header.from, *seq),
                }
            }
            Body::Nack { seq } => self.handle_nack(&packet.header.from, *seq),
            Body::RelayedAck { seq } => self.handle_relayed_ack(&packet.header.from, *seq),
            Body::Gossip => {}
            Body::PingRequest {
                seq,
                target,
                nack_after_ms,
            } => {
                if sender.is_some() {
                    self.handle_ping_request(
                        from,
                        &packet.header.from,
                        *seq,
                        target,
                        Duration::from_millis((*nack_after_ms).into()),
                    );
                }
            }
            Body::SyncRequest { buckets } => {
                if sender.is_some() {
                    self.answer_sync(from, buckets);
                }
            }
            Body::SyncReply {
                differing,
                digests,
                more,
            } => {
                if sender.is_some() {
                    self.finish_sync(from, *differing, digests, *more);
                }
            }
        }
        if let Some(slot) = sender {
            self.compare_digests(slot, packet.header.digest);
        }
    }

    /// The row of exactly the boot that sends, if it takes part. Whoever lacks something important is told at once: a stranger is asked
    /// who it is, one that is over or unreachable here is told so.
    fn recognise(&mut self, from: SocketAddr, header: &Header, body: &Body) -> Option<Slot> {
        let sender = &header.from;
        if sender.name == self.id.name {
            if sender.boot > self.id.boot {
                self.be_replaced(sender);
            }
            return None;
        }
        let Some(slot) = self.table.find(&sender.name) else {
            if header.phase == Phase::Up {
                self.introduce_to(from, None);
            }
            return None;
        };
        let member = self.table.get(slot)?;
        match sender.boot.cmp(&member.id.boot) {
            std::cmp::Ordering::Less => {
                self.tell_replaced(from, slot);
                return None;
            }
            std::cmp::Ordering::Greater => {
                if header.phase == Phase::Up {
                    self.introduce_to(from, None);
                }
                return None;
            }
            std::cmp::Ordering::Equal => {}
        }
        match member.state() {
            State::Down(_) => {
                if header.phase == Phase::Up && !answers_by_itself(body) {
                    self.send_gossip(from, Some(slot));
                }
                // Its pings are answered, so that it learns whom it could rejoin; nothing else it says counts.
                matches!(body, Body::Ping { .. }).then_some(slot)
            }
            State::Unreachable => {
                if !answers_by_itself(body) {
                    self.introduce_to(from, Some(slot));
                }
                self.note_contact(sender);
                Some(slot)
            }
            State::Alive | State::Suspect => {
                self.note_contact(sender);
                Some(slot)
            }
        }
    }

    /// A process that does not know of its successor hears of it.
    fn tell_replaced(&mut self, from: SocketAddr, slot: Slot) {
        if let Some(member) = self.table.get(slot) {
            let update = member.update(true);
            let header = self.header(self.version_for(from, None), false);
            let mut packet = crate::membership::wire::PacketWriter::new(
                &header,
                &Body::Gossip,
                self.config.packet_bytes_max,
            );
            packet.push(&update);
            self.transmit(from, packet);
        }
    }

    fn note_contact(&mut self, sender: &NodeId) {
        if self.contacts.note_first() {
            self.events.push_back(crate::membership::Event::Joined {
                via: sender.clone(),
            });
        }
    }
}

/// Kinds whose answer goes to the sender anyway and tells it what it stands accused of.
fn answers_by_itself(body: &Body) -> bool {
    matches!(body, Body::Ping { .. })
}
