//! One boot of another node, as its callers see it: channels, credit, asks in flight, monitors, and the link under them.
//!
//! # Rules
//!
//! * A peer belongs to a node's name *and boot*. What is queued, asked or monitored here never reaches another boot.
//! * One lock holds everything that has to change together: what is sent is queued, charged and entered among the asks in
//!   flight in one step, and a link that is lost takes all of it away in one step. No foreign code runs under it: what is
//!   to be woken, answered or dropped is collected in [`Aftermath`] and let go afterwards.
//! * A message is queued only if its channel has credit and the link's queue has room; otherwise it waits in the channel's
//!   line. Later senders wait behind earlier ones, so that the order of a channel is the order of sending. A channel
//!   without credit delays no other channel.
//! * There is a link only as long as somebody wants something: the first message, ask or monitor dials. When a link is
//!   lost, everything that depended on it is told, and the next wish dials again, after a pause that grows with failures.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

use tokio::{sync::watch, time::Instant};
use treewarden_runtime::AskError;

use super::{
    config::LinkConfig,
    counters::{LinkCount, LinkCounters},
    credit::SendCredit,
    error::{LinkError, RemoteAskError},
    frame::Frame,
    inbound::AROUND_PAYLOAD_BYTES,
    links::Shared,
    message::{Exported, Outgoing, Sink, context_to_wire, error_from_wire},
    monitor::MonitorInbox,
    pipe::{Pipe, StopReceiver, StopSender},
    place::{Place, Unsent, Waiting},
    sync_ext::MutexExt,
};
use crate::membership::NodeId;

pub(crate) struct Peer {
    pub(crate) id: NodeId,
    /// Numbers for replies and monitors; never used twice, over all links.
    numbers: Arc<AtomicU64>,
    payload_bytes_max: AtomicUsize,
    config: LinkConfig,
    counters: Arc<LinkCounters>,
    links: Weak<Shared>,
    stop: StopSender,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Of the link that is, or of the one that will be.
    pipe: Arc<Pipe>,
    /// Attempts in a row that failed, or links that did not live long.
    failures: u32,
    targets: HashMap<TargetKey, Weak<Target>>,
    channels: HashMap<Slot, Channel>,
    next_slot: Slot,
    slot_of_number: HashMap<u32, Slot>,
    next_channel_number: u32,
    /// Channels that have senders waiting and credit left, and wait for room.
    waiting_for_room: VecDeque<Slot>,
    asks: HashMap<u64, AskInFlight>,
    monitors: HashMap<u64, Arc<MonitorInbox>>,
}

enum Phase {
    Idle,
    Dialing,
    Open {
        since: Instant,
    },
    /// For ever.
    Ended(Unsent),
}

/// Names a channel of one peer, over all links.
pub(crate) type Slot = u64;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TargetKey {
    pub(crate) name: Arc<str>,
    pub(crate) message: &'static str,
    pub(crate) version: u32,
}

/// What all references to one remote actor share.
pub(crate) struct Target {
    pub(crate) peer: Arc<Peer>,
    pub(crate) key: TargetKey,
    slot: Slot,
}

struct Channel {
    key: TargetKey,
    /// On the present link, if it was opened there.
    number: Option<u32>,
    credit: SendCredit,
    /// Messages since it was opened.
    sent: u64,
    line: VecDeque<Waiting>,
    is_waiting_for_room: bool,
}

struct AskInFlight {
    sink: Sink,
    channel: u32,
    sequence: u64,
}

/// What is to be done when the lock has been released.
#[derive(Default)]
struct Aftermath {
    wakers: Vec<Waker>,
    failed: Vec<(Sink, AskError, Option<RemoteAskError>)>,
    handed_back: Vec<Outgoing>,
    messages_unsent: u64,
}

/// How many asks a message brings.
fn asks_of(outgoing: &Outgoing) -> usize {
    outgoing.replies.len()
}

