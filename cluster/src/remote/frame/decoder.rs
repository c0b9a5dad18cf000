//! Frames in a stream of bytes.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{FRAME_BYTES_MAX, Frame, FrameError, LENGTH_BYTES, encoding::decode};

/// How far a buffer is extended at once, in bytes.
pub(super) const GROWTH_BYTES: usize = 64 * 1024;

/// Capacity of a buffer that is filled by each read, and half of what an empty one keeps, in bytes.
const KEPT_BYTES: usize = 256 * 1024;

/// A frame from this length on is read into memory of its own, in bytes, so that its content can be kept without a copy.
pub(super) const BIG_BYTES: usize = 32 * 1024;

/// Behind such a frame there often is another one: so much is read to see that, and has to be copied then, in bytes.
const GLANCE_BYTES: usize = 2 * 1024;

/// Finds frames in a stream of bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How many of them have been handed out.
    taken: usize,
    /// A big frame that is arriving; `bytes` has nothing more then.
    arriving: Option<Big>,
    /// The big frame that was handed out last, without its length.
    last: Bytes,
    /// The last frame was a big one.
    was_big: bool,
    /// The memory of a big frame of which nothing was kept.
    spare: BytesMut,
}

#[derive(Debug)]
struct Big {
    length: usize,
    bytes: BytesMut,
    /// How many are still to come.
    left: usize,
}

/// A frame, and the memory in which it lies, if it has memory of its own.
type Found<'d> = (Frame<'d>, Option<&'d Bytes>);

impl Decoder {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads what is there, but not much more than is useful. Frames that were handed out are forgotten. Returns how many bytes were read;
    /// none: it is the end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// Those of `reader`.
    pub async fn read_from(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.begin_big();
        if let Some(big) = &mut self.arriving {
            let read = reader
                .read_buf(&mut (&mut big.bytes).limit(big.left))
                .await?;
            big.left -= read;
            return Ok(read);
        }
        let limit = match self.was_big {
            true => GLANCE_BYTES,
            false => usize::MAX,
        };
        reader.read_buf(&mut self.space().limit(limit)).await
    }

    /// Appends what has been read already. Frames that were handed out are forgotten.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        self.begin_big();
        if let Some(big) = &mut self.arriving {
            let (of_it, behind) = bytes.split_at(bytes.len().min(big.left));
            big.bytes.extend_from_slice(of_it);
            big.left -= of_it.len();
            bytes = behind;
        }
        self.space().extend_from_slice(bytes);
    }

    /// What has come of a big frame moves to memory of its own.
    fn begin_big(&mut self) {
        if self.arriving.is_some() {
            return;
        }
        let rest = &self.bytes[self.taken..];
        let Some((length, begun)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return;
        };
        let length = u32::from_le_bytes(*length) as usize;
        // One that is too long is refused by whoever looks for a frame.
        if !(BIG_BYTES..=FRAME_BYTES_MAX).contains(&length) || begun.len() >= length {
            return;
        }
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.reserve(length);
        bytes.extend_from_slice(begun);
        let left = length - begun.len();
        self.arriving = Some(Big {
            length,
            bytes,
            left,
        });
        self.taken = self.bytes.len();
    }

    fn space(&mut self) -> &mut Vec<u8> {
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
        match &self.arriving {
            Some(big) => Ok(is_within(big.length, frame_bytes_max)? && big.left == 0),
            None => Ok(self.peek(frame_bytes_max)?.is_some()),
        }
    }

    /// What follows the length of the next frame, if all of it is there.
    fn peek(&self, frame_bytes_max: usize) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.bytes[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let bytes = u32::from_le_bytes(*length) as usize;
        is_within(bytes, frame_bytes_max)?;
        Ok(rest.get(..bytes))
    }

    /// The next whole frame; `None` until more bytes have come.
    ///
    /// # Errors
    ///
    /// See [`FrameError`]. Nothing that follows can be trusted.
    pub fn next(&mut self, frame_bytes_max: usize) -> Result<Option<Frame<'_>>, FrameError> {
        let found = self.next_with_memory(frame_bytes_max)?;
        Ok(found.map(|(frame, _)| frame))
    }

    /// As [`next`](Self::next), with the memory in which the frame lies if it has memory of its own.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_with_memory(
        &mut self,
        frame_bytes_max: usize,
    ) -> Result<Option<Found<'_>>, FrameError> {
        if let Some(big) = &mut self.arriving {
            if !(is_within(big.length, frame_bytes_max)? && big.left == 0) {
                return Ok(None);
            }
            let big = std::mem::take(&mut big.bytes);
            self.arriving = None;
            self.was_big = true;
            self.last = big.freeze();
            let frame = decode(&self.last)?;
            return Ok(Some((frame, Some(&self.last))));
        }
        if !self.last.is_empty()
            && let Ok(spare) = std::mem::take(&mut self.last).try_into_mut()
        {
            self.spare = spare;
        }
        let Some(bytes) = self.peek(frame_bytes_max)?.map(<[u8]>::len) else {
            return Ok(None);
        };
        let begin = self.taken + LENGTH_BYTES;
        self.taken = begin + bytes;
        self.was_big = bytes >= BIG_BYTES;
        let frame = decode(&self.bytes[begin..self.taken])?;
        Ok(Some((frame, None)))
    }

    /// Whether there is something that [`next`](Self::next) has not handed out: when that says `None`, a part of a frame.
    pub fn has_part(&self) -> bool {
        self.arriving.is_some() || self.taken < self.bytes.len()
    }

    /// How much memory it holds, in bytes.
    pub fn capacity(&self) -> usize {
        let arriving = self.arriving.as_ref().map_or(0, |big| big.bytes.capacity());
        self.bytes.capacity() + arriving + self.last.len() + self.spare.capacity()
    }
}

/// True, or the error of a frame that is too long.
fn is_within(bytes: usize, bytes_max: usize) -> Result<bool, FrameError> {
    match bytes <= bytes_max {
        true => Ok(true),
        false => Err(FrameError::TooLong { bytes, bytes_max }),
    }
}
