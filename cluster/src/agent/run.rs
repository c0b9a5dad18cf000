//! The task that owns the machine: it waits for packets, commands and the clock, in the order that the machine asks for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;

use super::config::Rejoin;
use super::error::CallError;
use super::fresh_boot;
use super::handle::{AgentStats, SharedView, lock};
use super::lease::LeaseDesk;
use super::seeds::Found;
use super::streams::Streams;
use super::transport::DatagramTransport;
use crate::datagram::{Courier, Key, KeyError, Keyring, Opened};
use crate::membership::{DownReason, Event, Machine, Metadata, NodeId, NodeName, Notice};
use crate::partition::LeaseAnswer;

/// Datagrams worked off before commands and timers get their turn.
const BATCH: usize = 64;
/// Datagrams worked off before overdue timers run: as many as a socket's buffer holds after a pause.
const BATCH_BEFORE_TIMERS: usize = 4096;
/// No datagram is longer.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// How long to sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

type Answer = oneshot::Sender<Result<(), CallError>>;

/// What a handle asks for. Callers that have gone are not an error.
#[derive(Debug)]
pub(super) enum Command {
    SetMetadata(Metadata, Answer),
    Down(NodeName, Answer),
    /// Name and payload; the answer is the number.
    Post(String, Vec<u8>, oneshot::Sender<Result<u64, CallError>>),
    Leave(Answer),
    Shutdown,
    AddKey(Key, Answer),
    UseKey(Key, Answer),
    RemoveKey(Key, Answer),
    Stats(oneshot::Sender<AgentStats>),
    Seeds(Found),
    Lease(u64, LeaseAnswer),
    /// Packets that came by a stream, and what to say to them.
    Heard(SocketAddr, Vec<Vec<u8>>, oneshot::Sender<Vec<Vec<u8>>>),
    /// The keys, for a conversation.
    Keyring(oneshot::Sender<Option<Keyring>>),
    InTouch(Duration, oneshot::Sender<bool>),
    IsSilent(NodeId, Duration, oneshot::Sender<bool>),
    Refused(NodeId),
}

/// tokio's monotonic time as the machine's: since the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// What the shell does by itself about partitions.
pub(super) struct Conduct {
    pub(super) rejoin: Rejoin,
    pub(super) lease: LeaseDesk,
    pub(super) streams: Streams,
}

pub(super) struct Shell<T> {
    transport: T,
    machine: Machine,
    courier: Option<Courier>,
    clock: Clock,
    events: broadcast::Sender<Event>,
    notices: broadcast::Sender<Notice>,
    view: SharedView,
    conduct: Conduct,
    leaving: Vec<Answer>,
    ended: bool,
    stats: AgentStats,
    buffer: Vec<u8>,
}

impl<T: DatagramTransport> Shell<T> {
    pub(super) fn new(
        transport: T,
        machine: Machine,
        courier: Option<Courier>,
        clock: Clock,
        (events, notices): (broadcast::Sender<Event>, broadcast::Sender<Notice>),
        view: SharedView,
        conduct: Conduct,
    ) -> Self {
        Self {
            transport,
            machine,
            courier,
            clock,
            events,
            notices,
            view,
            conduct,
            leaving: Vec::new(),
            ended: false,
            stats: AgentStats::default(),
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        }
    }

