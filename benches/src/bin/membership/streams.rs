//! Conversations over streams, and what they cost: connection, acknowledgements and end included.

use std::time::Duration;

use crate::arena::{Arena, Condition, What};

/// What IP and TCP, with timestamps, add to a segment.
const HEADERS_BYTES: usize = 52;
/// Three segments that connect; two of them have eight bytes more.
const CONNECT_BYTES: usize = 3 * HEADERS_BYTES + 16;
/// The first words of both ends, an acknowledgement for each.
const OPENING_BYTES: usize = 4 * HEADERS_BYTES + 22 + 16;
/// The end of both directions, acknowledged.
const CLOSE_BYTES: usize = 4 * HEADERS_BYTES;
/// Length of each packet, and of the one that ends a turn.
const LENGTH_BYTES: usize = 2;
/// Ways from the first segment until the first words have arrived.
const WAYS_TO_CONNECT: usize = 5;

/// Packets on their way.
pub(crate) struct Words {
    from: usize,
    to: usize,
    packets: Vec<Vec<u8>>,
    until: Duration,
}

impl Arena {
    pub(crate) fn begin_conversation(
        &mut self,
        from: usize,
        to: usize,
        packet: Vec<u8>,
        within: Duration,
    ) {
        if self.condition(from) == Condition::Blocked {
            return;
        }
        // The other end's operating system connects even if its process does not look.
        self.packets += 3;
        self.bytes += CONNECT_BYTES as u64;
        self.spend(from, "stream", CONNECT_BYTES);
        if self.condition(to) == Condition::Dead {
            return;
        }
        self.packets += 8;
        self.bytes += (OPENING_BYTES + CLOSE_BYTES) as u64;
        self.spend(from, "stream", OPENING_BYTES + CLOSE_BYTES);
        let words = Words {
            from,
            to,
            packets: vec![packet],
            until: self.now() + within,
        };
        self.pass_on(words, WAYS_TO_CONNECT);
    }

    fn pass_on(&mut self, words: Words, ways: usize) {
        let mut delay = Duration::ZERO;
        for _ in 0..ways {
            match self.draw_stream_delay(words.from, words.to) {
                Some(more) => delay += more,
                None => return,
            }
        }
        let at = self.now() + delay;
        if at <= words.until {
            self.push(at, What::Converse(words));
        }
    }

    pub(crate) fn converse(&mut self, words: Words) {
        let Words {
            from,
            to,
            packets,
            until,
        } = words;
        if self.condition(to) != Condition::Running {
            return;
        }
        let bytes: usize = packets
            .iter()
            .map(|packet| packet.len() + LENGTH_BYTES)
            .sum();
        self.packets += 2;
        let bytes = bytes + LENGTH_BYTES + 2 * HEADERS_BYTES;
        self.bytes += bytes as u64;
        self.spend(from, "stream", bytes);
        let said = self.hear(to, from, &packets);
        if !said.is_empty() {
            let answer = Words {
                from: to,
                to: from,
                packets: said,
                until,
            };
            self.pass_on(answer, 1);
        }
    }
}
