//! Cursor and writers for the elements of a packet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::membership::identity::{BootUid, NodeName};

/// Why a packet was refused. The machine's state is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketError {
    /// It ends in the middle of something.
    Truncated,
    /// It is in a version that this build does not read.
    Version {
        /// The version it is written in.
        version: u8,
    },
    /// Its kind is not known in this version.
    Kind(u8),
    /// A name is not a valid one.
    Name,
    /// A text is not UTF-8.
    Text,
    /// A tag or number has no meaning.
    Value,
    /// A part is longer than it may be.
    TooLong,
    /// It claims to come from this very boot.
    FromMyself,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "the packet ends too early"),
            Self::Version { version } => write!(
                f,
                "the packet has version {version}, which this build does not read"
            ),
            Self::Kind(kind) => write!(f, "the packet has the unknown kind {kind}"),
            Self::Name => write!(f, "the packet has an invalid node name"),
            Self::Text => write!(f, "the packet has text that is not UTF-8"),
            Self::Value => write!(f, "the packet has a value without meaning"),
            Self::TooLong => write!(f, "a part of the packet is longer than allowed"),
            Self::FromMyself => write!(f, "the packet comes from this node itself"),
        }
    }
}

impl std::error::Error for PacketError {}

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], PacketError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(PacketError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PacketError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(PacketError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, PacketError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, PacketError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, PacketError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn varint(&mut self) -> Result<u64, PacketError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(PacketError::Value);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(PacketError::Value)
    }

    /// A part with its length in front.
    pub(super) fn part(&mut self, bytes_max: usize) -> Result<Reader<'a>, PacketError> {
        let length = usize::try_from(self.varint()?).map_err(|_| PacketError::TooLong)?;
        if length > bytes_max {
            return Err(PacketError::TooLong);
        }
        Ok(Reader::new(self.bytes(length)?))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, PacketError> {
        let length = self.u8()?;
        std::str::from_utf8(self.bytes(length.into())?).map_err(|_| PacketError::Text)
    }

    pub(super) fn name(&mut self) -> Result<NodeName, PacketError> {
        NodeName::new(self.text()?).map_err(|_| PacketError::Name)
    }

    pub(super) fn boot(&mut self) -> Result<BootUid, PacketError> {
        Ok(BootUid(self.u64()?))
    }

    pub(super) fn addr(&mut self) -> Result<SocketAddr, PacketError> {
        let ip: IpAddr = match self.u8()? {
            4 => Ipv4Addr::from(self.array::<4>()?).into(),
            6 => Ipv6Addr::from(self.array::<16>()?).into(),
            _ => return Err(PacketError::Value),
        };
        Ok(SocketAddr::new(ip, u16::from_le_bytes(self.array()?)))
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a text of at most 255 bytes; callers have checked that.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() <= 255);
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_addr(out: &mut Vec<u8>, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&addr.port().to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back() {
        for value in [
            0,
            1,
            127,
            128,
            300,
            u64::from(u32::MAX),
            u64::MAX - 1,
            u64::MAX,
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(Reader::new(&out).varint(), Ok(value));
        }
    }

    #[test]
    fn a_varint_that_is_too_long_is_refused() {
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(PacketError::Value));
        assert_eq!(
            Reader::new(&[0xff; 3]).varint(),
            Err(PacketError::Truncated)
        );
    }

    #[test]
    fn a_length_beyond_its_bound_is_refused_before_it_is_read() {
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert_eq!(
            Reader::new(&out).part(100).err(),
            Some(PacketError::TooLong)
        );
    }
}
