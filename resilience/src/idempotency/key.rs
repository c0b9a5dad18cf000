//! The name of one operation, however often it is attempted.

use std::fmt;

/// Names one operation across all of its attempts, so that the receiver can tell a repetition from a new request.
///
/// 128 bits that the caller draws once for each operation, from a source that does not repeat (a UUID, for instance), never once for
/// each attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdempotencyKey(u128);

impl IdempotencyKey {
    /// A key with exactly these bits.
    #[must_use]
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits, to send them.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for IdempotencyKey {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
