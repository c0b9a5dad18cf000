//! What a member tells the others about itself, within bounds.
//!
//! The member is the only author. It replaces the whole, which then has a greater version; receivers keep the greatest they saw. Nothing
//! here is merged from two sides.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use super::wire::Versions;

/// Largest encoded record of a member (address and metadata), in bytes: one fits in the smallest packet beside any body.
pub const RECORD_BYTES_MAX: usize = 512;

/// Free data of a member. Encoded, with the address, it has at most [`RECORD_BYTES_MAX`] bytes; each text has at most 255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Where remote references connect (TCP); `None` for a member that only gossips.
    pub stream_addr: Option<SocketAddr>,
    /// How much work the member wants, 0 (draining) to 100 (all it can). A wish to be heeded by placement, without effect on detection.
    pub health_percent: u8,
    /// Failure domain, for example a rack or an availability zone; empty when unknown.
    pub zone: String,
    /// What the member can be used for; at most 255.
    pub roles: Vec<String>,
    /// Free pairs, for example the application's version; at most 255.
    pub values: BTreeMap<String, String>,
}

/// The key among the [values](Metadata::values) of a member that says that it is cordoned. What stands there is a note for people.
pub const CORDON: &str = "cordon";

impl Metadata {
    /// Whether the member wants to be emptied: its health is 0.
    pub fn is_draining(&self) -> bool {
        self.health_percent == 0
    }

    /// Whether the member goes on with what it has, and is to get nothing new: it has [`CORDON`] among its values.
    pub fn is_cordoned(&self) -> bool {
        self.values.contains_key(CORDON)
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            stream_addr: None,
            health_percent: 100,
            zone: String::new(),
            roles: Vec::new(),
            values: BTreeMap::new(),
        }
    }
}

/// Why metadata was refused. The metadata in force stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// The encoded record would be too large.
    TooLarge {
        /// What it would have.
        bytes: usize,
    },
    /// A text has more than 255 bytes, or there are more than 255 roles or values.
    TooLong,
    /// The health is above 100.
    HealthAbove100,
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                write!(
                    f,
                    "metadata and address would take {bytes} bytes of at most {RECORD_BYTES_MAX}; the old metadata stays"
                )
            }
            Self::TooLong => write!(
                f,
                "a text above 255 bytes, or more than 255 roles or values; the old metadata stays"
            ),
            Self::HealthAbove100 => write!(
                f,
                "health is a percentage from 0 to 100; the old metadata stays"
            ),
        }
    }
}

impl std::error::Error for MetadataError {}

/// Address and metadata of one boot, as its author made them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Rises with each change by the author.
    pub version: u64,
    /// Where its datagrams are received.
    pub addr: SocketAddr,
    /// The rest.
    pub metadata: Metadata,
    /// Which versions of the protocol it reads.
    pub versions: Versions,
    /// Trailing bytes that a newer version of the protocol added: kept and passed on, not understood.
    pub unknown: Box<[u8]>,
}
