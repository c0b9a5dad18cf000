//! The outbox of a link: frames that wait to be written, already as bytes.
//!
//! Whoever has something to send appends it; the writer takes everything that is there and writes it at once. So frames
//! are batched exactly as far as they come faster than they are written, and an idle link adds no delay.

use super::frame::{self, Frame};

/// Capacity that an empty outbox keeps, in bytes.
const KEPT_BYTES: usize = 256 * 1024;

/// What is to be written next.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// How many messages of users are among it.
    messages: u64,
}

impl Outbox {
    pub(crate) fn push(&mut self, frame: &Frame<'_>) {
        frame::encode(&mut self.bytes, frame);
        if matches!(frame, Frame::Tell { .. } | Frame::TellWith { .. }) {
            self.messages += 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Moves everything into `batch`, which has to be empty and whose memory is used for what comes next. Returns how
    /// many messages it has.
    pub(crate) fn take(&mut self, batch: &mut Vec<u8>) -> u64 {
        batch.shrink_to(KEPT_BYTES);
        std::mem::swap(&mut self.bytes, batch);
        std::mem::take(&mut self.messages)
    }

    /// Throws everything away, and returns how many messages it had.
    pub(crate) fn clear(&mut self) -> u64 {
        self.bytes = Vec::new();
        std::mem::take(&mut self.messages)
    }
}
