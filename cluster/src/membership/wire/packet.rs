//! Whole packets: header, body, updates.

use super::notice::{NOTICE, put_notice, read_notice};
use super::primitives::{PacketError, Reader, put_text, put_varint};
use super::update::{ITEM_BYTES_MAX, put_update, read_update};
use super::versions::Versions;
use super::{BUCKETS, VERSION_MAX, VERSION_OF_NOTICES};
use crate::membership::claim::Update;
use crate::membership::identity::NodeId;
use crate::membership::notice::Notice;

/// Longest body: all buckets with room for later additions.
const BODY_BYTES_MAX: usize = BUCKETS * 4 + 256;

const KIND_PING: u8 = 1;
const KIND_ACK: u8 = 2;
const KIND_PING_REQUEST: u8 = 3;
const KIND_NACK: u8 = 4;
const KIND_RELAYED_ACK: u8 = 5;
const KIND_GOSSIP: u8 = 6;
const KIND_SYNC_REQUEST: u8 = 7;
const KIND_SYNC_REPLY: u8 = 8;

const FLAG_INTRODUCE: u8 = 0b100;
const FLAG_QUORATE: u8 = 0b1000;
const FLAGS_PHASE: u8 = 0b011;

/// In which part of its life the sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes part.
    Up,
    /// It has said good-bye and is about to stop.
    Leaving,
    /// It knows that its boot is down, and waits for a chance to rejoin.
    Downed,
}

/// What every packet starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// In which version the packet is written.
    pub version: u8,
    /// Which versions the sender reads.
    pub versions: Versions,
    /// Who sends.
    pub from: NodeId,
    /// The part of its life.
    pub phase: Phase,
    /// The receiver shall send its own record back.
    pub introduce: bool,
    /// The sender reaches more members of its view than not. What has been declared down may only rejoin through such a one.
    pub quorate: bool,
    /// Fingerprint of the sender's whole view; 4 bytes however large the cluster is.
    pub digest: u32,
}

/// What a packet is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Asks for an ack.
    Ping {
        /// Comes back in the ack.
        seq: u64,
    },
    /// Answers a ping.
    Ack {
        /// From the ping.
        seq: u64,
    },
    /// Asks to ping `target` and to relay its ack. It names a member, not an address: the relay knows the address itself, so nobody can
    /// be made to send to a place of the asker's choice.
    PingRequest {
        /// Comes back in the answer.
        seq: u64,
        /// Whom to ping.
        target: NodeId,
        /// Send a nack if there was no ack by then.
        nack_after_ms: u32,
    },
    /// The relay lives, but the target has not answered it so far.
    Nack {
        /// From the request.
        seq: u64,
    },
    /// The target answered the relay.
    RelayedAck {
        /// From the request.
        seq: u64,
    },
    /// Carries updates only.
    Gossip,
    /// Asks for the rows of those buckets whose digests differ.
    SyncRequest {
        /// The sender's, by bucket.
        buckets: Box<[u32; BUCKETS]>,
    },
    /// Last packet of an answer. The rows themselves travel before it, and in it, as updates.
    SyncReply {
        /// One bit for each bucket that differed.
        differing: u64,
        /// The answerer's digests of those buckets, lowest bucket first.
        digests: Vec<u32>,
        /// Not all rows fitted in the answer.
        more: bool,
    },
}

/// A packet, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sends, and what it knows.
    pub header: Header,
    /// What it is for.
    pub body: Body,
    /// News.
    pub updates: Vec<Update>,
    /// What applications tell each other; none before [`VERSION_OF_NOTICES`].
    pub notices: Vec<Notice>,
}

impl Packet {
    /// Reads a packet in any version that this build reads. Costs at most in proportion to `bytes`.
    ///
    /// # Errors
    /// [`PacketError`] for anything but a whole packet in such a version.
    pub fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        Self::decode_in(Versions::up_to(VERSION_MAX), bytes)
    }

    /// The same for one who reads only `read`, as an older build does.
    ///
    /// # Errors
    /// [`PacketError`] for anything but a whole packet in one of these versions.
    pub fn decode_in(read: Versions, bytes: &[u8]) -> Result<Self, PacketError> {
        let mut from = Reader::new(bytes);
        let [version, min_and_max] = from.array()?;
        if !read.contain(version) {
            return Err(PacketError::Version { version });
        }
        let versions = Versions::from_byte(min_and_max)?;
        let kind_and_flags = from.u8()?;
        let (kind, flags) = (kind_and_flags >> 4, kind_and_flags & 0x0f);
        let phase = match flags & FLAGS_PHASE {
            0 => Phase::Up,
            1 => Phase::Leaving,
            2 => Phase::Downed,
            _ => return Err(PacketError::Value),
        };
        let sender = NodeId {
            name: from.name()?,
            boot: from.boot()?,
        };
        let digest = from.u32()?;
        let (introduce, quorate) = (flags & FLAG_INTRODUCE != 0, flags & FLAG_QUORATE != 0);
        let header = Header {
            version,
            versions,
            from: sender,
            phase,
            introduce,
            quorate,
            digest,
        };
        let body = read_body(kind, from.part(BODY_BYTES_MAX)?)?;
        let (mut updates, mut notices) = (Vec::new(), Vec::new());
        while let Some(item) = next_item(&mut from)? {
            let is_notice = item.rest().first() == Some(&NOTICE) && version >= VERSION_OF_NOTICES;
            match is_notice {
                true => notices.push(read_notice(item)?),
                false => updates.extend(read_update(item)?),
            }
        }
        Ok(Self {
            header,
            body,
            updates,
            notices,
        })
    }
}

