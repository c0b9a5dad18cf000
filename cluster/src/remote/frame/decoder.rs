//! Frames in a stream of bytes.

use super::{Frame, FrameError, LENGTH_BYTES, encoding::decode};

/// How far a buffer is extended at once, in bytes.
pub(super) const GROWTH_BYTES: usize = 64 * 1024;

/// Capacity of a buffer that is filled by each read, and half of what an empty one keeps, in bytes.
const KEPT_BYTES: usize = 256 * 1024;

/// Finds frames in a stream of bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How many of them have been handed out.
    taken: usize,
}

impl Decoder {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where to append what has been read. Frames that were handed out are forgotten.
    pub fn space(&mut self) -> &mut Vec<u8> {
        // What has come filled it: more comes at once than it has room for.
        let capacity = self.bytes.capacity();
        let was_full = capacity > 0 && self.bytes.len() == capacity;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            if capacity > 2 * KEPT_BYTES {
                self.bytes.shrink_to(KEPT_BYTES);
            }
            self.taken = 0;
        } else if capacity - self.bytes.len() < GROWTH_BYTES {
            // What is left is moved to the front only when there is no room behind it: seldom, if the buffer is long.
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        let is_too_short = was_full && capacity < KEPT_BYTES;
        self.bytes.reserve(if is_too_short {
            KEPT_BYTES
        } else {
            GROWTH_BYTES
        });
        &mut self.bytes
    }

    /// Whether [`next`](Self::next) has a frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`], as soon as the length is there.
    pub fn is_ready(&self, frame_bytes_max: usize) -> Result<bool, FrameError> {
        Ok(self.peek(frame_bytes_max)?.is_some())
    }

    /// What follows the length of the next frame, if all of it is there.
    fn peek(&self, frame_bytes_max: usize) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.bytes[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let bytes = u32::from_le_bytes(*length) as usize;
        if bytes > frame_bytes_max {
            return Err(FrameError::TooLong {
                bytes,
                bytes_max: frame_bytes_max,
            });
        }
        Ok(rest.get(..bytes))
    }

    /// The next whole frame; `None` until more bytes have come.
    ///
    /// # Errors
    ///
    /// See [`FrameError`]. Nothing that follows can be trusted.
    pub fn next(&mut self, frame_bytes_max: usize) -> Result<Option<Frame<'_>>, FrameError> {
        let Some(bytes) = self.peek(frame_bytes_max)?.map(<[u8]>::len) else {
            return Ok(None);
        };
        let begin = self.taken + LENGTH_BYTES;
        self.taken = begin + bytes;
        decode(&self.bytes[begin..self.taken]).map(Some)
    }

    /// Whether there is something that [`next`](Self::next) has not handed out: when that says `None`, a part of a frame.
    pub fn has_part(&self) -> bool {
        self.taken < self.bytes.len()
    }

    /// How much memory it holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