impl Peer {
    pub(crate) fn new(
        id: NodeId,
        config: &LinkConfig,
        counters: &Arc<LinkCounters>,
        links: Weak<Shared>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            numbers: Arc::new(AtomicU64::new(1)),
            payload_bytes_max: AtomicUsize::new(config.frame_bytes_max - AROUND_PAYLOAD_BYTES),
            config: config.clone(),
            counters: counters.clone(),
            links,
            stop: watch::Sender::new(None),
            state: Mutex::new(State {
                phase: Phase::Idle,
                pipe: Arc::default(),
                failures: 0,
                targets: HashMap::new(),
                channels: HashMap::new(),
                next_slot: 0,
                slot_of_number: HashMap::new(),
                next_channel_number: 0,
                waiting_for_room: VecDeque::new(),
                asks: HashMap::new(),
                monitors: HashMap::new(),
            }),
        })
    }

    // For references.

    /// The one target of this name and type.
    pub(crate) fn target(self: &Arc<Self>, key: TargetKey) -> Arc<Target> {
        let mut state = self.state.locked();
        if let Some(target) = state.targets.get(&key).and_then(Weak::upgrade) {
            return target;
        }
        let slot = state.next_slot;
        state.next_slot += 1;
        let target = Arc::new(Target {
            peer: self.clone(),
            key: key.clone(),
            slot,
        });
        let channel = Channel {
            key: key.clone(),
            number: None,
            credit: SendCredit::new(),
            sent: 0,
            line: VecDeque::new(),
            is_waiting_for_room: false,
        };
        state.channels.insert(slot, channel);
        state.targets.insert(key, Arc::downgrade(&target));
        target
    }

    /// The numbers to give to replies.
    pub(crate) fn numbers(&self) -> &Arc<AtomicU64> {
        &self.numbers
    }

    /// How long the encoding of a message may be, in bytes.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        self.payload_bytes_max.load(Ordering::Relaxed)
    }

    /// How many asks may be unanswered.
    pub(crate) fn asks_max(&self) -> usize {
        self.config.asks_max
    }

    /// The end of an ask that its asker does not wait for any more.
    pub(crate) fn forget_ask(&self, number: u64) {
        let forgotten = self.state.locked().asks.remove(&number);
        if let Some(ask) = forgotten {
            ask.sink.disarm();
        }
    }

    /// Hears of the ends of an actor through `inbox`, until [`demonitor`](Self::demonitor) or until the link is lost.
    pub(crate) fn monitor(
        self: &Arc<Self>,
        target: &str,
        inbox: &Arc<MonitorInbox>,
    ) -> Result<u64, Unsent> {
        let mut state = self.state.locked();
        if let Phase::Ended(cause) = state.phase {
            return Err(cause);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        state.pipe.push(&Frame::Monitor { number, target });
        state.monitors.insert(number, inbox.clone());
        self.want_link(&mut state);
        Ok(number)
    }

    pub(crate) fn demonitor(&self, number: u64) {
        let mut state = self.state.locked();
        if state.monitors.remove(&number).is_some() {
            state.pipe.push(&Frame::Demonitor { number });
        }
    }

    /// Dials if there is no link.
    fn want_link(self: &Arc<Self>, state: &mut State) {
        if !matches!(state.phase, Phase::Idle) {
            return;
        }
        let Some(links) = self.links.upgrade() else {
            return;
        };
        state.phase = Phase::Dialing;
        let pause = self.config.backoff(state.failures);
        links.spawn_dial(self.clone(), pause);
    }

    // For the link.

    pub(crate) fn stop_receiver(&self) -> StopReceiver {
        self.stop.subscribe()
    }

    /// The pipe of the link that is being dialed.
    pub(crate) fn pipe(&self) -> Arc<Pipe> {
        self.state.locked().pipe.clone()
    }

    /// The link has come about.
    pub(crate) fn opened(&self, frame_bytes_max: usize) -> Result<(), LinkError> {
        let mut state = self.state.locked();
        let frame_bytes_max = frame_bytes_max.min(self.config.frame_bytes_max);
        self.payload_bytes_max.store(
            frame_bytes_max.saturating_sub(AROUND_PAYLOAD_BYTES),
            Ordering::Relaxed,
        );
        if state.pipe.longest_frame_bytes() > frame_bytes_max {
            return Err(LinkError::QueuedTooLong);
        }
        if let Phase::Dialing = state.phase {
            state.phase = Phase::Open {
                since: Instant::now(),
            };
        }
        for inbox in state.monitors.values() {
            inbox.reachable();
        }
        Ok(())
    }

    /// The writer has taken what was queued.
    pub(crate) fn has_room(&self) {
        let mut aftermath = Aftermath::default();
        let mut state = self.state.locked();
        state.serve_those_who_wait_for_room(&self.config, &mut aftermath);
        drop(state);
        aftermath.settle(self);
    }

    /// The link has ended, or has not come about.
    pub(crate) fn lost(&self, why: &LinkError) {
        let mut aftermath = Aftermath::default();
        let mut state = self.state.locked();
        if let Phase::Ended(_) = state.phase {
            aftermath.messages_unsent = state.pipe.end();
            drop(state);
            aftermath.settle(self);
            return;
        }
        state.failures = match state.phase {
            Phase::Open { since } if since.elapsed() >= self.config.backoff_max => 0,
            _ => state.failures.saturating_add(1),
        };
        state.phase = Phase::Idle;
        aftermath.messages_unsent = state.pipe.end();
        state.pipe = Arc::default();
        let monitors = state.clear(Unsent::Disconnected, &mut aftermath);
        // Under the lock, so that nobody can have told the next link to stop.
        self.stop.send_replace(None);
        drop(state);
        aftermath.settle(self);
        for inbox in monitors {
            inbox.link_lost();
        }
        tracing::debug!(node = %self.id, %why, "a link ended or did not come about");
    }

    /// No link ever again, because the boot is down or this node shuts down. In the second case what is queued may still
    /// be written.
    pub(crate) fn end(&self, cause: Unsent) {
        let mut aftermath = Aftermath::default();
        let mut state = self.state.locked();
        if let Phase::Ended(_) = state.phase {
            return;
        }
        let had_link = !matches!(state.phase, Phase::Idle);
        state.phase = Phase::Ended(cause);
        if cause == Unsent::NodeDown || !had_link {
            aftermath.messages_unsent = state.pipe.end();
        }
        let monitors = state.clear(cause, &mut aftermath);
        self.stop.send_replace(Some(match cause {
            Unsent::NodeDown => LinkError::NodeDown,
            _ => LinkError::ShutDown,
        }));
        drop(state);
        aftermath.settle(self);
        for inbox in monitors {
            inbox.ended(cause);
        }
    }

    /// Ends the link that there is, if there is one.
    pub(crate) fn break_link(&self) {
        let state = self.state.locked();
        match state.phase {
            Phase::Dialing | Phase::Open { .. } => {
                self.stop.send_replace(Some(LinkError::Replaced));
            }
            Phase::Idle | Phase::Ended(_) => {}
        }
    }

    /// Membership says that the node cannot be reached. The link decides for itself whether it still works.
    pub(crate) fn unreachable(&self) {
        let monitors: Vec<_> = self.state.locked().monitors.values().cloned().collect();
        for inbox in monitors {
            inbox.unreachable();
        }
    }

    /// Membership says that it can be reached again.
    pub(crate) fn reachable(&self) {
        for inbox in self.state.locked().monitors.values() {
            inbox.reachable();
        }
    }

    /// A frame from the other side.
    pub(crate) fn handle(&self, frame: Frame<'_>) -> Result<(), LinkError> {
        match frame {
            Frame::Reply { number, payload } => self.answered(number, Ok(payload.to_vec()), None),
            Frame::ReplyError { number, error } => {
                let (error, note) = error_from_wire(error);
                self.answered(number, Err(error), note);
            }
            Frame::Credit {
                channel,
                messages,
                bytes,
            } => {
                let mut aftermath = Aftermath::default();
                let mut state = self.state.locked();
                if let Some(&slot) = state.slot_of_number.get(&channel) {
                    if let Some(open) = state.channels.get_mut(&slot) {
                        open.credit.add(messages, bytes);
                    }
                    state.serve_channel(slot, &self.config, &mut aftermath);
                }
                drop(state);
                aftermath.settle(self);
            }
            Frame::Nack {
                channel,
                sequence,
                reason,
            } => {
                self.counters.add(LinkCount::MessagesNacked, 1);
                let (error, note) = RemoteAskError::from_nack(reason);
                self.fail_asks(error, note, |ask| {
                    ask.channel == channel && ask.sequence == sequence
                });
            }
            Frame::OpenRefused { channel, reason } => {
                let note = RemoteAskError::NotOpened(reason);
                self.fail_asks(AskError::Dead, Some(note), |ask| ask.channel == channel);
                let mut aftermath = Aftermath::default();
                let mut state = self.state.locked();
                let nacked = state.close_refused(channel, &self.config, &mut aftermath);
                drop(state);
                self.counters.add(LinkCount::MessagesNacked, nacked);
                aftermath.settle(self);
            }
            Frame::Down { number, exit } => {
                let mut state = self.state.locked();
                let inbox = if exit.incarnation.is_some() {
                    state.monitors.get(&number).cloned()
                } else {
                    // It was the last word; the other side may forget the number.
                    state.pipe.push(&Frame::Demonitor { number });
                    state.monitors.remove(&number)
                };
                drop(state);
                if let Some(inbox) = inbox {
                    inbox.exit(&exit);
                }
            }
            Frame::Ping => {}
            Frame::Goodbye => return Err(LinkError::Goodbye),
            Frame::Refuse { reason } => return Err(LinkError::WasRefused(reason)),
            Frame::Hello(_)
            | Frame::Welcome { .. }
            | Frame::Confirm { .. }
            | Frame::Open { .. }
            | Frame::Close { .. }
            | Frame::Tell { .. }
            | Frame::TellWith { .. }
            | Frame::Monitor { .. }
            | Frame::Demonitor { .. } => {
                return Err(LinkError::Rules("an acceptor does not send this frame"));
            }
        }
        Ok(())
    }

    fn answered(
        &self,
        number: u64,
        answer: Result<Vec<u8>, AskError>,
        note: Option<RemoteAskError>,
    ) {
        let ask = self.state.locked().asks.remove(&number);
        let Some(ask) = ask else {
            self.counters.add(LinkCount::RepliesLate, 1);
            return;
        };
        // The `Deserialize` of an answer is foreign code, and its panic must not end the link of others.
        let settled = catch_unwind(AssertUnwindSafe(|| match answer {
            Ok(payload) => ask.sink.answer(Ok(payload)),
            Err(error) => ask.sink.fail(error, note),
        }));
        if settled.is_err() {
            tracing::error!(node = %self.id, "decoding an answer panicked");
        }
    }

    fn fail_asks(
        &self,
        error: AskError,
        note: Option<RemoteAskError>,
        is_meant: impl Fn(&AskInFlight) -> bool,
    ) {
        let failed: Vec<_> = {
            let mut state = self.state.locked();
            state
                .asks
                .extract_if(|_, ask| is_meant(ask))
                .map(|(_, ask)| ask)
                .collect()
        };
        for ask in failed {
            ask.sink.fail(error, note.clone());
        }
    }
}

