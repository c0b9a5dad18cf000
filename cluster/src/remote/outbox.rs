//! The outbox of a link: frames that wait to be written, already as bytes.
//!
//! Whoever has something to send appends it; the writer takes everything that is there and writes it at once. So frames
//! are batched exactly as far as they come faster than they are written, and an idle link adds no delay.
//!
//! Short frames are bytes one behind the other. What is long keeps its own memory and is written from there, so that it is not copied here.

use std::io::IoSlice;

use bytes::Bytes;

use super::{
    codec::{self, Encoded},
    frame::{self, Frame},
    large::LargeKey,
    shared_bytes::UNCOPIED_BYTES,
};

/// Capacity that is kept when less is needed, in bytes.
const KEPT_BYTES: usize = 256 * 1024;

/// Frames, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// What has memory of its own: before which of the `bytes` each belongs, in order.
    pieces: Vec<(usize, Bytes)>,
    /// Bytes of the pieces.
    piece_bytes: usize,
}

impl Batch {
    pub(crate) fn push(&mut self, frame: &Frame<'_>) {
        frame::encode(&mut self.bytes, frame);
    }

    pub(crate) fn push_tell(&mut self, channel: u32, payload: Encoded) {
        frame::encode_tell_head(&mut self.bytes, channel, payload.len());
        let (bytes, pieces) = payload.into_parts();
        if bytes.len() >= UNCOPIED_BYTES && pieces.is_empty() {
            return self.push_piece(bytes.into());
        }
        let mut begin = 0;
        for (at, piece) in pieces {
            self.bytes.extend_from_slice(&bytes[begin..at]);
            self.push_piece(piece);
            begin = at;
        }
        self.bytes.extend_from_slice(&bytes[begin..]);
        codec::recycle(bytes);
    }

    /// The next part of a long message or answer.
    pub(crate) fn push_fragment(&mut self, of: LargeKey, fragment: Bytes) {
        match of {
            LargeKey::Message(channel) => {
                frame::encode_fragment_head(&mut self.bytes, channel, fragment.len());
            }
            LargeKey::Answer(number) => {
                frame::encode_reply_fragment_head(&mut self.bytes, number, fragment.len());
            }
        }
        self.push_piece(fragment);
    }

    fn push_piece(&mut self, piece: Bytes) {
        self.piece_bytes += piece.len();
        self.pieces.push((self.bytes.len(), piece));
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.piece_bytes
    }

    pub(crate) fn clear(&mut self) {
        if self.bytes.len() < self.bytes.capacity() / 4 {
            self.bytes.shrink_to(KEPT_BYTES);
        }
        self.bytes.clear();
        self.pieces.clear();
        self.piece_bytes = 0;
    }

    /// Everything in the order in which it is to be written.
    pub(crate) fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * self.pieces.len() + 1);
        let mut begin = 0;
        for (at, piece) in &self.pieces {
            slices.push(IoSlice::new(&self.bytes[begin..*at]));
            slices.push(IoSlice::new(piece));
            begin = *at;
        }
        slices.push(IoSlice::new(&self.bytes[begin..]));
        slices.retain(|slice| !slice.is_empty());
        slices
    }
}

/// What is to be written next.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    batch: Batch,
    /// How many messages of users are among it.
    messages: u64,
}

impl Outbox {
    pub(crate) fn push(&mut self, frame: &Frame<'_>) {
        self.batch.push(frame);
        if matches!(frame, Frame::Tell { .. } | Frame::TellWith { .. }) {
            self.messages += 1;
        }
    }

    /// A message without a context: most are.
    pub(crate) fn push_tell(&mut self, channel: u32, payload: Encoded) {
        self.batch.push_tell(channel, payload);
        self.messages += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.batch.len()
    }

    /// Moves everything into `batch`, which has to be empty and whose memory is used for what comes next. Returns how
    /// many messages it has.
    pub(crate) fn take(&mut self, batch: &mut Batch) -> u64 {
        std::mem::swap(&mut self.batch, batch);
        std::mem::take(&mut self.messages)
    }

    /// Throws everything away, and returns how many messages it had.
    pub(crate) fn clear(&mut self) -> u64 {
        self.batch = Batch::default();
        std::mem::take(&mut self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{
        codec::Payload,
        frame::{Decoder, FRAME_BYTES_MAX},
        shared_bytes::SharedBytes,
    };

    #[test]
    fn short_frames_and_pieces_are_written_in_the_order_in_which_they_were_pushed() {
        let mut outbox = Outbox::default();
        let payloads: Vec<Vec<u8>> = [3, UNCOPIED_BYTES, UNCOPIED_BYTES + 1, 0, 200, 70_000]
            .iter()
            .enumerate()
            .map(|(i, &bytes)| vec![i as u8; bytes])
            .collect();
        for (channel, payload) in (200..).zip(&payloads) {
            outbox.push(&Frame::Ping);
            outbox.push_tell(channel, payload.clone().into());
        }
        let queued = outbox.len();
        let mut batch = Batch::default();
        assert_eq!(outbox.take(&mut batch), payloads.len() as u64);
        assert_eq!((outbox.len(), batch.len()), (0, queued));
        let mut decoder = Decoder::new();
        for slice in batch.slices() {
            decoder.feed(&slice);
        }
        for (channel, payload) in (200..).zip(&payloads) {
            assert_eq!(decoder.next(FRAME_BYTES_MAX), Ok(Some(Frame::Ping)));
            let tell = Frame::Tell { channel, payload };
            assert_eq!(decoder.next(FRAME_BYTES_MAX), Ok(Some(tell)));
        }
        assert_eq!(decoder.next(FRAME_BYTES_MAX), Ok(None));
        batch.clear();
        assert_eq!((batch.len(), batch.slices().len()), (0, 0));
    }

    #[test]
    fn what_a_message_shares_is_written_from_where_it_lies() {
        let [first, second] = [7, 8].map(|byte| SharedBytes::from(vec![byte; UNCOPIED_BYTES]));
        let short = SharedBytes::from(vec![9; 10]);
        let mut payload = Payload::new(3 * UNCOPIED_BYTES);
        let message = (1_u8, first.clone(), short, second.clone(), "end");
        payload.postcard(&message).unwrap();
        let expected = postcard::to_allocvec(&message).unwrap();
        let encoded = payload.into_encoded().unwrap();
        assert_eq!(encoded.len(), expected.len());
        let mut batch = Batch::default();
        batch.push_tell(1, encoded);
        let written: Vec<_> = batch.slices().iter().map(|slice| slice.as_ptr()).collect();
        assert!(written.contains(&first.as_ptr()) && written.contains(&second.as_ptr()));
        let mut decoder = Decoder::new();
        for slice in batch.slices() {
            decoder.feed(&slice);
        }
        let payload = &expected;
        let tell = Frame::Tell {
            channel: 1,
            payload,
        };
        assert_eq!(decoder.next(FRAME_BYTES_MAX), Ok(Some(tell)));

        let mut payload = Payload::new(3 * UNCOPIED_BYTES);
        payload.postcard(&message).unwrap();
        assert_eq!(payload.into_encoded().unwrap().into_vec(), expected);
        let mut too_short = Payload::new(2 * UNCOPIED_BYTES);
        assert!(too_short.postcard(&message).is_err());
        assert!(too_short.into_encoded().is_err());
    }
}
