//! Messages and answers that are longer than a fragment: cut up by the sender, put together by the receiver.
//!
//! Fragments of several such messages, and whole small frames between them, take turns on the line, so that a long message delays the others
//! by the time of one fragment each. Within a channel nothing overtakes: its next message waits until the last fragment has gone.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use bytes::Bytes;

use super::{frame::FRAGMENT_BYTES, outbox::Batch};

/// Capacity that is taken before anything has arrived, at most, in bytes.
const TAKEN_AT_ONCE: usize = 1024 * 1024;

/// What a long payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LargeKey {
    /// A message on this channel.
    Message(u32),
    /// The answer of this number.
    Answer(u64),
}

/// Long payloads that are being written, in turn.
#[derive(Debug, Default)]
pub(crate) struct LargeOut {
    /// Each with what of it is still to be written.
    waiting: VecDeque<(LargeKey, Bytes)>,
    /// Channels whose long message has been taken to its end since this was last looked at.
    finished: Vec<u32>,
    bytes: usize,
}

impl LargeOut {
    pub(crate) fn push(&mut self, key: LargeKey, payload: Vec<u8>) {
        self.bytes += payload.len();
        self.waiting.push_back((key, payload.into()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes that are not written yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends the next fragment to `batch`. True: it was the last of a message.
    pub(crate) fn take_fragment(&mut self, batch: &mut Batch) -> bool {
        let Some((key, mut rest)) = self.waiting.pop_front() else {
            return false;
        };
        let fragment = rest.split_to(rest.len().min(FRAGMENT_BYTES));
        self.bytes -= fragment.len();
        batch.push_fragment(key, fragment);
        if !rest.is_empty() {
            self.waiting.push_back((key, rest));
            return false;
        }
        match key {
            LargeKey::Message(channel) => {
                self.finished.push(channel);
                true
            }
            LargeKey::Answer(_) => false,
        }
    }

    pub(crate) fn take_finished(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.finished)
    }

    /// Takes back what is not written of a channel's message. False: there is nothing.
    pub(crate) fn cancel(&mut self, channel: u32) -> bool {
        let key = LargeKey::Message(channel);
        let position = self.waiting.iter().position(|(other, ..)| *other == key);
        let Some((_, rest)) = position.and_then(|at| self.waiting.remove(at)) else {
            return false;
        };
        self.bytes -= rest.len();
        true
    }

    /// Throws everything away, and returns how many messages it had.
    pub(crate) fn clear(&mut self) -> u64 {
        self.bytes = 0;
        let messages = self
            .waiting
            .drain(..)
            .filter(|(key, ..)| matches!(key, LargeKey::Message(_)));
        messages.count() as u64
    }
}

/// Long payloads that are arriving, each under the number of its channel or answer, with what else is to be remembered of it.
#[derive(Debug)]
pub(crate) struct LargeIn<K, T> {
    arriving: HashMap<K, Arriving<T>>,
}

#[derive(Debug)]
struct Arriving<T> {
    payload: Vec<u8>,
    /// How many bytes are still to come.
    left: usize,
    with: T,
}

/// A sender that does not keep the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAsAnnounced;

impl<K: Eq + Hash, T> LargeIn<K, T> {
    pub(crate) fn new() -> Self {
        Self {
            arriving: HashMap::new(),
        }
    }

    /// A payload of `bytes` was announced, which has to be longer than a fragment and at most `bytes_max`.
    pub(crate) fn begin(
        &mut self,
        key: K,
        bytes: u32,
        bytes_max: usize,
        with: T,
    ) -> Result<(), NotAsAnnounced> {
        let bytes = bytes as usize;
        if bytes <= FRAGMENT_BYTES || bytes > bytes_max {
            return Err(NotAsAnnounced);
        }
        // Memory follows what has come, not what was said.
        let payload = Vec::with_capacity(bytes.min(TAKEN_AT_ONCE));
        let arriving = Arriving {
            payload,
            left: bytes,
            with,
        };
        match self.arriving.insert(key, arriving) {
            None => Ok(()),
            Some(_) => Err(NotAsAnnounced),
        }
    }

    /// The next part of a payload. Returns the whole when this was the last.
    pub(crate) fn add(
        &mut self,
        key: &K,
        fragment: &[u8],
    ) -> Result<Option<(Vec<u8>, T)>, NotAsAnnounced> {
        let arriving = self.arriving.get_mut(key).ok_or(NotAsAnnounced)?;
        let left = arriving.left;
        // A fragment is full unless it is the last: otherwise a sender could occupy the receiver with next to nothing.
        if fragment.len() != left.min(FRAGMENT_BYTES) {
            return Err(NotAsAnnounced);
        }
        arriving.left -= fragment.len();
        arriving.payload.extend_from_slice(fragment);
        if fragment.len() < left {
            return Ok(None);
        }
        Ok(self
            .arriving
            .remove(key)
            .map(|arrived| (arrived.payload, arrived.with)))
    }

    pub(crate) fn has(&self, key: &K) -> bool {
        self.arriving.contains_key(key)
    }

    /// Forgets one that will not be completed. False: there is none.
    pub(crate) fn forget(&mut self, key: &K) -> bool {
        self.arriving.remove(key).is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.arriving.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::frame::{Decoder, FRAME_BYTES_MAX, Frame};

    fn payload(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn fragments_take_turns_and_come_together_again() {
        let sizes = [
            FRAGMENT_BYTES + 1,
            3 * FRAGMENT_BYTES,
            10 * FRAGMENT_BYTES + 7,
        ];
        let mut out = LargeOut::default();
        let mut arriving = LargeIn::new();
        for (channel, bytes) in (0..).zip(sizes) {
            out.push(LargeKey::Message(channel), payload(bytes));
            arriving
                .begin(channel, bytes as u32, 1 << 30, ())
                .expect("it is longer than a fragment");
        }
        let mut arrived = Vec::new();
        let mut order = Vec::new();
        while !out.is_empty() {
            let mut batch = Batch::default();
            out.take_fragment(&mut batch);
            let mut decoder = Decoder::new();
            for slice in batch.slices() {
                decoder.feed(&slice);
            }
            let Ok(Some(Frame::Fragment { channel, payload })) = decoder.next(FRAME_BYTES_MAX)
            else {
                panic!("a fragment");
            };
            order.push(channel);
            if let Some((whole, ())) = arriving.add(&channel, payload).unwrap() {
                arrived.push((channel, whole));
            }
        }
        assert_eq!(order[..6], [0, 1, 2, 0, 1, 2]);
        assert_eq!(out.take_finished(), [0, 1, 2]);
        assert_eq!(out.bytes(), 0);
        for (channel, whole) in arrived {
            assert_eq!(whole, payload(sizes[channel as usize]));
        }
    }

    #[test]
    fn a_sender_that_does_not_do_as_it_announced_is_found() {
        let full = vec![0; FRAGMENT_BYTES];
        let mut arriving: LargeIn<u32, ()> = LargeIn::new();
        let bytes_max = 4 * FRAGMENT_BYTES;
        let too_long = bytes_max as u32 + 1;
        assert_eq!(
            arriving.begin(1, too_long, bytes_max, ()),
            Err(NotAsAnnounced)
        );
        let too_short = FRAGMENT_BYTES as u32;
        assert_eq!(
            arriving.begin(1, too_short, bytes_max, ()),
            Err(NotAsAnnounced)
        );
        assert_eq!(arriving.add(&1, &full), Err(NotAsAnnounced));
        arriving.begin(1, too_short + 10, bytes_max, ()).unwrap();
        assert_eq!(
            arriving.begin(1, too_short + 10, bytes_max, ()),
            Err(NotAsAnnounced),
            "one at a time"
        );
        arriving.clear();
        arriving.begin(1, too_short + 10, bytes_max, ()).unwrap();
        assert_eq!(arriving.add(&1, &full[1..]), Err(NotAsAnnounced));
        assert_eq!(arriving.add(&1, &full), Ok(None));
        assert_eq!(arriving.add(&1, &full), Err(NotAsAnnounced));
    }
}
