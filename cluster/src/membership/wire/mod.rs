//! The bytes of a packet. Written by hand, so that every length has one visible check.
//!
//! ```text
//! packet  = version:u8 min_and_max_version:u4,u4 kind_and_flags:u4,u4 name boot:u64 digest:u32 body updates [0 trailing]
//! name    = length:u8 bytes
//! body    = length:varint bytes                 unknown trailing bytes of a body are skipped
//! updates = *( length:varint>0 update )         until a length of 0 or the end; what follows a 0 is skipped
//! update  = name boot:u64 tag:u8 incarnation:varint [author:name] [length:varint record] trailing
//! record  = version:varint addr flags:u8 [stream_addr] health:u8 zone roles values trailing
//! ```
//!
//! Integers are little-endian; varints are LEB128 of at most 10 bytes. Trailing bytes of updates and records are kept and passed on, so
//! that a newer member's additions survive a journey through older ones. Decoding allocates at most what the packet has bytes for, and
//! never panics; whatever does not fit is a [`PacketError`] and changes nothing.

mod packet;
mod primitives;
#[cfg(test)]
mod tests;
mod update;

pub use packet::{Body, Header, Packet, PacketWriter, Phase};
pub use primitives::PacketError;
pub use update::record_bytes;

/// The version this code writes.
pub const VERSION: u8 = 1;
/// The oldest version it reads.
pub const VERSION_MIN: u8 = 1;
/// The newest version it reads.
pub const VERSION_MAX: u8 = 1;
/// How many buckets anti-entropy compares.
pub const BUCKETS: usize = 64;
