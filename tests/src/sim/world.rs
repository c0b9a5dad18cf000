//! The world: processes, network, time, and the loop that drives them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use treewarden_cluster::membership::wire::Packet;
use treewarden_cluster::membership::{
    BootUid, Config, DownReason, Event, Identity, Machine, Metadata, NodeId, NodeName, Notice, Rng,
    State, StreamCall, Transmit,
};
use treewarden_cluster::partition::{KeepMajority, OfTwo, PartitionPolicy};

use super::fault::Fault;
use super::invariants::{self, Invariant, Step};
use super::network::Network;
use super::process::{Condition, Process};
use super::streams::Words;
use super::trace::{Entry, Trace};
use super::truth::Truth;

/// The majority goes on, and of two nodes the older one: somebody has to, or a history of two would not end.
pub fn keep_majority(stable_after: Duration, _nodes: usize) -> Box<dyn PartitionPolicy> {
    Box::new(KeepMajority::new(stable_after).of_two(OfTwo::KeepOldest))
}

/// How a world begins.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Settings of all machines.
    pub membership: Config,
    /// Patience of the partition policy.
    pub stable_after: Duration,
    /// The partition policy of all machines, made from the patience and the number of nodes.
    pub policy: fn(Duration, usize) -> Box<dyn PartitionPolicy>,
    /// How many nodes there can be; none runs at first.
    pub nodes: usize,
    /// The first so many nodes are everybody's seeds.
    pub seeds: usize,
    /// Invariants are checked after every so many steps; 0 for never.
    pub check_every: u64,
    /// Whether a trace is kept.
    pub trace: bool,
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Broken {
    /// When.
    pub at: Duration,
    /// At which node.
    pub node: usize,
    /// Which invariant.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.3} s, n{}: {} does not hold: {}",
            self.at.as_secs_f64(),
            self.node,
            self.invariant,
            self.what
        )
    }
}

#[derive(Debug)]
pub(super) enum Happening {
    Deliver {
        node: usize,
        from: SocketAddr,
        bytes: Vec<u8>,
        was_delayed: bool,
    },
    Wake {
        node: usize,
        generation: u64,
    },
    Converse(Words),
    Fault(Fault),
}

/// Happenings are ordered by time, and by when they were thought of.
struct Scheduled(Duration, u64, Happening);

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

/// The world.
pub struct World {
    config: WorldConfig,
    rng: Rng,
    now: Duration,
    queue: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    /// The nodes.
    pub processes: Vec<Process>,
    /// What lies between them.
    pub network: Network,
    /// What happened.
    pub trace: Trace,
    /// What is the case.
    pub truth: Truth,
    invariants: Vec<Box<dyn Invariant>>,
    /// Who declared whom down while the other did the same to it, and when.
    pub two_majorities: Vec<(Duration, NodeId, NodeId)>,
    steps: u64,
    fingerprint: u64,
    packets: u64,
    bytes: u64,
    broken: Option<Broken>,
}

impl World {
    /// A world in which nothing runs yet.
    pub fn new(config: WorldConfig, network: Network, seed: u64) -> Self {
        let processes = (0..config.nodes)
            .map(|index| Process {
                name: NodeName::new(&format!("n{index}")).expect("a short name"),
                addr: address(index),
                wire_version_max: config.membership.wire_version_max,
                condition: Condition::Dead,
                machine: None,
                inbox: Default::default(),
                outbox: Default::default(),
                wake_at: None,
                left: false,
                disturbed: false,
                generation: 0,
            })
            .collect();
        Self {
            config,
            rng: Rng::new(seed),
            now: Duration::from_secs(1),
            queue: BinaryHeap::new(),
            scheduled: 0,
            processes,
            network,
            trace: Trace::default(),
            truth: Truth::default(),
            invariants: invariants::all(),
            two_majorities: Vec::new(),
            steps: 0,
            fingerprint: 0,
            packets: 0,
            bytes: 0,
            broken: None,
        }
    }

    /// The time.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Steps of machines so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Packets and bytes sent so far.
    pub fn traffic(&self) -> (u64, u64) {
        (self.packets, self.bytes)
    }

    /// A fingerprint of every byte that was sent, in order.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Has something done at a time.
    pub fn schedule(&mut self, at: Duration, fault: Fault) {
        self.push(at, Happening::Fault(fault));
    }

