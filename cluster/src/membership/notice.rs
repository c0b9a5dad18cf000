//! A notice: a small message of the application to all members, carried by the gossip.

use std::fmt;
use std::sync::Arc;

use super::identity::NodeId;

/// Largest payload of a notice, in bytes: with names of any length it fits in the smallest packet.
pub const NOTICE_BYTES_MAX: usize = 512;
/// Longest name of a notice, in bytes.
pub const NOTICE_NAME_BYTES_MAX: usize = 64;
/// How many notices of a member itself wait to be sent at a time.
pub const NOTICES_OF_ONES_OWN_MAX: usize = 64;

/// A notice, as it was posted and as it arrives. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which process of which node posted it.
    pub origin: NodeId,
    /// Its number among those of this origin, from 1 on. Later ones have greater ones.
    pub number: u64,
    /// What it is about. A later notice of the same origin and name replaces an earlier one that still waits; without a name (an empty one)
    /// it replaces nothing.
    pub name: Arc<str>,
    /// What it says.
    pub payload: Arc<[u8]>,
    /// Trailing bytes that a newer version of the protocol added: kept and passed on, not understood.
    pub unknown: Box<[u8]>,
}

/// Why a notice was not posted. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoticeError {
    /// The payload is longer than [`NOTICE_BYTES_MAX`].
    PayloadTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The name is longer than [`NOTICE_NAME_BYTES_MAX`].
    NameTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// [`NOTICES_OF_ONES_OWN_MAX`] earlier ones still wait to be sent: they leave when they have been sent often enough, which takes some
    /// rounds of gossip, and not at all while nobody is there to hear them.
    TooManyWaiting,
    /// [`wire_version_max`](super::Config::wire_version_max) pins this member to a version of the protocol that has no notices.
    VersionPinned,
}

impl fmt::Display for NoticeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PayloadTooLarge { bytes } => write!(
                f,
                "the payload of a notice has at most {NOTICE_BYTES_MAX} bytes, this one has {bytes}; nothing was posted"
            ),
            Self::NameTooLong { bytes } => write!(
                f,
                "the name of a notice has at most {NOTICE_NAME_BYTES_MAX} bytes, this one has {bytes}; nothing was posted"
            ),
            Self::TooManyWaiting => write!(
                f,
                "{NOTICES_OF_ONES_OWN_MAX} earlier notices still wait to be sent; nothing was posted"
            ),
            Self::VersionPinned => write!(
                f,
                "wire_version_max pins this member to a version without notices; nothing was posted"
            ),
        }
    }
}

impl std::error::Error for NoticeError {}