impl Target {
    /// Sends if that is possible at once.
    pub(crate) fn try_send(&self, outgoing: Outgoing) -> Result<(), (Unsent, Outgoing)> {
        let peer = &self.peer;
        let mut state = peer.state.locked();
        if let Err(unsent) = state.can_send(self.slot, &outgoing, &peer.config) {
            return Err((unsent, outgoing));
        }
        state.send(self.slot, outgoing);
        peer.want_link(&mut state);
        Ok(())
    }

    /// Sends, or waits in the channel's line. `None`: it was sent.
    pub(crate) fn send(
        &self,
        outgoing: Outgoing,
    ) -> Result<Option<Arc<Place>>, (Unsent, Outgoing)> {
        let peer = &self.peer;
        let mut state = peer.state.locked();
        let place = match state.can_send(self.slot, &outgoing, &peer.config) {
            Ok(()) => {
                state.send(self.slot, outgoing);
                None
            }
            Err(Unsent::Full) => {
                let place = Place::new();
                let waiting = Waiting {
                    place: place.clone(),
                    outgoing,
                };
                state.channel(self.slot).line.push_back(waiting);
                state.note_waiting(self.slot);
                Some(place)
            }
            Err(unsent) => return Err((unsent, outgoing)),
        };
        peer.want_link(&mut state);
        Ok(place)
    }

