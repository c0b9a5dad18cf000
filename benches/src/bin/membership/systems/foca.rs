//! foca 2.0 with its own settings for a data centre (`Config::new_lan` for the true size), renewing its identity when declared down, as
//! its documentation advises.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU32;
use std::time::Duration;

use foca::{
    Codec, Config, Foca, Header, Identity, Message, NoCustomBroadcast, Notification, PostcardCodec,
    Runtime, Timer,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::{Member, News};

/// A member's address, as every real transport needs it in foca's identity, and how often it has renewed itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Id {
    addr: SocketAddrV4,
    generation: u32,
}

impl Identity for Id {
    type Addr = SocketAddrV4;

    fn renew(&self) -> Option<Self> {
        Some(Self {
            generation: self.generation + 1,
            ..*self
        })
    }

    fn addr(&self) -> SocketAddrV4 {
        self.addr
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.generation > adversary.generation
    }
}

fn address(index: usize) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(0x0a00_0000 + index as u32), 7946)
}

fn number(id: &Id) -> usize {
    (u32::from(*id.addr.ip()) - 0x0a00_0000) as usize
}

/// What foca asks for, kept until the arena takes it.
#[derive(Default)]
struct Wishes {
    now: Duration,
    timers: BinaryHeap<Reverse<Due>>,
    timers_made: u64,
    transmits: VecDeque<(usize, Vec<u8>)>,
    news: VecDeque<News>,
}

struct Due(Duration, u64, Timer<Id>);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl Runtime<Id> for Wishes {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        if let Notification::MemberDown(id) = notification {
            self.news.push_back(News::Lost(number(id)));
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.transmits.push_back((number(&to), data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.timers_made += 1;
        self.timers
            .push(Reverse(Due(self.now + after, self.timers_made, event)));
    }
}

pub(crate) struct FocaMember {
    foca: Foca<Id, PostcardCodec, StdRng, NoCustomBroadcast>,
    wishes: Wishes,
}

impl FocaMember {
    pub(crate) fn new(now: Duration, index: usize, nodes: usize, seed: u64) -> Self {
        let size = NonZeroU32::new(nodes as u32).unwrap_or(NonZeroU32::MIN);
        let id = Id {
            addr: address(index),
            generation: 0,
        };
        let foca = Foca::new(
            id,
            Config::new_lan(size),
            StdRng::seed_from_u64(seed),
            PostcardCodec,
        );
        Self {
            foca,
            wishes: Wishes {
                now,
                ..Wishes::default()
            },
        }
    }
}

impl Member for FocaMember {
    fn join(&mut self, now: Duration, seed: usize) {
        self.wishes.now = now;
        let seed = Id {
            addr: address(seed),
            generation: 0,
        };
        self.foca
            .announce(seed, &mut self.wishes)
            .expect("an announcement can be made");
    }

    fn handle_packet(&mut self, now: Duration, _from: usize, bytes: &[u8]) {
        self.wishes.now = now;
        // Errors are of the kind that its documentation calls expected, for example data from a former self.
        let _ = self.foca.handle_data(bytes, &mut self.wishes);
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.wishes.now = now;
        while self
            .wishes
            .timers
            .peek()
            .is_some_and(|Reverse(due)| due.0 <= now)
        {
            if let Some(Reverse(Due(_, _, timer))) = self.wishes.timers.pop() {
                let _ = self.foca.handle_timer(timer, &mut self.wishes);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.wishes.timers.peek().map(|Reverse(due)| due.0)
    }

    fn poll_transmit(&mut self) -> Option<(usize, Vec<u8>)> {
        self.wishes.transmits.pop_front()
    }

    fn poll_news(&mut self) -> Option<News> {
        self.wishes.news.pop_front()
    }

    fn split(&self, bytes: &[u8]) -> Vec<(&'static str, usize)> {
        let mut rest = bytes;
        let header: Header<Id> = PostcardCodec
            .decode_header(&mut rest)
            .expect("members understand each other");
        let kind = match header.message {
            Message::Ping(_) => "ping",
            Message::Ack(_) => "ack",
            Message::PingReq { .. } => "ping-request",
            Message::IndirectPing { .. } => "relayed-ping",
            Message::IndirectAck { .. } | Message::ForwardedAck { .. } => "relayed-ack",
            Message::Announce | Message::TurnUndead => "contact",
            Message::Feed => "sync-reply",
            Message::Gossip | Message::Broadcast => "gossip",
        };
        vec![(kind, bytes.len() - rest.len()), ("of-members", rest.len())]
    }

    fn live_count(&self) -> usize {
        self.foca.num_members() + 1
    }
}
