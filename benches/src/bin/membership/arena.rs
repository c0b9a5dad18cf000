//! The simulated network and its processes, for any system.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use treewarden_cluster::membership::Rng;
use treewarden_tests::sim::{Latency, Network};

use crate::streams::Words;
use crate::systems::{Member, News, System};

/// Packets that wait for a process which does not read them; later ones are lost.
const INBOX_PACKETS: usize = 1024;

/// What IP and UDP add to a packet.
const HEADERS_BYTES: usize = 28;

/// From this size on members that can be told of each other without packets are: to form so large a cluster takes longer than all the rest.
const TOLD_FROM: usize = 2048;

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Running,
    Blocked,
    Dead,
}

/// What is done to the arena at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Start(usize),
    Crash(usize),
    Block(usize),
    Unblock(usize),
    /// Nothing gets from the first to the second any more.
    Cut(usize, usize),
    Mend(usize, usize),
}

pub(crate) enum What {
    Deliver {
        to: usize,
        from: usize,
        bytes: Vec<u8>,
    },
    Wake(usize),
    Act(Act),
    Converse(Words),
}

struct Scheduled(Duration, u64, What);

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

struct Process {
    member: Option<Box<dyn Member>>,
    condition: Condition,
    wake_at: Option<Duration>,
    inbox: VecDeque<(usize, Vec<u8>)>,
    outbox: Vec<(usize, Vec<u8>)>,
}

/// A cluster of one system.
pub(crate) struct Arena {
    system: System,
    rng: Rng,
    now: Duration,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    processes: Vec<Process>,
    pub(crate) network: Network,
    /// Who told what when.
    pub(crate) log: Vec<(Duration, usize, News)>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// The same bytes by sender and purpose.
    pub(crate) spent: BTreeMap<(usize, &'static str), u64>,
}

impl Arena {
    /// An arena in which nothing runs yet.
    pub(crate) fn new(system: System, nodes: usize, seed: u64) -> Self {
        let process = || Process {
            member: None,
            condition: Condition::Dead,
            wake_at: None,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
        };
        let latency = Latency {
            least: Duration::from_micros(200),
            tail_mean: Duration::from_micros(800),
        };
        Self {
            system,
            rng: Rng::new(seed),
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            scheduled: 0,
            processes: (0..nodes).map(|_| process()).collect(),
            network: Network::new(latency),
            log: Vec::new(),
            packets: 0,
            bytes: 0,
            spent: BTreeMap::new(),
        }
    }

    /// One in which everybody has started over ten seconds, knows everybody, and has been calm for a while.
    pub(crate) fn formed(system: System, nodes: usize, seed: u64) -> Self {
        let mut arena = Self::new(system, nodes, seed);
        if nodes >= TOLD_FROM && arena.tell_all_of_all() {
            arena.run_for(Duration::from_secs(25));
            arena.log.clear();
            return arena;
        }
        for node in 0..nodes {
            let at = Duration::from_secs(10) * node as u32 / nodes as u32;
            arena.schedule(at, Act::Start(node));
        }
        // foca learns the rest of a large cluster by asking one member every 30 s, so it needs its time.
        arena.run_until(Duration::from_secs(15));
        let mut waited = 0;
        while !arena.all_know_all() && waited < 3600 {
            arena.run_for(Duration::from_secs(5));
            waited += 5;
        }
        if !arena.all_know_all() {
            eprintln!(
                "membership: {} with {nodes} members did not form within an hour (seed {seed})",
                system.name()
            );
        }
        arena.run_for(Duration::from_secs(10));
        arena.log.clear();
        arena
    }

