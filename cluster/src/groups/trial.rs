//! What the fuzz target `groups` does: a copy of the directory to which others tell anything.
//!
//! It lives here because what copies tell each other is nobody else's business.

use std::collections::BTreeSet;
use std::time::Duration;

use super::entry::{ENTRIES_MAX, Entry, Key, Standing};
use super::gossip::Gossip;
use super::replica::Replica;
use super::shelf::{CHANGES_PER_DELTA, Delta};
use crate::fuzzing::Choices;
use crate::membership::{BootUid, NodeId, NodeName};
use crate::remote::{RemoteMessage, TARGET_BYTES_MAX, from_postcard};

/// How much one input may do.
const STEPS_MAX: usize = 128;

/// How many messages one copy may send at once: the answer to a digest and a digest, or one to each other member and a comparison.
const TRANSMITS_MAX: usize = 34;

/// Tells a copy what `data` says, and panics if a promise does not hold: nothing that is told makes it panic, changes what its own actors entered,
/// brings back who is no member, or makes it say what another copy would refuse.
pub fn trial(data: &[u8]) {
    let mut trial = Trial::new(Choices::new(data));
    for _ in 0..STEPS_MAX {
        if trial.choices.is_empty() {
            break;
        }
        trial.step();
        trial.check();
    }
    trial.relay();
}

/// What is drawn from an input.
impl Choices<'_> {
    /// One of four nodes, of which the last is no member.
    fn node(&mut self) -> NodeId {
        node(self.byte() % 4)
    }

    /// Mostly small, and sometimes as large as can be.
    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            small => u64::from(small),
        }
    }

    /// Mostly one of few, and sometimes longer than is allowed.
    fn word(&mut self) -> String {
        match self.byte() {
            small @ 0..=250 => format!("w{}", small % 8),
            long => "w".repeat(usize::from(long - 250) * 100),
        }
    }

    /// What an actor can be exposed as.
    fn target(&mut self) -> String {
        let mut word = self.word();
        word.truncate(TARGET_BYTES_MAX);
        word
    }

    fn key(&mut self) -> Key {
        match self.byte().is_multiple_of(2) {
            true => Key::Name { name: self.word() },
            false => Key::Group {
                group: self.word(),
                target: self.word(),
            },
        }
    }

    fn delta(&mut self) -> Delta {
        let mut delta = Delta {
            node: self.node(),
            since: (!self.byte().is_multiple_of(4)).then(|| self.number()),
            version: self.number(),
            set: Vec::new(),
            removed: Vec::new(),
        };
        for _ in 0..self.byte() % 6 {
            let entry = Entry {
                sequence: self.number(),
                target: self.word(),
                claimed_ms: self.number(),
            };
            let key = self.key();
            delta.set.push((key, entry));
        }
        for _ in 0..self.byte() % 6 {
            let sequence = self.number();
            delta.removed.push((sequence, self.key()));
        }
        delta
    }

    fn gossip(&mut self) -> Gossip {
        let from = self.node();
        match self.byte().is_multiple_of(3) {
            true => {
                let versions = (0..self.byte() % 8).map(|_| (self.node(), self.number()));
                Gossip::Digest {
                    from,
                    versions: versions.collect(),
                    is_answer: self.byte().is_multiple_of(2),
                }
            }
            false => Gossip::Deltas {
                from,
                deltas: (0..1 + self.byte() % 3).map(|_| self.delta()).collect(),
            },
        }
    }
}

fn node(number: u8) -> NodeId {
    NodeId {
        name: NodeName::new(&format!("n{number}")).expect("a name"),
        boot: BootUid(u64::from(number) + 1),
    }
}

fn standing(is_reachable: bool) -> Standing {
    Standing {
        is_reachable,
        ..Standing::default()
    }
}

fn encoded(gossip: &Gossip) -> Vec<u8> {
    postcard::to_allocvec(gossip).expect("gossip is plain data")
}

struct Trial<'d> {
    choices: Choices<'d>,
    /// Node 0, to which all is told.
    copy: Replica,
    /// Node 1, which keeps the rules.
    honest: Replica,
    /// What its own actors entered, as groups and targets.
    own: BTreeSet<(String, String)>,
    members: BTreeSet<NodeId>,
    /// What the honest one has said.
    said: Vec<Vec<u8>>,
    now: Duration,
}

impl<'d> Trial<'d> {
    fn new(choices: Choices<'d>) -> Self {
        let second = Duration::from_secs(1);
        let mut honest = Replica::new(node(1), second, 1);
        honest.observe(standing(true), [(node(0), standing(true))]);
        let mut trial = Self {
            choices,
            copy: Replica::new(node(0), second, 0),
            honest,
            own: BTreeSet::new(),
            members: BTreeSet::new(),
            said: Vec::new(),
            now: Duration::ZERO,
        };
        trial.observe(0b11, 0b11);
        trial
    }