    /// Runs until `end`.
    ///
    /// # Errors
    /// The first invariant that does not hold; the world stops there.
    pub fn run_until(&mut self, end: Duration) -> Result<(), Broken> {
        while self.queue.peek().is_some_and(|Reverse(next)| next.0 <= end) {
            let Some(Reverse(Scheduled(at, _, happening))) = self.queue.pop() else {
                break;
            };
            self.now = at;
            match happening {
                Happening::Deliver {
                    node,
                    from,
                    bytes,
                    was_delayed,
                } => self.deliver(node, from, bytes, was_delayed),
                Happening::Wake { node, generation } => self.wake(node, generation),
                Happening::Converse(words) => self.converse(words),
                Happening::Fault(fault) => self.commit(fault),
            }
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
        }
        self.now = end;
        Ok(())
    }

    /// Lets the owner of a machine ask it something, which it may do something about; `None` if the process does not exist.
    pub fn ask<R>(
        &mut self,
        node: usize,
        question: impl FnOnce(&mut Machine, Duration) -> R,
    ) -> Option<R> {
        self.processes[node].alive()?;
        let mut answer = None;
        self.step(node, None, |machine, now| {
            answer = Some(question(machine, now));
        });
        answer
    }

    /// Does something now.
    pub fn commit(&mut self, fault: Fault) {
        if self.config.trace {
            self.trace.push(self.now, Entry::Fault(fault.clone()));
        }
        match fault {
            Fault::Crash(node) => self.end_process(node),
            Fault::Start(node) => self.start_process(node),
            Fault::Stop(node) => self.change(node, Condition::Running, Condition::Stopped),
            Fault::Continue(node) => {
                self.change(node, Condition::Stopped, Condition::Running);
                self.work_off(node);
            }
            Fault::BlockIo(node) => self.change(node, Condition::Running, Condition::Blocked),
            Fault::UnblockIo(node) => {
                self.change(node, Condition::Blocked, Condition::Running);
                for (to, bytes) in std::mem::take(&mut self.processes[node].outbox) {
                    self.carry(node, to, bytes);
                }
                self.work_off(node);
            }
            Fault::SlowDown(node, late) => {
                self.change(node, Condition::Running, Condition::Slow(late))
            }
            Fault::SpeedUp(node) => {
                if let Condition::Slow(late) = self.processes[node].condition {
                    self.change(node, Condition::Slow(late), Condition::Running);
                }
            }
            Fault::Leave(node) => {
                self.step(node, None, |machine, now| {
                    let _ = machine.leave(now); // one that is down already has nothing to leave
                });
            }
            Fault::DownByOperator(by, node) => {
                let name = self.processes[node].name.clone();
                self.step(by, None, |machine, now| {
                    let _ = machine.down(now, &name); // it may not know it
                });
            }
            Fault::ChangeMetadata(node) => {
                let health_percent = self.rng.below(101) as u8;
                self.step(node, None, |machine, now| {
                    let _ = machine.set_metadata(
                        now,
                        Metadata {
                            health_percent,
                            ..Metadata::default()
                        },
                    );
                });
            }
            Fault::Install(node, version) => self.processes[node].wire_version_max = version,
            Fault::Post(node, name) => self.post(node, name),
            Fault::BlockDatagrams(node) => self.network.block_datagrams(node),
            Fault::Cut(links) => self.network.cut(links),
            Fault::LinkLoss(link, loss) => self.network.set_link_loss(link, loss),
            Fault::Mend(link) => self.network.mend(link),
            Fault::Loss(loss) => self.network.loss = loss,
            Fault::Duplicate(share) => self.network.duplication = share,
            Fault::Heal => self.network.heal(),
        }
    }

    fn change(&mut self, node: usize, from: Condition, to: Condition) {
        let process = &mut self.processes[node];
        if process.condition == from {
            process.condition = to;
            process.disturbed |= matches!(to, Condition::Stopped | Condition::Slow(_));
        }
    }

    fn end_process(&mut self, node: usize) {
        let process = &mut self.processes[node];
        process.condition = Condition::Dead;
        process.generation += 1;
        process.wake_at = None;
        process.inbox.clear();
        process.outbox.clear();
    }

    fn start_process(&mut self, node: usize) {
        if self.processes[node].condition.exists() {
            return;
        }
        let id = NodeId {
            name: self.processes[node].name.clone(),
            boot: self.new_boot(),
        };
        self.begin_boot(node, &id);
        let identity = Identity {
            id,
            addr: self.processes[node].addr,
            metadata: Metadata::default(),
        };
        let policy = (self.config.policy)(self.config.stable_after, self.config.nodes);
        let membership = Config {
            wire_version_max: self.processes[node].wire_version_max,
            ..self.config.membership.clone()
        };
        let machine = Machine::new(self.now, membership, identity, policy, self.rng.next_u64())
            .expect("valid settings");
        let process = &mut self.processes[node];
        process.machine = Some(machine);
        process.condition = Condition::Running;
        process.left = false;
        let seeds: Vec<SocketAddr> = (0..self.config.seeds)
            .filter(|seed| *seed != node)
            .map(address)
            .collect();
        self.step(node, None, |machine, now| {
            machine.join(now, &seeds).expect("a new machine is up")
        });
    }