    /// Starts all members at once, with a view that is true already; false if the system cannot.
    fn tell_all_of_all(&mut self) -> bool {
        let (now, nodes) = (self.now, self.processes.len());
        for node in 0..nodes {
            let seed = self.rng.next_u64();
            let member = self.system.member(now, node, nodes, seed);
            self.processes[node].member = Some(member);
        }
        let members = self.processes.iter().map(|process| &process.member);
        let infos: Option<Vec<_>> = members
            .map(|member| member.as_ref().and_then(|member| member.info()))
            .collect();
        let Some(infos) = infos else {
            return false;
        };
        for node in 0..nodes {
            if let Some(member) = &mut self.processes[node].member {
                member.take_over(now, &infos);
            }
            self.processes[node].condition = Condition::Running;
            self.settle(node);
        }
        true
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    pub(crate) fn nodes(&self) -> usize {
        self.processes.len()
    }

    pub(crate) fn schedule(&mut self, at: Duration, act: Act) {
        self.push(at, What::Act(act));
    }

    pub(crate) fn all_know_all(&self) -> bool {
        let running = self
            .processes
            .iter()
            .filter(|process| process.condition != Condition::Dead);
        let expected = running.clone().count();
        running.into_iter().all(|process| {
            process
                .member
                .as_ref()
                .is_some_and(|member| member.live_count() == expected)
        })
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    pub(crate) fn run_until(&mut self, end: Duration) {
        while self.queue.peek().is_some_and(|Reverse(next)| next.0 <= end) {
            let Some(Reverse(Scheduled(at, _, what))) = self.queue.pop() else {
                break;
            };
            self.now = at;
            match what {
                What::Deliver { to, from, bytes } => self.deliver(to, from, bytes),
                What::Wake(node) => self.wake(node),
                What::Act(act) => self.perform(act),
                What::Converse(words) => self.converse(words),
            }
        }
        self.now = end;
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Start(node) => {
                let seed = self.rng.next_u64();
                let mut member = self
                    .system
                    .member(self.now, node, self.processes.len(), seed);
                if node != 0 {
                    member.join(self.now, 0);
                }
                self.processes[node].member = Some(member);
                self.processes[node].condition = Condition::Running;
                self.settle(node);
            }
            Act::Crash(node) => self.processes[node].condition = Condition::Dead,
            Act::Block(node) => self.processes[node].condition = Condition::Blocked,
            Act::Unblock(node) => {
                self.processes[node].condition = Condition::Running;
                for (to, bytes) in std::mem::take(&mut self.processes[node].outbox) {
                    self.carry(node, to, bytes);
                }
                while let Some((from, bytes)) = self.processes[node].inbox.pop_front() {
                    self.receive(node, from, &bytes);
                }
            }
            Act::Cut(from, to) => self.network.cut([(from, to)]),
            Act::Mend(from, to) => self.network.mend((from, to)),
        }
    }

    fn deliver(&mut self, to: usize, from: usize, bytes: Vec<u8>) {
        match self.processes[to].condition {
            Condition::Dead => {}
            Condition::Running => self.receive(to, from, &bytes),
            Condition::Blocked if self.processes[to].inbox.len() < INBOX_PACKETS => {
                self.processes[to].inbox.push_back((from, bytes))
            }
            Condition::Blocked => {}
        }
    }

    fn receive(&mut self, node: usize, from: usize, bytes: &[u8]) {
        let now = self.now;
        if let Some(member) = &mut self.processes[node].member {
            member.handle_packet(now, from, bytes);
            self.settle(node);
        }
    }

    fn wake(&mut self, node: usize) {
        let now = self.now;
        let process = &mut self.processes[node];
        if process.condition == Condition::Dead || process.wake_at != Some(now) {
            return;
        }
        process.wake_at = None;
        if let Some(member) = &mut process.member {
            if member.poll_timeout().is_some_and(|due| due <= now) {
                member.handle_timeout(now);
            }
            self.settle(node);
        }
    }

    /// Carries out what a member wants after a step.
    fn settle(&mut self, node: usize) {
        let now = self.now;
        let Some(mut member) = self.processes[node].member.take() else {
            return;
        };
        while let Some(news) = member.poll_news() {
            self.log.push((now, node, news));
        }
        while let Some((to, bytes)) = member.poll_transmit() {
            self.packets += 1;
            self.bytes += (bytes.len() + HEADERS_BYTES) as u64;
            let mut headers = HEADERS_BYTES;
            for (what, bytes) in member.split(&bytes) {
                self.spend(node, what, bytes + std::mem::take(&mut headers));
            }
            match self.processes[node].condition {
                Condition::Blocked => self.processes[node].outbox.push((to, bytes)),
                _ => self.carry(node, to, bytes),
            }
        }
        let calls: Vec<_> = std::iter::from_fn(|| member.poll_call()).collect();
        let due = member.poll_timeout();
        self.processes[node].member = Some(member);
        for (to, packet, within) in calls {
            self.begin_conversation(node, to, packet, within);
        }
        if let Some(at) = due.map(|due| due.max(now))
            && self.processes[node]
                .wake_at
                .is_none_or(|planned| at < planned)
        {
            self.processes[node].wake_at = Some(at);
            self.push(at, What::Wake(node));
        }
    }

    pub(crate) fn spend(&mut self, node: usize, what: &'static str, bytes: usize) {
        *self.spent.entry((node, what)).or_default() += bytes as u64;
    }

    /// How many members each that is not dead believes to work, itself included.
    pub(crate) fn live_counts(&self) -> impl Iterator<Item = usize> {
        let there = self.processes.iter();
        there
            .filter(|process| process.condition != Condition::Dead)
            .filter_map(|process| Some(process.member.as_ref()?.live_count()))
    }

    pub(crate) fn condition(&self, node: usize) -> Condition {
        self.processes[node].condition
    }

    pub(crate) fn draw_stream_delay(&mut self, from: usize, to: usize) -> Option<Duration> {
        self.network.carry_reliably(from, to, &mut self.rng)
    }

    /// Hands packets of a stream to a member, and returns its answers.
    pub(crate) fn hear(&mut self, node: usize, from: usize, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let now = self.now;
        let Some(member) = &mut self.processes[node].member else {
            return Vec::new();
        };
        let said = packets
            .iter()
            .flat_map(|packet| member.handle_stream(now, from, packet))
            .collect();
        self.settle(node);
        said
    }

    fn carry(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        let [first, second] = self.network.carry(from, to, &mut self.rng);
        if let Some(delay) = second {
            self.push(
                self.now + delay,
                What::Deliver {
                    to,
                    from,
                    bytes: bytes.clone(),
                },
            );
        }
        if let Some(delay) = first {
            self.push(self.now + delay, What::Deliver { to, from, bytes });
        }
    }

    pub(crate) fn push(&mut self, at: Duration, what: What) {
        self.scheduled += 1;
        self.queue
            .push(Reverse(Scheduled(at, self.scheduled, what)));
    }
}