    /// Of the nodes 1 and 2, who is a member, and who can be reached.
    fn observe(&mut self, members: u8, reachable: u8) {
        let bit = |bits: u8, number: u8| bits >> (number - 1) & 1 == 1;
        let there = (1..=2).filter(|number| bit(members, *number));
        let there: Vec<_> = there
            .map(|number| (node(number), standing(bit(reachable, number))))
            .collect();
        self.members = there.iter().map(|(node, _)| node.clone()).collect();
        self.copy.observe(standing(true), there);
    }

    fn step(&mut self) {
        match self.choices.byte() % 9 {
            0 => {
                let bytes = self.choices.chunk();
                self.tell(&bytes);
            }
            1 | 2 => {
                let gossip = self.choices.gossip();
                self.tell(&encoded(&gossip));
            }
            3 if !self.said.is_empty() => {
                let index = usize::from(self.choices.byte()) % self.said.len();
                let mut bytes = self.said[index].clone();
                let at = usize::from(self.choices.byte()) % bytes.len();
                bytes[at] ^= self.choices.byte();
                self.tell(&bytes);
            }
            4 => {
                let (group, target) = (self.choices.word(), self.choices.target());
                if self.copy.join(&group, &target).is_ok() {
                    self.own.insert((group, target));
                }
            }
            5 => {
                let (group, target) = (self.choices.word(), self.choices.target());
                // Refusals are among what may happen.
                let _ = match self.choices.byte() % 4 {
                    0 => self.honest.join(&group, &target).is_ok(),
                    1 => self.honest.register(&group, &target, 1).is_ok(),
                    2 => self.honest.leave(&group, &target),
                    _ => self.honest.unregister(&group),
                };
                self.honest.handle_timeout(self.now);
                while let Some((_, gossip)) = self.honest.poll_transmit() {
                    let bytes = encoded(&gossip);
                    self.said.truncate(31);
                    self.said.push(bytes.clone());
                    self.tell(&bytes);
                }
            }
            6 => {
                let name = self.choices.word();
                let clock = self.choices.number();
                // It may be another's, and may be lost to an older claim later.
                let _ = self.copy.register(&name, "mine", clock);
            }
            7 => {
                let bits = self.choices.byte();
                self.observe(bits, bits >> 2);
            }
            _ => self.now += Duration::from_millis(u64::from(self.choices.byte()) * 10),
        }
        self.copy.handle_timeout(self.now);
    }

    /// What can be read says the same after it was written anew.
    fn tell(&mut self, bytes: &[u8]) {
        let Ok(gossip) = Gossip::decode(bytes) else {
            return;
        };
        let again = encoded(&gossip);
        let copy: Gossip = from_postcard(&again).expect("what was written can be read");
        assert_eq!(encoded(&copy), again);
        self.copy.receive(gossip);
    }

    fn check(&mut self) {
        while self.copy.poll_change().is_some() {}
        let mut transmits = 0;
        while let Some((to, gossip)) = self.copy.poll_transmit() {
            transmits += 1;
            assert_ne!(to, node(0), "it tells itself nothing");
            if let Gossip::Deltas { deltas, .. } = &gossip {
                for delta in deltas {
                    let max = delta.since.map_or(ENTRIES_MAX, |_| CHANGES_PER_DELTA);
                    assert!(delta.set.len() + delta.removed.len() <= max);
                }
            }
            if to == node(1) {
                self.honest.receive(gossip);
            }
        }
        // A step of the honest one can be many messages.
        assert!(transmits <= 4 * TRANSMITS_MAX, "{transmits} messages");
        let groups = (0..8).map(|number| format!("w{number}"));
        for group in groups {
            let found = self.copy.group(&group);
            for found in &found {
                let at = &found.address.node;
                assert!(*at == node(0) || self.members.contains(at), "{at}");
            }
            let own = found.into_iter().filter(|it| it.address.node == node(0));
            let own: BTreeSet<_> = own.map(|it| (group.clone(), it.address.target)).collect();
            let entered = self.own.iter().filter(|(name, _)| *name == group);
            assert_eq!(own, entered.cloned().collect(), "its own entries");
        }
    }

    /// One that knows nothing takes all that this one has.
    fn relay(&mut self) {
        self.observe(0b11, 0b11);
        let mut fresh = Replica::new(node(2), Duration::from_secs(1), 2);
        let others = [0, 1].map(|number| (node(number), standing(true)));
        fresh.observe(standing(true), others);
        self.copy.receive(Gossip::Digest {
            from: node(2),
            versions: vec![(node(0), 0), (node(1), 0)],
            is_answer: true,
        });
        while let Some((_, gossip)) = self.copy.poll_transmit() {
            fresh.receive(gossip);
        }
        assert_eq!(fresh.refused(), 0, "it was told what nobody takes");
        for (group, target) in &self.own {
            let found = fresh.group(group).into_iter();
            let mut targets = found
                .filter(|it| it.address.node == node(0))
                .map(|it| it.address.target);
            assert!(targets.any(|it| it == *target), "{group}: {target}");
        }
    }
}