/// The next item, or `None` at the end of them.
fn next_item<'a>(from: &mut Reader<'a>) -> Result<Option<Reader<'a>>, PacketError> {
    if from.is_empty() {
        return Ok(None);
    }
    let item = from.part(ITEM_BYTES_MAX)?;
    Ok((!item.is_empty()).then_some(item))
}

fn read_body(kind: u8, mut part: Reader<'_>) -> Result<Body, PacketError> {
    Ok(match kind {
        KIND_PING => Body::Ping {
            seq: part.varint()?,
        },
        KIND_ACK => Body::Ack {
            seq: part.varint()?,
        },
        KIND_PING_REQUEST => Body::PingRequest {
            seq: part.varint()?,
            target: NodeId {
                name: part.name()?,
                boot: part.boot()?,
            },
            nack_after_ms: part.u32()?,
        },
        KIND_NACK => Body::Nack {
            seq: part.varint()?,
        },
        KIND_RELAYED_ACK => Body::RelayedAck {
            seq: part.varint()?,
        },
        KIND_GOSSIP => Body::Gossip,
        KIND_SYNC_REQUEST => {
            let mut buckets = Box::new([0; BUCKETS]);
            for bucket in buckets.iter_mut() {
                *bucket = part.u32()?;
            }
            Body::SyncRequest { buckets }
        }
        KIND_SYNC_REPLY => {
            let more = part.u8()? != 0;
            let differing = part.u64()?;
            let digests = (0..differing.count_ones())
                .map(|_| part.u32())
                .collect::<Result<_, _>>()?;
            Body::SyncReply {
                differing,
                digests,
                more,
            }
        }
        unknown => return Err(PacketError::Kind(unknown)),
    })
}

/// Builds a packet: header and body first, then as many items as fit.
#[derive(Debug)]
pub struct PacketWriter {
    version: u8,
    out: Vec<u8>,
    bytes_max: usize,
    updates: usize,
}

impl PacketWriter {
    /// Starts a packet of at most `bytes_max` bytes, which header and body must not exceed by themselves.
    pub fn new(header: &Header, body: &Body, bytes_max: usize) -> Self {
        let mut out = Vec::with_capacity(256);
        let phase = match header.phase {
            Phase::Up => 0,
            Phase::Leaving => 1,
            Phase::Downed => 2,
        };
        let introduce = if header.introduce { FLAG_INTRODUCE } else { 0 };
        let quorate = if header.quorate { FLAG_QUORATE } else { 0 };
        let flags = phase | introduce | quorate;
        out.extend_from_slice(&[
            header.version,
            header.versions.to_byte(),
            kind_of(body) << 4 | flags,
        ]);
        put_text(&mut out, header.from.name.as_str());
        out.extend_from_slice(&header.from.boot.0.to_le_bytes());
        out.extend_from_slice(&header.digest.to_le_bytes());
        let mut encoded = Vec::with_capacity(32);
        put_body(&mut encoded, body);
        put_varint(&mut out, encoded.len() as u64);
        out.extend_from_slice(&encoded);
        Self {
            version: header.version,
            out,
            bytes_max,
            updates: 0,
        }
    }

    /// Appends an update; false, and no change, if it does not fit.
    pub fn push(&mut self, update: &Update) -> bool {
        let fits = self.put(|out| put_update(out, update));
        self.updates += usize::from(fits);
        fits
    }

    /// Appends a notice; false, and no change, if it does not fit, or if the version of the packet has none.
    pub fn push_notice(&mut self, notice: &Notice) -> bool {
        self.has_notices() && self.put(|out| put_notice(out, notice))
    }

    /// Whether the version of the packet has notices.
    pub fn has_notices(&self) -> bool {
        self.version >= VERSION_OF_NOTICES
    }

    fn put(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> bool {
        let before = self.out.len();
        put(&mut self.out);
        let fits = self.out.len() <= self.bytes_max;
        if !fits {
            self.out.truncate(before);
        }
        fits
    }

    /// How many updates are in it.
    pub fn updates(&self) -> usize {
        self.updates
    }

    /// How many more bytes fit.
    pub fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.out.len())
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

fn kind_of(body: &Body) -> u8 {
    match body {
        Body::Ping { .. } => KIND_PING,
        Body::Ack { .. } => KIND_ACK,
        Body::PingRequest { .. } => KIND_PING_REQUEST,
        Body::Nack { .. } => KIND_NACK,
        Body::RelayedAck { .. } => KIND_RELAYED_ACK,
        Body::Gossip => KIND_GOSSIP,
        Body::SyncRequest { .. } => KIND_SYNC_REQUEST,
        Body::SyncReply { .. } => KIND_SYNC_REPLY,
    }
}

fn put_body(out: &mut Vec<u8>, body: &Body) {
    match body {
        Body::Ping { seq } | Body::Ack { seq } | Body::Nack { seq } | Body::RelayedAck { seq } => {
            put_varint(out, *seq)
        }
        Body::PingRequest {
            seq,
            target,
            nack_after_ms,
        } => {
            put_varint(out, *seq);
            put_text(out, target.name.as_str());
            out.extend_from_slice(&target.boot.0.to_le_bytes());
            out.extend_from_slice(&nack_after_ms.to_le_bytes());
        }
        Body::Gossip => {}
        Body::SyncRequest { buckets } => buckets
            .iter()
            .for_each(|digest| out.extend_from_slice(&digest.to_le_bytes())),
        Body::SyncReply {
            differing,
            digests,
            more,
        } => {
            out.push(u8::from(*more));
            out.extend_from_slice(&differing.to_le_bytes());
            digests
                .iter()
                .for_each(|digest| out.extend_from_slice(&digest.to_le_bytes()));
        }
    }
}