    /// Until the member has left, or all handles are gone.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            self.flush();
            if self.ended {
                break;
            }
            let due = self
                .machine
                .poll_timeout()
                .map_or_else(|| Instant::now() + IDLE, |due| self.clock.start + due);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                readable = self.transport.readable() => match readable {
                    Ok(()) => self.receive(BATCH),
                    Err(_) => self.stats.receive_errors += 1,
                },
                () = tokio::time::sleep_until(due) => {}
            }
            self.run_timers();
        }
        // The sockets are closed before anybody is told, so that its address can be used again.
        let leaving = std::mem::take(&mut self.leaving);
        drop(self.transport);
        self.conduct.streams.end().await;
        drop(commands);
        for waiting in leaving {
            let _ = waiting.send(Ok(()));
        }
    }

    /// Packets first: what waits in the socket may refute what a timer is about to conclude.
    fn run_timers(&mut self) {
        if self
            .machine
            .poll_timeout()
            .is_some_and(|due| due <= self.clock.now())
        {
            self.receive(BATCH_BEFORE_TIMERS);
            self.machine.handle_timeout(self.clock.now());
        }
    }

    fn receive(&mut self, datagrams_max: usize) {
        for _ in 0..datagrams_max {
            let (length, from) = match self.transport.try_recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.stats.receive_errors += 1;
                    continue;
                }
            };
            self.take_in(from, length);
        }
    }

    fn take_in(&mut self, from: SocketAddr, length: usize) {
        let now = self.clock.now();
        let datagram = &self.buffer[..length.min(self.buffer.len())];
        // The machine counts what it refuses, so its errors need no further notice here.
        let Some(courier) = &mut self.courier else {
            let _ = self.machine.handle_packet(now, from, datagram);
            self.tell_notices();
            return;
        };
        let answers = match courier.open(now, from, datagram) {
            Ok(Opened::Payload(payload)) => {
                let _ = self.machine.handle_packet(now, from, &payload);
                self.flush_transmits();
                self.tell_notices();
                return;
            }
            Ok(Opened::Answer(answers)) => answers,
            Err((_, answer)) => answer.into_iter().collect(),
        };
        for answer in answers {
            self.send(from, &answer);
        }
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        if self.transport.try_send_to(datagram, to).is_err() {
            self.stats.send_errors += 1; // lost, as any datagram can be
        }
    }

    fn keyring(&self) -> Option<Keyring> {
        self.courier
            .as_ref()
            .map(|courier| courier.keyring().clone())
    }

    fn flush(&mut self) {
        self.flush_transmits();
        while let Some(event) = self.machine.poll_event() {
            self.tell(event);
            self.flush_transmits();
        }
        self.tell_notices();
    }

    fn tell_notices(&mut self) {
        while let Some(notice) = self.machine.poll_notice() {
            let _ = self.notices.send(notice); // nobody may be listening
        }
    }

    fn flush_transmits(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit() {
            let datagram = match &mut self.courier {
                Some(courier) => courier.seal(self.clock.now(), transmit.to, transmit.bytes),
                None => transmit.bytes,
            };
            self.send(transmit.to, &datagram);
        }
        while let Some(call) = self.machine.poll_call() {
            if !self.transport.is_open(call.to) {
                continue; // lost, as a datagram would be
            }
            let keyring = self.keyring();
            self.conduct.streams.call(call, keyring);
        }
    }

    /// Brings the view up to date, then tells the subscribers.
    fn tell(&mut self, event: Event) {
        match &event {
            Event::MemberJoined(info) | Event::MemberUpdated(info) => {
                self.refresh(&info.id.name.clone())
            }
            Event::MemberSuspected { id, .. }
            | Event::SuspicionRefuted { id }
            | Event::MemberUnreachable { id, .. }
            | Event::MemberReachable { id }
            | Event::MemberDown { id, .. }
            | Event::MemberForgotten { id } => self.refresh(&id.name.clone()),
            Event::SelfDown { .. } => lock(&self.view).my_state = self.machine.state(),
            Event::RejoinPossible => self.rejoin_if_wanted(),
            Event::LeaveComplete => {
                lock(&self.view).my_state = self.machine.state();
                self.ended = true;
            }
            Event::Rejoined { id } => {
                let mut view = lock(&self.view);
                view.me = id.clone();
                view.my_state = self.machine.state();
                view.members.clear();
            }
            Event::LeaseWanted { number, owner } => self.conduct.lease.ask(*number, owner.clone()),
            Event::Joined { .. }
            | Event::Refuted { .. }
            | Event::Paused { .. }
            | Event::PartitionUndecided { .. }
            | Event::AnsweredByStreamAlone { .. } => {}
        }
        super::log::log(&event);
        let _ = self.events.send(event); // nobody may be listening
    }

    fn refresh(&mut self, name: &NodeName) {
        let row = self.machine.member(name);
        let mut view = lock(&self.view);
        match row {
            Some(row) => drop(view.members.insert(name.clone(), row)),
            None => drop(view.members.remove(name)),
        }
    }

    fn rejoin_if_wanted(&mut self) {
        let by_policy = matches!(
            self.machine.state(),
            crate::membership::State::Down(DownReason::Policy)
        );
        if self.conduct.rejoin == Rejoin::Never || !by_policy {
            return;
        }
        let Ok(boot) = fresh_boot(self.machine.id().boot) else {
            return;
        };
        // Refused when a greater boot was seen: then another process has this name, and this one stays down.
        if self.machine.rejoin(self.clock.now(), boot).is_ok()
            && let Some(courier) = &mut self.courier
        {
            courier.begin_boot(boot);
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::SetMetadata(metadata, answer) => {
                let outcome = self.machine.set_metadata(now, metadata);
                lock(&self.view).my_metadata = self.machine.record().metadata.clone();
                let _ = answer.send(outcome.map_err(CallError::Refused));
            }
            Command::Down(name, answer) => {
                let _ = answer.send(self.machine.down(now, &name).map_err(CallError::Refused));
            }
            Command::Post(name, payload, answer) => {
                let outcome = self.machine.post(now, &name, &payload);
                let _ = answer.send(outcome.map_err(CallError::Refused));
            }
            Command::Leave(answer) => match self.machine.leave(now) {
                Ok(()) => self.leaving.push(answer),
                // A second caller waits with the first.
                Err(_) if !self.leaving.is_empty() => self.leaving.push(answer),
                Err(error) => drop(answer.send(Err(CallError::Refused(error)))),
            },
            Command::Shutdown => self.ended = true,
            Command::AddKey(key, answer) => self.change_keys(answer, |keyring| {
                keyring.add(key);
                Ok(())
            }),
            Command::UseKey(key, answer) => {
                self.change_keys(answer, |keyring| keyring.use_key(&key))
            }
            Command::RemoveKey(key, answer) => {
                self.change_keys(answer, |keyring| keyring.remove(&key))
            }
            Command::Stats(answer) => {
                let refusals = self
                    .courier
                    .as_ref()
                    .map(Courier::refusals)
                    .unwrap_or_default();
                let _ = answer.send(AgentStats {
                    membership: self.machine.stats(),
                    refusals,
                    streams_refused: self.conduct.streams.refused(),
                    ..self.stats
                });
            }
            Command::InTouch(within, answer) => {
                let _ = answer.send(self.machine.is_in_touch(now, within));
            }
            Command::IsSilent(id, within, answer) => {
                let _ = answer.send(self.machine.is_silent(now, &id, within));
            }
            Command::Refused(id) => self.machine.handle_refused(now, &id),
            Command::Lease(number, answer) => self.machine.handle_lease(now, number, answer),
            Command::Heard(from, packets, answer) => {
                // What it does not understand it counts by itself.
                let said = packets
                    .iter()
                    .filter_map(|packet| self.machine.handle_stream(now, from, packet).ok());
                let _ = answer.send(said.flatten().collect());
            }
            Command::Keyring(answer) => drop(answer.send(self.keyring())),
            Command::Seeds(found) => {
                self.stats.seeds_failed += found.failed;
                let _ = self.machine.join(now, &found.addrs); // refused while it is down; the addresses are kept
            }
        }
    }

    fn change_keys(
        &mut self,
        answer: Answer,
        change: impl FnOnce(&mut Keyring) -> Result<(), KeyError>,
    ) {
        let outcome = match &mut self.courier {
            Some(courier) => change(courier.keyring_mut()).map_err(CallError::Key),
            None => Err(CallError::NoKeyring),
        };
        let _ = answer.send(outcome);
    }
}