    fn new_boot(&mut self) -> BootUid {
        BootUid((self.now.as_millis() as u64) << 20 | self.scheduled & 0xf_ffff)
    }

    fn begin_boot(&mut self, node: usize, id: &NodeId) {
        let process = &self.processes[node];
        let running = process
            .alive()
            .map(|machine| machine.config().wire_version_max);
        self.truth
            .begin(id, running.unwrap_or(process.wire_version_max));
        if self.config.trace {
            self.trace.push(
                self.now,
                Entry::Boot {
                    node,
                    boot: id.boot,
                },
            );
        }
    }

    fn deliver(&mut self, node: usize, from: SocketAddr, bytes: Vec<u8>, was_delayed: bool) {
        match self.processes[node].condition {
            Condition::Dead => {}
            Condition::Stopped | Condition::Blocked => {
                self.processes[node].buffer(from, bytes);
            }
            Condition::Slow(late) if !was_delayed => {
                let at = self.now + self.rng.duration_below(late);
                self.push(
                    at,
                    Happening::Deliver {
                        node,
                        from,
                        bytes,
                        was_delayed: true,
                    },
                );
            }
            Condition::Running | Condition::Slow(_) => self.receive(node, from, &bytes),
        }
    }

    fn receive(&mut self, node: usize, from: SocketAddr, bytes: &[u8]) {
        let packet = Packet::decode(bytes).ok();
        self.step(node, packet.as_ref(), |machine, now| {
            let _ = machine.handle_packet(now, from, bytes); // seeds may be a node's own address: refused, as is right
        });
    }

    fn wake(&mut self, node: usize, generation: u64) {
        let process = &mut self.processes[node];
        if process.generation != generation || process.wake_at != Some(self.now) {
            return;
        }
        process.wake_at = None;
        let due = process.machine.as_ref().and_then(Machine::poll_timeout);
        match process.condition {
            Condition::Dead | Condition::Stopped => return,
            Condition::Running | Condition::Blocked | Condition::Slow(_) => {}
        }
        match due {
            Some(at) if at <= self.now => {
                self.step(node, None, |machine, now| machine.handle_timeout(now))
            }
            _ => self.plan_wake(node),
        }
    }

    /// What an honest shell does after a pause: packets first, then timers.
    fn work_off(&mut self, node: usize) {
        if self.processes[node].condition != Condition::Running {
            return;
        }
        while let Some((from, bytes)) = self.processes[node].inbox.pop_front() {
            self.receive(node, from, &bytes);
        }
        self.plan_wake(node);
    }

    fn plan_wake(&mut self, node: usize) {
        let late = match self.processes[node].condition {
            Condition::Slow(late) => self.rng.duration_below(late),
            _ => Duration::ZERO,
        };
        let process = &mut self.processes[node];
        let Some(due) = process.alive().and_then(Machine::poll_timeout) else {
            return;
        };
        let at = due.max(self.now) + late;
        if process.wake_at.is_none_or(|planned| at < planned) {
            process.wake_at = Some(at);
            let generation = process.generation;
            self.push(at, Happening::Wake { node, generation });
        }
    }

    /// Lets a machine do something, and carries out and checks what follows.
    pub(super) fn step(
        &mut self,
        node: usize,
        received: Option<&Packet>,
        act: impl FnOnce(&mut Machine, Duration),
    ) {
        let now = self.now;
        let process = &mut self.processes[node];
        if !process.condition.exists() {
            return;
        }
        let disturbed = process.disturbed;
        let Some(machine) = process.machine.as_mut() else {
            return;
        };
        act(machine, now);
        self.steps += 1;
        let sent: Vec<Transmit> = std::iter::from_fn(|| machine.poll_transmit()).collect();
        let calls: Vec<StreamCall> = std::iter::from_fn(|| machine.poll_call()).collect();
        let events: Vec<Event> = std::iter::from_fn(|| machine.poll_event()).collect();
        let notices: Vec<Notice> = std::iter::from_fn(|| machine.poll_notice()).collect();
        self.truth.note(machine, &events);
        if self.config.check_every != 0
            && self.steps.is_multiple_of(self.config.check_every)
            && self.broken.is_none()
        {
            let rows: Vec<_> = machine.members().collect();
            let step = Step {
                now,
                node,
                disturbed,
                machine,
                rows: &rows,
                received,
                sent: &sent,
                events: &events,
                notices: &notices,
                truth: &self.truth,
            };
            for invariant in &mut self.invariants {
                if let Err(what) = invariant.check(&step) {
                    self.broken.get_or_insert(Broken {
                        at: now,
                        node,
                        invariant: invariant.name(),
                        what,
                    });
                }
            }
        }
        self.note_two_majorities(node, &events);
        if self.config.trace {
            for notice in notices {
                self.trace.push(self.now, Entry::Heard { node, notice });
            }
        }
        for transmit in sent {
            self.send(node, transmit);
        }
        for call in calls {
            self.begin_conversation(node, call);
        }
        for event in events {
            self.react(node, event);
        }
        self.plan_wake(node);
    }