    /// Gives up a place in the line. False: it is not there any more.
    pub(crate) fn cancel(&self, place: &Arc<Place>) -> bool {
        let mut state = self.peer.state.locked();
        let line = &mut state.channel(self.slot).line;
        let position = line
            .iter()
            .position(|waiting| Arc::ptr_eq(&waiting.place, place));
        let taken = position.and_then(|position| line.remove(position));
        drop(state);
        let is_taken = taken.is_some();
        if let Some(waiting) = taken {
            waiting.outgoing.disarm();
        }
        is_taken
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let mut state = self.peer.state.locked();
        if let Some(channel) = state.channels.remove(&self.slot)
            && let Some(number) = channel.number
        {
            state.slot_of_number.remove(&number);
            state.pipe.push(&Frame::Close { channel: number });
        }
        // Another reference may have been made between the last drop and this.
        if let Entry::Occupied(entry) = state.targets.entry(self.key.clone())
            && entry.get().strong_count() == 0
        {
            entry.remove();
        }
    }
}

impl State {
    fn channel(&mut self, slot: Slot) -> &mut Channel {
        self.channels
            .get_mut(&slot)
            .expect("a channel lives as long as its target")
    }

    fn has_room(&self, config: &LinkConfig) -> bool {
        self.pipe.queued_bytes() < config.queue_bytes_max
    }

