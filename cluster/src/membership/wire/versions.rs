//! Which versions of the format a member understands, and which one two members speak.
//!
//! Every packet says in which version it is written and which ones its sender reads; a record says the latter too, so that it is known of a
//! member that has not been heard itself. A writer takes the newest version that the receiver reads, and the oldest one of its own where
//! nothing is known of the receiver. So members of two versions live side by side, and what only the newer one can say is said among
//! those that understand it.

use super::PacketError;
use super::{VERSION_MAX, VERSION_MIN};

/// A range of versions; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    oldest: u8,
    newest: u8,
}

impl Versions {
    /// The first version alone: what whoever says nothing of versions understands.
    pub const FIRST: Self = Self {
        oldest: 1,
        newest: 1,
    };

    /// What this build reads when it goes up to `newest`, which is taken into [`VERSION_MIN`] to [`VERSION_MAX`].
    pub fn up_to(newest: u8) -> Self {
        Self {
            oldest: VERSION_MIN,
            newest: newest.clamp(VERSION_MIN, VERSION_MAX),
        }
    }

    /// The oldest.
    pub fn oldest(self) -> u8 {
        self.oldest
    }

    /// The newest.
    pub fn newest(self) -> u8 {
        self.newest
    }

    /// Whether a packet of that version can be read.
    pub fn contain(self, version: u8) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }

    /// In which version one that reads these writes to one that reads `theirs`: the newest that both read. If there is none the two cannot
    /// speak with each other, and the nearest one is given, which the other will refuse and count.
    pub fn to_speak_with(self, theirs: Self) -> u8 {
        self.newest.min(theirs.newest).max(self.oldest)
    }

    pub(super) fn to_byte(self) -> u8 {
        self.oldest << 4 | self.newest
    }

    pub(super) fn from_byte(byte: u8) -> Result<Self, PacketError> {
        let (oldest, newest) = (byte >> 4, byte & 0x0f);
        if oldest == 0 || oldest > newest {
            return Err(PacketError::Value);
        }
        Ok(Self { oldest, newest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_members_speak_the_newest_version_that_both_read() {
        let check = |ours: (u8, u8), theirs: (u8, u8), expected| {
            let range = |(oldest, newest)| Versions { oldest, newest };
            assert_eq!(
                range(ours).to_speak_with(range(theirs)),
                expected,
                "{ours:?} to {theirs:?}"
            );
        };
        check((1, 2), (1, 2), 2);
        check((1, 2), (1, 1), 1);
        check((1, 1), (1, 2), 1);
        check((1, 2), (2, 5), 2);
        check((2, 3), (1, 1), 2); // refused there
        check((1, 1), (2, 3), 1); // refused there
    }

    #[test]
    fn a_range_is_a_byte_and_what_is_no_range_is_refused() {
        for byte in 0..=u8::MAX {
            match Versions::from_byte(byte) {
                Ok(range) => assert_eq!(range.to_byte(), byte),
                Err(error) => {
                    assert_eq!(error, PacketError::Value);
                    assert!(byte >> 4 == 0 || byte >> 4 > byte & 0x0f, "{byte:x}");
                }
            }
        }
    }
}