    /// Two members that are both up, of which each has the other down by the policy, and neither has anybody unreachable left to decide about, act
    /// as two majorities.
    fn note_two_majorities(&mut self, node: usize, events: &[Event]) {
        let Some(me) = self.processes[node].alive() else {
            return;
        };
        let decides = events.iter().any(|event| {
            matches!(event, Event::MemberDown { reason: DownReason::Policy, decider, .. } if *decider == me.id().name)
        });
        let acts =
            |member: &Machine| member.state() == State::Alive && member.unreachable_count() == 0;
        if !decides || !acts(me) {
            return;
        }
        let has_down = |holder: &Machine, other: &NodeId| {
            holder
                .member(&other.name)
                .is_some_and(|row| row.id == *other && row.state == State::Down(DownReason::Policy))
        };
        let others = self.processes.iter().filter_map(|other| other.alive());
        let both: Vec<_> = others
            .filter(|other| acts(other))
            .filter(|other| has_down(me, other.id()) && has_down(other, me.id()))
            .map(|other| (self.now, me.id().clone(), other.id().clone()))
            .collect();
        self.two_majorities.extend(both);
    }

    pub(super) fn note_bytes(&mut self, bytes: &[u8]) {
        self.packets += 1;
        self.bytes += bytes.len() as u64;
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fingerprint = (self.fingerprint.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    pub(super) fn draw_stream_delay(&mut self, from: usize, to: usize) -> Option<Duration> {
        self.network.carry_reliably(from, to, &mut self.rng)
    }

    fn send(&mut self, node: usize, transmit: Transmit) {
        self.note_bytes(&transmit.bytes);
        if self.processes[node].condition == Condition::Blocked {
            self.processes[node]
                .outbox
                .push_back((transmit.to, transmit.bytes));
        } else {
            self.carry(node, transmit.to, transmit.bytes);
        }
    }

    fn carry(&mut self, node: usize, to: SocketAddr, bytes: Vec<u8>) {
        let Some(receiver) = index(to).filter(|index| *index < self.processes.len()) else {
            return;
        };
        let from = self.processes[node].addr;
        let copies = self.network.carry(node, receiver, &mut self.rng);
        for delay in copies.into_iter().flatten() {
            self.push(
                self.now + delay,
                Happening::Deliver {
                    node: receiver,
                    from,
                    bytes: bytes.clone(),
                    was_delayed: false,
                },
            );
        }
    }

    /// What the application of a node does when its machine tells something.
    fn react(&mut self, node: usize, event: Event) {
        if self.config.trace {
            self.trace.push(
                self.now,
                Entry::Told {
                    node,
                    event: event.clone(),
                },
            );
        }
        match event {
            Event::RejoinPossible => {
                let boot = self.new_boot();
                let id = NodeId {
                    name: self.processes[node].name.clone(),
                    boot,
                };
                self.begin_boot(node, &id);
                self.step(node, None, |machine, now| {
                    machine
                        .rejoin(now, boot)
                        .expect("it is down, and the boot is greater")
                });
            }
            Event::LeaveComplete => {
                self.end_process(node);
                self.processes[node].left = true;
            }
            _ => {}
        }
    }

    pub(super) fn push(&mut self, at: Duration, happening: Happening) {
        self.scheduled += 1;
        self.queue
            .push(Reverse(Scheduled(at, self.scheduled, happening)));
    }
}

/// The address of a node.
pub fn address(index: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0a00_0001 + index as u32), 7946))
}

pub(super) fn index(addr: SocketAddr) -> Option<usize> {
    match addr {
        SocketAddr::V4(addr) => u32::from(*addr.ip())
            .checked_sub(0x0a00_0001)
            .map(|index| index as usize),
        SocketAddr::V6(_) => None,
    }
}
