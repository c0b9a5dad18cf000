//! The bytes of a packet. Written by hand, so that every length has one visible check.
//!
//! ```text
//! packet  = version:u8 min_and_max_version:u4,u4 kind_and_flags:u4,u4 name boot:u64 digest:u32 body items [0 trailing]
//! name    = length:u8 bytes
//! body    = length:varint bytes                 unknown trailing bytes of a body are skipped
//! items   = *( length:varint>0 item )           until a length of 0 or the end; what follows a 0 is skipped
//! item    = update | notice                     a notice from version 2 on
//! update  = name boot:u64 tag:u8 incarnation:varint [author:name] [length:varint record] trailing
//! record  = version:varint addr flags:u8 [stream_addr] health:u8 zone roles values [min_and_max_version:u4,u4 trailing]
//! notice  = 0:u8 name boot:u64 number:varint name length:varint payload trailing
//! ```
//!
//! Versions:
//!
//! 1. The first. An item that begins with a 0 has no name, so the packet is refused.
//! 2. Items that begin with a 0 are notices. Nothing else differs: packets without notices have the same bytes but for the first.
//!
//! A record says nothing of versions if its member reads the first alone. Members of that version keep and pass on the byte that others add.
//!
//! Integers are little-endian; varints are LEB128 of at most 10 bytes. Trailing bytes of updates and records are kept and passed on, so
//! that a newer member's additions survive a journey through older ones. Decoding allocates at most what the packet has bytes for, and
//! never panics; whatever does not fit is a [`PacketError`] and changes nothing.

mod notice;
mod packet;
mod primitives;
#[cfg(test)]
mod tests;
mod update;
mod versions;

pub use packet::{Body, Header, Packet, PacketWriter, Phase};
pub use primitives::PacketError;
pub use update::record_bytes;
pub use versions::Versions;

/// The oldest version this build reads and writes.
pub const VERSION_MIN: u8 = 1;
/// The newest version it reads and writes.
pub const VERSION_MAX: u8 = 2;
/// The first version that has notices.
pub const VERSION_OF_NOTICES: u8 = 2;
/// How many buckets anti-entropy compares.
pub const BUCKETS: usize = 64;