    fn can_send(
        &mut self,
        slot: Slot,
        outgoing: &Outgoing,
        config: &LinkConfig,
    ) -> Result<(), Unsent> {
        if let Phase::Ended(cause) = self.phase {
            return Err(cause);
        }
        let asks = asks_of(outgoing);
        if asks > 0 && self.asks.len() + asks > config.asks_max {
            return Err(Unsent::TooManyAsks);
        }
        let has_room = self.has_room(config);
        let channel = self.channel(slot);
        if has_room && channel.line.is_empty() && channel.credit.is_left() {
            Ok(())
        } else {
            Err(Unsent::Full)
        }
    }

    fn send(&mut self, slot: Slot, outgoing: Outgoing) {
        let Outgoing {
            payload,
            context,
            replies,
        } = outgoing;
        let channel = self
            .channels
            .get_mut(&slot)
            .expect("a channel lives as long as its target");
        let number = *channel.number.get_or_insert_with(|| {
            let number = self.next_channel_number;
            self.next_channel_number += 1;
            self.slot_of_number.insert(number, slot);
            self.pipe.push(&Frame::Open {
                channel: number,
                target: &channel.key.name,
                message: channel.key.message,
                version: channel.key.version,
            });
            channel.credit = SendCredit::new();
            channel.sent = 0;
            number
        });
        match &context {
            None => self.pipe.push(&Frame::Tell {
                channel: number,
                payload: &payload,
            }),
            Some(context) => self.pipe.push(&Frame::TellWith {
                channel: number,
                context: context_to_wire(context, Instant::now()),
                payload: &payload,
            }),
        };
        channel.credit.spend(payload.len());
        let sequence = channel.sent;
        channel.sent += 1;
        for Exported { number: ask, sink } in replies {
            let in_flight = AskInFlight {
                sink,
                channel: number,
                sequence,
            };
            self.asks.insert(ask, in_flight);
        }
    }

