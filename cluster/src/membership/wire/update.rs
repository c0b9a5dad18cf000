//! Updates and records as bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::primitives::{PacketError, Reader, put_addr, put_text, put_varint};
use super::versions::Versions;
use crate::membership::claim::{Claim, DownReason, INCARNATION_MAX, Update};
use crate::membership::metadata::{Metadata, RECORD_BYTES_MAX, Record};

/// Longest item: an update with two names, a record and some room for later additions.
pub(super) const ITEM_BYTES_MAX: usize = RECORD_BYTES_MAX + 300;

const TAG_ALIVE: u8 = 0;
const TAG_SUSPECT: u8 = 1;
const TAG_UNREACHABLE: u8 = 2;
const TAG_LEFT: u8 = 3;
const TAG_DOWN_BY_POLICY: u8 = 4;
const TAG_DOWN_BY_OPERATOR: u8 = 5;
const TAG_REPLACED: u8 = 6;
/// Set when a record follows.
const TAG_WITH_RECORD: u8 = 0x80;

const RECORD_HAS_STREAM_ADDR: u8 = 1;

/// Size of a record as bytes.
pub fn record_bytes(record: &Record) -> usize {
    let mut out = Vec::with_capacity(RECORD_BYTES_MAX);
    put_record(&mut out, record);
    out.len()
}

pub(super) fn put_update(out: &mut Vec<u8>, update: &Update) {
    let mut bytes = Vec::with_capacity(128);
    put_text(&mut bytes, update.name.as_str());
    bytes.extend_from_slice(&update.boot.0.to_le_bytes());
    let (tag, author) = match &update.claim {
        Claim::Alive => (TAG_ALIVE, None),
        Claim::Suspect { accuser } => (TAG_SUSPECT, Some(accuser)),
        Claim::Unreachable { accuser } => (TAG_UNREACHABLE, Some(accuser)),
        Claim::Down { reason, decider } => {
            let tag = match reason {
                DownReason::Left => TAG_LEFT,
                DownReason::Policy => TAG_DOWN_BY_POLICY,
                DownReason::Operator => TAG_DOWN_BY_OPERATOR,
                DownReason::Replaced => TAG_REPLACED,
            };
            (tag, Some(decider))
        }
    };
    bytes.push(
        tag | if update.record.is_some() {
            TAG_WITH_RECORD
        } else {
            0
        },
    );
    put_varint(&mut bytes, update.incarnation);
    if let Some(author) = author {
        put_text(&mut bytes, author.as_str());
    }
    if let Some(record) = &update.record {
        let mut encoded = Vec::with_capacity(128);
        put_record(&mut encoded, record);
        put_varint(&mut bytes, encoded.len() as u64);
        bytes.extend_from_slice(&encoded);
    }
    bytes.extend_from_slice(&update.unknown);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(&bytes);
}

/// Reads an update; `None` for a claim that only a newer version knows.
pub(super) fn read_update(mut part: Reader<'_>) -> Result<Option<Update>, PacketError> {
    let name = part.name()?;
    let boot = part.boot()?;
    let tag = part.u8()?;
    let incarnation = part.varint()?;
    if incarnation > INCARNATION_MAX {
        return Err(PacketError::Value);
    }
    let claim = match tag & !TAG_WITH_RECORD {
        TAG_ALIVE => Claim::Alive,
        TAG_SUSPECT => Claim::Suspect {
            accuser: part.name()?,
        },
        TAG_UNREACHABLE => Claim::Unreachable {
            accuser: part.name()?,
        },
        TAG_LEFT => Claim::Down {
            reason: DownReason::Left,
            decider: part.name()?,
        },
        TAG_DOWN_BY_POLICY => Claim::Down {
            reason: DownReason::Policy,
            decider: part.name()?,
        },
        TAG_DOWN_BY_OPERATOR => Claim::Down {
            reason: DownReason::Operator,
            decider: part.name()?,
        },
        TAG_REPLACED => Claim::Down {
            reason: DownReason::Replaced,
            decider: part.name()?,
        },
        _ => return Ok(None),
    };
    let record = match tag & TAG_WITH_RECORD {
        0 => None,
        _ => Some(Arc::new(read_record(part.part(RECORD_BYTES_MAX)?)?)),
    };
    Ok(Some(Update {
        name,
        boot,
        incarnation,
        claim,
        record,
        unknown: part.rest().into(),
    }))
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    let metadata = &record.metadata;
    put_varint(out, record.version);
    put_addr(out, record.addr);
    out.push(if metadata.stream_addr.is_some() {
        RECORD_HAS_STREAM_ADDR
    } else {
        0
    });
    if let Some(addr) = metadata.stream_addr {
        put_addr(out, addr);
    }
    out.push(metadata.health_percent);
    put_text(out, &metadata.zone);
    out.push(metadata.roles.len() as u8);
    for role in &metadata.roles {
        put_text(out, role);
    }
    out.push(metadata.values.len() as u8);
    for (key, value) in &metadata.values {
        put_text(out, key);
        put_text(out, value);
    }
    // What stands after it could not be told from it.
    if record.versions != Versions::FIRST || !record.unknown.is_empty() {
        out.push(record.versions.to_byte());
    }
    out.extend_from_slice(&record.unknown);
}

fn read_record(mut part: Reader<'_>) -> Result<Record, PacketError> {
    let version = part.varint()?;
    let addr = part.addr()?;
    let flags = part.u8()?;
    let stream_addr = if flags & RECORD_HAS_STREAM_ADDR == 0 {
        None
    } else {
        Some(part.addr()?)
    };
    let health_percent = part.u8()?;
    if health_percent > 100 {
        return Err(PacketError::Value);
    }
    let zone = part.text()?.to_owned();
    let roles = (0..part.u8()?)
        .map(|_| part.text().map(str::to_owned))
        .collect::<Result<Vec<_>, _>>()?;
    let mut values = BTreeMap::new();
    for _ in 0..part.u8()? {
        let key = part.text()?.to_owned();
        values.insert(key, part.text()?.to_owned());
    }
    let metadata = Metadata {
        stream_addr,
        health_percent,
        zone,
        roles,
        values,
    };
    let versions = match part.is_empty() {
        true => Versions::FIRST,
        false => Versions::from_byte(part.u8()?)?,
    };
    Ok(Record {
        version,
        addr,
        metadata,
        versions,
        unknown: part.rest().into(),
    })
}
