//! Conversations over streams: the way out when datagrams do not get through.
//!
//! A probe that its target has not acknowledged is repeated over a stream while others try by datagrams (HashiCorp's memberlist does the
//! same). An ack that comes only by the stream keeps its sender from being accused, and is told as [`Event::AnsweredByStreamAlone`],
//! because something between the two drops datagrams and should be mended. News travel with these packets as with all others, and where
//! the two views differ anti-entropy follows in the same conversation. So a member that no datagram reaches stays, and stays informed.
//!
//! The machine says whom to call ([`Machine::poll_call`]) and what to answer ([`Machine::handle_stream`]); connections, their encryption
//! and their bounds are the owner's.
//!
//! [`Event::AnsweredByStreamAlone`]: crate::membership::Event::AnsweredByStreamAlone

use std::net::SocketAddr;
use std::time::Duration;

use super::gossip::Extras;
use super::{Life, Machine};
use crate::membership::event::StreamCall;
use crate::membership::identity::NodeId;
use crate::membership::table::Slot;
use crate::membership::wire::{Body, PacketError};

/// A packet from a stream is being handled: what goes to its sender goes there by the stream.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) with: SocketAddr,
    pub(super) said: Vec<Vec<u8>>,
}

impl Machine {
    /// The next conversation to begin.
    pub fn poll_call(&mut self) -> Option<StreamCall> {
        self.calls.pop_front()
    }

    /// Takes in a packet that came by a stream, on either end of it, and returns what to say there in answer: nothing when the
    /// conversation is over. `from` is any address that stands for the other end.
    ///
    /// Relayed probes do not travel by streams, and what was declared down does not answer.
    ///
    /// # Errors
    /// [`PacketError`] when it is not understood, or is this member's own. It is counted and changes nothing.
    pub fn handle_stream(
        &mut self,
        now: Duration,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Result<Vec<Vec<u8>>, PacketError> {
        self.observe(now);
        let packet = self.read(from, bytes)?;
        let by_datagram_alone = matches!(
            packet.body,
            Body::PingRequest { .. } | Body::Nack { .. } | Body::RelayedAck { .. }
        );
        if by_datagram_alone || !matches!(self.life, Life::Up | Life::Leaving) {
            self.speaker = None;
            return Ok(Vec::new());
        }
        self.conversation = Some(Conversation {
            with: from,
            said: Vec::new(),
        });
        self.receive(from, &packet);
        self.speaker = None;
        let conversation = self.conversation.take();
        Ok(conversation.map_or_else(Vec::new, |conversation| conversation.said))
    }

    /// Repeats the ping of the probe in progress over a stream.
    pub(super) fn call(&mut self, slot: Slot, seq: u64, within: Duration) {
        let Some(record) = self.table.get(slot).map(|member| member.record.clone()) else {
            return;
        };
        let packet = self.compose(
            record.addr,
            Some(slot),
            &Body::Ping { seq },
            Extras::default(),
        );
        self.stats.stream_calls += 1;
        self.calls.push_back(StreamCall {
            to: record.metadata.stream_addr.unwrap_or(record.addr),
            packet: packet.finish(),
            within,
        });
    }

    /// An ack that came by a stream: it saves the target, and ends the probe only when nothing better comes.
    pub(super) fn handle_streamed_ack(&mut self, sender: &NodeId, seq: u64) {
        if let Some(probe) = self.probes.current_mut()
            && probe.is_for(sender, seq)
        {
            probe.note_streamed_ack();
        }
    }
}
