//! Treewarden's machine with any settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use treewarden_cluster::membership::wire::{Body, Packet, PacketWriter};
use treewarden_cluster::membership::{
    BootUid, Claim, Config, Event, Identity, Machine, MemberInfo, Metadata, NodeId, NodeName, State,
};
use treewarden_cluster::partition::KeepMajority;

use super::{Member, News};

pub(crate) struct TreewardenMember {
    machine: Machine,
    now: Duration,
}

impl TreewardenMember {
    pub(crate) fn new(now: Duration, index: usize, config: Config, seed: u64) -> Self {
        let name = NodeName::new(&format!("n{index}")).expect("a short name");
        let id = NodeId {
            name,
            boot: BootUid((1_780_000_000_000 + index as u64) << 20),
        };
        let identity = Identity {
            id,
            addr: address(index),
            metadata: Metadata::default(),
        };
        let policy = KeepMajority::new(Duration::from_secs(7));
        let machine =
            Machine::new(now, config, identity, Box::new(policy), seed).expect("valid settings");
        Self { machine, now }
    }
}

fn address(index: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + index as u32), 7946))
}

fn index(addr: SocketAddr) -> usize {
    match addr {
        SocketAddr::V4(addr) => (u32::from(*addr.ip()) - 0x0a00_0000) as usize,
        SocketAddr::V6(_) => unreachable!("all members have addresses of version 4"),
    }
}

fn number(id: &NodeId) -> usize {
    id.name.as_str()[1..]
        .parse()
        .expect("names are n and a number")
}

impl Member for TreewardenMember {
    fn join(&mut self, now: Duration, seed: usize) {
        self.now = now;
        self.machine.join(now, &[address(seed)]).expect("it is up");
    }

    fn info(&self) -> Option<MemberInfo> {
        Some(MemberInfo {
            id: self.machine.id().clone(),
            state: State::Alive,
            incarnation: self.machine.incarnation(),
            record: self.machine.record().clone(),
            since: Duration::ZERO,
        })
    }

    fn take_over(&mut self, now: Duration, members: &[MemberInfo]) {
        self.now = now;
        self.machine.take_over(now, members).expect("it is up");
    }

    fn handle_packet(&mut self, now: Duration, from: usize, bytes: &[u8]) {
        self.now = now;
        self.machine
            .handle_packet(now, address(from), bytes)
            .expect("members understand each other");
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.now = now;
        self.machine.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.machine.poll_timeout()
    }

    fn poll_transmit(&mut self) -> Option<(usize, Vec<u8>)> {
        self.machine
            .poll_transmit()
            .map(|transmit| (index(transmit.to), transmit.bytes))
    }

    fn poll_call(&mut self) -> Option<(usize, Vec<u8>, Duration)> {
        self.machine
            .poll_call()
            .map(|call| (index(call.to), call.packet, call.within))
    }

    fn handle_stream(&mut self, now: Duration, from: usize, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.now = now;
        self.machine
            .handle_stream(now, address(from), bytes)
            .expect("members understand each other")
    }

    fn poll_news(&mut self) -> Option<News> {
        loop {
            match self.machine.poll_event()? {
                Event::MemberUnreachable { id, .. } => return Some(News::Lost(number(&id))),
                Event::RejoinPossible => {
                    let boot = BootUid(self.machine.id().boot.0 + (1 << 20));
                    self.machine
                        .rejoin(self.now, boot)
                        .expect("it is down, and the boot is greater");
                }
                _ => {}
            }
        }
    }

    fn split(&self, bytes: &[u8]) -> Vec<(&'static str, usize)> {
        let packet = Packet::decode(bytes).expect("members understand each other");
        let kind = match packet.body {
            Body::Ping { .. } if packet.header.introduce => "contact",
            Body::Ping { .. } => "ping",
            Body::Ack { .. } => "ack",
            Body::PingRequest { .. } => "ping-request",
            Body::Nack { .. } => "nack",
            Body::RelayedAck { .. } => "relayed-ack",
            Body::Gossip => "gossip",
            Body::SyncRequest { .. } => "sync-request",
            Body::SyncReply { .. } => "sync-reply",
        };
        let mut writer = PacketWriter::new(&packet.header, &packet.body, bytes.len());
        let mut parts = vec![(kind, bytes.len() - writer.room())];
        for update in &packet.updates {
            let room = writer.room();
            writer.push(update);
            let what = match (&update.record, &update.claim) {
                (Some(_), _) => "of-record",
                (None, Claim::Alive) => "of-alive",
                (None, Claim::Suspect { .. }) => "of-suspect",
                (None, Claim::Unreachable { .. }) => "of-unreachable",
                (None, Claim::Down { .. }) => "of-down",
            };
            parts.push((what, room - writer.room()));
        }
        parts
    }

    fn live_count(&self) -> usize {
        self.machine.live_count()
    }
}
