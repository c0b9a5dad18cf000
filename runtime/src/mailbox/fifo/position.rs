//! The words of the FIFO and the arithmetic of positions.
//!
//! A *position* counts places: each lap has one place for each slot of a block and one more, [`INSTALLING`], at which the
//! tail stands while the next block is put in, and the head until the consumer leaves its block. A *number* counts only slots. The tail word is the position of the next send
//! above three flags. 61 bits of position last for 70 years of a send each nanosecond, so nothing here wraps.

use super::block::SLOTS;

/// Nothing more is taken.
pub(super) const CLOSED: u64 = 1;
/// Senders wait in line, others must not overtake.
pub(super) const WAITERS: u64 = 1 << 1;
/// No block is installed; the position is at the start of a lap.
pub(super) const NOBLOCK: u64 = 1 << 2;

const SHIFT: u32 = 3;
const LAP: u64 = SLOTS as u64 + 1;
const _: () = assert!(LAP.is_power_of_two(), "the offset is a mask");

/// One place, as it is added to the tail word.
pub(super) const ONE: u64 = 1 << SHIFT;
/// The offset at which no slot is.
pub(super) const INSTALLING: usize = SLOTS;

/// The position in a tail word.
pub(super) const fn position(tail: u64) -> u64 {
    tail >> SHIFT
}

/// The slot of a position within its block, or [`INSTALLING`].
pub(super) const fn offset(position: u64) -> usize {
    (position & (LAP - 1)) as usize
}

/// The number of a position. That of [`INSTALLING`] is that of the first slot of the next lap.
pub(super) const fn number(position: u64) -> u64 {
    position - (position >> LAP.trailing_zeros())
}

/// The start of the lap after that of a position.
pub(super) const fn next_lap(position: u64) -> u64 {
    (position | (LAP - 1)) + 1
}

/// In the published word: the consumer sleeps, or is about to look whether it may.
pub(super) const PARKED: u64 = 1;

/// The published word of an awake consumer that has taken out `count` messages.
pub(super) const fn publication(count: u64) -> u64 {
    count << 1
}

/// How many messages have been taken out, in a published word.
pub(super) const fn taken_out(published: u64) -> u64 {
    published >> 1
}
