//! Notices as bytes.

use super::primitives::{PacketError, Reader, put_text, put_varint};
use crate::membership::identity::NodeId;
use crate::membership::notice::{NOTICE_BYTES_MAX, NOTICE_NAME_BYTES_MAX, Notice};

/// What an item begins with if it is a notice: an update begins with the length of a name, which is never 0.
pub(super) const NOTICE: u8 = 0;

pub(super) fn put_notice(out: &mut Vec<u8>, notice: &Notice) {
    let mut bytes = Vec::with_capacity(64 + notice.payload.len());
    bytes.push(NOTICE);
    put_text(&mut bytes, notice.origin.name.as_str());
    bytes.extend_from_slice(&notice.origin.boot.0.to_le_bytes());
    put_varint(&mut bytes, notice.number);
    put_text(&mut bytes, &notice.name);
    put_varint(&mut bytes, notice.payload.len() as u64);
    bytes.extend_from_slice(&notice.payload);
    bytes.extend_from_slice(&notice.unknown);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(&bytes);
}

pub(super) fn read_notice(mut part: Reader<'_>) -> Result<Notice, PacketError> {
    if part.u8()? != NOTICE {
        return Err(PacketError::Value);
    }
    let origin = NodeId {
        name: part.name()?,
        boot: part.boot()?,
    };
    let number = part.varint()?;
    let name = part.text()?;
    if name.len() > NOTICE_NAME_BYTES_MAX {
        return Err(PacketError::TooLong);
    }
    let payload = part.part(NOTICE_BYTES_MAX)?.rest();
    Ok(Notice {
        origin,
        number,
        name: name.into(),
        payload: payload.into(),
        unknown: part.rest().into(),
    })
}