    /// Somebody waits on this channel: if that is for room, room will serve it.
    fn note_waiting(&mut self, slot: Slot) {
        let channel = self.channel(slot);
        if channel.credit.is_left() && !channel.is_waiting_for_room {
            channel.is_waiting_for_room = true;
            self.waiting_for_room.push_back(slot);
        }
    }

    /// Sends the first of a channel's line, if there is one and it has credit.
    fn serve_one(&mut self, slot: Slot, aftermath: &mut Aftermath) -> bool {
        let Some(channel) = self.channels.get_mut(&slot) else {
            return false;
        };
        if !channel.credit.is_left() {
            return false;
        }
        let Some(waiting) = channel.line.pop_front() else {
            return false;
        };
        self.send(slot, waiting.outgoing);
        aftermath.wakers.extend(waiting.place.settle(Ok(())));
        true
    }

    /// One channel has credit again.
    fn serve_channel(&mut self, slot: Slot, config: &LinkConfig, aftermath: &mut Aftermath) {
        while self.has_room(config) {
            if !self.serve_one(slot, aftermath) {
                return;
            }
        }
        if self
            .channels
            .get(&slot)
            .is_some_and(|channel| !channel.line.is_empty())
        {
            self.note_waiting(slot);
        }
    }

    /// The link has room again: one message of each channel in turn.
    fn serve_those_who_wait_for_room(&mut self, config: &LinkConfig, aftermath: &mut Aftermath) {
        while self.has_room(config) {
            let Some(slot) = self.waiting_for_room.pop_front() else {
                return;
            };
            if let Some(channel) = self.channels.get_mut(&slot) {
                channel.is_waiting_for_room = false;
            }
            if self.serve_one(slot, aftermath) && !self.channel(slot).line.is_empty() {
                self.note_waiting(slot);
            }
        }
    }

    /// A channel was refused: the next message opens another one. Returns how many messages went to nowhere.
    fn close_refused(
        &mut self,
        number: u32,
        config: &LinkConfig,
        aftermath: &mut Aftermath,
    ) -> u64 {
        let Some(slot) = self.slot_of_number.remove(&number) else {
            return 0;
        };
        self.pipe.push(&Frame::Close { channel: number });
        let channel = self.channel(slot);
        channel.number = None;
        channel.credit = SendCredit::new();
        let nacked = channel.sent;
        self.serve_channel(slot, config, aftermath);
        nacked
    }

    /// Takes away everything that depended on the link.
    fn clear(&mut self, cause: Unsent, aftermath: &mut Aftermath) -> Vec<Arc<MonitorInbox>> {
        self.slot_of_number.clear();
        self.waiting_for_room.clear();
        for channel in self.channels.values_mut() {
            channel.number = None;
            channel.credit = SendCredit::new();
            channel.sent = 0;
            channel.is_waiting_for_room = false;
            for waiting in channel.line.drain(..) {
                aftermath.handed_back.push(waiting.outgoing);
                aftermath.wakers.extend(waiting.place.settle(Err(cause)));
            }
        }
        let asks = std::mem::take(&mut self.asks);
        let failed = asks
            .into_values()
            .map(|ask| (ask.sink, AskError::Disconnected, None));
        aftermath.failed.extend(failed);
        std::mem::take(&mut self.monitors).into_values().collect()
    }
}

impl Aftermath {
    fn settle(self, peer: &Peer) {
        if self.messages_unsent > 0 {
            peer.counters
                .add(LinkCount::MessagesUnsent, self.messages_unsent);
            tracing::warn!(node = %peer.id, messages = self.messages_unsent, "messages were not sent: their link was lost");
        }
        for outgoing in self.handed_back {
            outgoing.disarm();
        }
        for (sink, error, note) in self.failed {
            sink.fail(error, note);
        }
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.id)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({} on {})", self.key.name, self.peer.id)
    }
}
