//! Conversations over streams: slower than datagrams, reliable, and not stopped by what blocks datagrams.
//!
//! A connection costs its round trips; a lost packet is sent again a while later. Nothing gets through where either direction is cut, and a
//! process that is stopped or blocked answers nobody. What is not here: a stream that breaks half-way.

use std::time::Duration;

use treewarden_cluster::membership::StreamCall;
use treewarden_cluster::membership::wire::Packet;

use super::process::Condition;
use super::world::{Happening, World, index};

/// Ways from the first packet of a connection until the first words have arrived.
const WAYS_TO_CONNECT: usize = 5;

/// Packets on their way, and where the conversation stands.
#[derive(Debug)]
pub(super) struct Words {
    from: usize,
    to: usize,
    /// Of the two processes: a conversation ends with either.
    generations: (u64, u64),
    packets: Vec<Vec<u8>>,
    until: Duration,
}

impl World {
    pub(super) fn begin_conversation(&mut self, node: usize, call: StreamCall) {
        let Some(to) = index(call.to).filter(|to| *to < self.processes.len()) else {
            return;
        };
        if self.processes[node].condition == Condition::Blocked {
            return;
        }
        let words = Words {
            from: node,
            to,
            generations: (
                self.processes[node].generation,
                self.processes[to].generation,
            ),
            packets: vec![call.packet],
            until: self.now() + call.within,
        };
        self.pass_on(words, WAYS_TO_CONNECT);
    }

    fn pass_on(&mut self, words: Words, ways: usize) {
        for packet in &words.packets {
            self.note_bytes(packet);
        }
        let mut delay = Duration::ZERO;
        for _ in 0..ways {
            match self.draw_stream_delay(words.from, words.to) {
                Some(more) => delay += more,
                None => return,
            }
        }
        let at = self.now() + delay;
        if at <= words.until {
            self.push(at, Happening::Converse(words));
        }
    }

    pub(super) fn converse(&mut self, words: Words) {
        let (from, to) = (words.from, words.to);
        let generations = (
            self.processes[from].generation,
            self.processes[to].generation,
        );
        let runs = matches!(
            self.processes[to].condition,
            Condition::Running | Condition::Slow(_)
        );
        if generations != words.generations || !runs {
            return;
        }
        let addr = self.processes[from].addr;
        let mut said = Vec::new();
        for bytes in &words.packets {
            let packet = Packet::decode(bytes).ok();
            self.step(to, packet.as_ref(), |machine, now| {
                said.extend(
                    machine
                        .handle_stream(now, addr, bytes)
                        .into_iter()
                        .flatten(),
                );
            });
        }
        if !said.is_empty() {
            let answer = Words {
                from: to,
                to: from,
                generations: (words.generations.1, words.generations.0),
                packets: said,
                until: words.until,
            };
            self.pass_on(answer, 1);
        }
    }
}
