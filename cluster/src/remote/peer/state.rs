//! What the one lock of a peer holds, and how it changes. No foreign code runs here, and nothing waits.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Weak},
    task::Waker,
};

use tokio::time::Instant;
use treewarden_runtime::AskError;

use super::{
    Peer,
    target::{Target, TargetKey},
};
use crate::remote::{
    config::LinkConfig,
    counters::LinkCount,
    credit::SendCredit,
    error::RemoteAskError,
    frame::{FRAGMENT_BYTES, Frame, WireContext},
    large::{LargeIn, LargeKey},
    message::{Exported, Outgoing, Sink, context_to_wire},
    monitor::MonitorInbox,
    pipe::Pipe,
    place::{Unsent, Waiting},
};

/// How many open channels without a reference a peer keeps.
const IDLE_CHANNELS_MAX: usize = 1024;

const CHANNEL_LIVES: &str = "a channel lives as long as its target and as long as it is open";

pub(super) struct State {
    pub(super) phase: Phase,
    /// Of the link that is, or of the one that will be.
    pub(super) pipe: Arc<Pipe>,
    /// Attempts in a row that failed, or links that did not live long.
    pub(super) failures: u32,
    /// There are few, as a rule, and each message looks for one.
    pub(super) channels: BTreeMap<Slot, Channel>,
    slot_of_key: HashMap<TargetKey, Slot>,
    /// Open channels without a reference, in the order in which they lost it.
    idle: VecDeque<Slot>,
    pub(super) next_slot: Slot,
    pub(super) slot_of_number: HashMap<u32, Slot>,
    pub(super) next_channel_number: u32,
    /// Channels that have senders waiting and credit left, and wait for room.
    pub(super) waiting_for_room: VecDeque<Slot>,
    pub(super) asks: HashMap<u64, AskInFlight>,
    /// Long answers that are arriving.
    pub(super) answers: LargeIn<u64, ()>,
    pub(super) monitors: HashMap<u64, Arc<MonitorInbox>>,
}

pub(super) enum Phase {
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

/// The way to one remote actor. It stays open for a while after its last reference has gone, so that references can be
/// made for a single message; and when it is closed, none is opened for the same actor before the other side has said
/// that everything is with the mailbox. Otherwise the second could overtake the first, and would come with credit of its
/// own.
pub(super) struct Channel {
    pub(super) key: TargetKey,
    pub(super) target: Weak<Target>,
    /// On the present link, if it was opened there.
    pub(super) number: Option<u32>,
    /// It was closed, and the other side has not said yet that it is done.
    is_closing: bool,
    pub(super) credit: SendCredit,
    /// Messages since it was opened.
    pub(super) sent: u64,
    pub(super) line: VecDeque<Waiting>,
    pub(super) is_waiting_for_room: bool,
    /// A long message is on its way; what comes after it waits until it has gone.
    is_sending_large: bool,
}

pub(super) struct AskInFlight {
    pub(super) sink: Sink,
    pub(super) channel: u32,
    pub(super) sequence: u64,
}

/// What is to be done when the lock has been released.
#[derive(Default)]
pub(super) struct Aftermath {
    pub(super) wakers: Vec<Waker>,
    pub(super) failed: Vec<(Sink, AskError, Option<RemoteAskError>)>,
    pub(super) handed_back: Vec<Outgoing>,
    pub(super) messages_unsent: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            pipe: Arc::default(),
            failures: 0,
            channels: BTreeMap::new(),
            slot_of_key: HashMap::new(),
            idle: VecDeque::new(),
            next_slot: 0,
            slot_of_number: HashMap::new(),
            next_channel_number: 0,
            waiting_for_room: VecDeque::new(),
            asks: HashMap::new(),
            answers: LargeIn::new(),
            monitors: HashMap::new(),
        }
    }

    pub(super) fn add_channel(&mut self, key: TargetKey) -> Slot {
        let slot = self.next_slot;
        self.next_slot += 1;
        self.slot_of_key.insert(key.clone(), slot);
        let channel = Channel {
            key,
            target: Weak::new(),
            number: None,
            is_closing: false,
            credit: SendCredit::new(),
            sent: 0,
            line: VecDeque::new(),
            is_waiting_for_room: false,
            is_sending_large: false,
        };
        self.channels.insert(slot, channel);
        slot
    }

    pub(super) fn channel(&mut self, slot: Slot) -> &mut Channel {
        self.channels.get_mut(&slot).expect(CHANNEL_LIVES)
    }

    pub(super) fn slot_of_key(&self, key: &TargetKey) -> Option<Slot> {
        self.slot_of_key.get(key).copied()
    }

    /// A channel has references again.
    pub(super) fn attach(&mut self, slot: Slot, target: &Arc<Target>) {
        self.channel(slot).target = Arc::downgrade(target);
        self.idle.retain(|&idle| idle != slot);
    }

    /// The references of a channel have gone, unless it has got others in the meantime.
    pub(super) fn detach(&mut self, slot: Slot, target: *const Target) {
        let Some(channel) = self.channels.get(&slot) else {
            return;
        };
        if !std::ptr::eq(channel.target.as_ptr(), target) {
            return;
        }
        match channel.number {
            None => self.remove_channel(slot),
            Some(_) if channel.is_closing => {}
            Some(_) => {
                self.idle.push_back(slot);
                if self.idle.len() > IDLE_CHANNELS_MAX {
                    self.close_longest_idle();
                }
            }
        }
    }

    /// One whose last message is still being written stays.
    fn close_longest_idle(&mut self) {
        let is_quiet = |slot: &Slot| {
            let channel = self.channels.get(slot);
            channel.is_none_or(|channel| !channel.is_sending_large)
        };
        if let Some(position) = self.idle.iter().position(is_quiet)
            && let Some(slot) = self.idle.remove(position)
        {
            self.close(slot);
        }
    }

    fn close(&mut self, slot: Slot) {
        if let Some(channel) = self.channels.get_mut(&slot)
            && let Some(number) = channel.number
        {
            channel.is_closing = true;
            self.pipe.push(&Frame::Close { channel: number });
        }
    }

    /// The other side is done with a channel that was closed.
    pub(super) fn closed(&mut self, number: u32, config: &LinkConfig, aftermath: &mut Aftermath) {
        // One that was refused is forgotten already.
        if let Some(slot) = self.slot_of_number.remove(&number) {
            self.reset_channel(slot, config, aftermath);
        }
    }

    /// A channel is not open any more: those who wait open it again, and nobody keeps it.
    fn reset_channel(&mut self, slot: Slot, config: &LinkConfig, aftermath: &mut Aftermath) {
        let channel = self.channel(slot);
        channel.number = None;
        channel.is_closing = false;
        channel.is_sending_large = false;
        channel.credit = SendCredit::new();
        channel.sent = 0;
        if channel.target.strong_count() == 0 {
            self.idle.retain(|&idle| idle != slot);
            self.remove_channel(slot);
        } else {
            self.serve_channel(slot, config, aftermath);
        }
    }

    fn remove_channel(&mut self, slot: Slot) {
        if let Some(channel) = self.channels.remove(&slot) {
            self.slot_of_key.remove(&channel.key);
        }
    }

    /// Whether a message of so many bytes may be queued. Long ones do not take the room of short ones, nor the other way round.
    pub(super) fn has_room(&self, bytes: usize, config: &LinkConfig) -> bool {
        if bytes > FRAGMENT_BYTES {
            self.pipe.large_bytes() < config.queue_bytes_max
        } else {
            self.pipe.queued_bytes() < config.queue_bytes_max
        }
    }

    pub(super) fn can_send(
        &mut self,
        slot: Slot,
        outgoing: &Outgoing,
        config: &LinkConfig,
    ) -> Result<(), Unsent> {
        if let Phase::Ended(cause) = self.phase {
            return Err(cause);
        }
        let asks = outgoing.replies().len();
        if asks > 0 && self.asks.len() + asks > config.asks_max {
            return Err(Unsent::TooManyAsks);
        }
        let has_room = self.has_room(outgoing.payload.len(), config);
        let channel = self.channel(slot);
        if has_room && channel.line.is_empty() && channel.can_take() {
            Ok(())
        } else {
            Err(Unsent::Full)
        }
    }

    pub(super) fn send(&mut self, slot: Slot, outgoing: Outgoing) {
        let Outgoing { payload, rare } = outgoing;
        let channel = self.channels.get_mut(&slot).expect(CHANNEL_LIVES);
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
        let bytes = payload.len();
        let context = rare.as_ref().and_then(|rare| {
            let context = rare.context.as_ref()?;
            Some(WireContext {
                delivery: rare.delivery,
                ..context_to_wire(context, Instant::now())
            })
        });
        match context {
            context if bytes > FRAGMENT_BYTES => {
                channel.is_sending_large = true;
                let begin = Frame::TellBegin {
                    channel: number,
                    bytes: u32::try_from(bytes).expect("messages are bounded to less than 4 GiB"),
                    context,
                };
                self.pipe
                    .push_large(&begin, LargeKey::Message(number), payload.into_vec())
            }
            None => self.pipe.push_tell(number, payload),
            Some(context) => self.pipe.push(&Frame::TellWith {
                channel: number,
                context,
                payload: &payload.into_vec(),
            }),
        };
        channel.credit.spend(bytes);
        let sequence = channel.sent;
        channel.sent += 1;
        for Exported { number: ask, sink } in rare.map_or_else(Vec::new, |rare| rare.replies) {
            let in_flight = AskInFlight {
                sink,
                channel: number,
                sequence,
            };
            self.asks.insert(ask, in_flight);
        }
    }

    /// Somebody waits on this channel: if that is for room, room will serve it.
    pub(super) fn note_waiting(&mut self, slot: Slot) {
        let channel = self.channel(slot);
        if channel.can_take() && !channel.is_waiting_for_room {
            channel.is_waiting_for_room = true;
            self.waiting_for_room.push_back(slot);
        }
    }

    /// Sends the first of a channel's line, if there is one and it has credit.
    pub(super) fn serve_one(&mut self, slot: Slot, aftermath: &mut Aftermath) -> bool {
        let Some(channel) = self.channels.get_mut(&slot) else {
            return false;
        };
        if !channel.can_take() {
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
    pub(super) fn serve_channel(
        &mut self,
        slot: Slot,
        config: &LinkConfig,
        aftermath: &mut Aftermath,
    ) {
        while self.has_room_for_first(slot, config) {
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
    pub(super) fn serve_those_who_wait_for_room(
        &mut self,
        config: &LinkConfig,
        aftermath: &mut Aftermath,
    ) {
        // Channels that were looked at in vain since one was served.
        let mut in_vain = 0;
        while in_vain < self.waiting_for_room.len() {
            let Some(slot) = self.waiting_for_room.pop_front() else {
                return;
            };
            if let Some(channel) = self.channels.get_mut(&slot) {
                channel.is_waiting_for_room = false;
            }
            if !self.has_room_for_first(slot, config) {
                self.note_waiting(slot);
                in_vain += 1;
            } else if self.serve_one(slot, aftermath) {
                in_vain = 0;
                if !self.channel(slot).line.is_empty() {
                    self.note_waiting(slot);
                }
            }
        }
    }

    /// Whether there is room for the first in a channel's line. True if nobody is there.
    fn has_room_for_first(&self, slot: Slot, config: &LinkConfig) -> bool {
        let channel = self.channels.get(&slot);
        let first = channel.and_then(|channel| channel.line.front());
        first.is_none_or(|waiting| self.has_room(waiting.outgoing.payload.len(), config))
    }

    /// The last fragment of a channel's long message has gone.
    pub(super) fn has_sent_large(
        &mut self,
        number: u32,
        config: &LinkConfig,
        aftermath: &mut Aftermath,
    ) {
        // One that was refused is forgotten already.
        let Some(&slot) = self.slot_of_number.get(&number) else {
            return;
        };
        self.channel(slot).is_sending_large = false;
        self.serve_channel(slot, config, aftermath);
    }

    /// A channel was refused: the next message opens another one. Returns how many messages went to nowhere.
    pub(super) fn close_refused(
        &mut self,
        number: u32,
        config: &LinkConfig,
        aftermath: &mut Aftermath,
    ) -> u64 {
        let Some(&slot) = self.slot_of_number.get(&number) else {
            return 0;
        };
        let channel = self.channel(slot);
        let nacked = channel.sent;
        if !channel.is_closing {
            self.slot_of_number.remove(&number);
            self.pipe.cancel_large(number);
            self.pipe.push(&Frame::Close { channel: number });
            self.reset_channel(slot, config, aftermath);
        }
        nacked
    }

    /// Takes away everything that depended on the link.
    pub(super) fn clear(
        &mut self,
        cause: Unsent,
        aftermath: &mut Aftermath,
    ) -> Vec<Arc<MonitorInbox>> {
        self.slot_of_number.clear();
        self.waiting_for_room.clear();
        for channel in self.channels.values_mut() {
            channel.number = None;
            channel.is_closing = false;
            channel.credit = SendCredit::new();
            channel.sent = 0;
            channel.is_waiting_for_room = false;
            channel.is_sending_large = false;
            for waiting in channel.line.drain(..) {
                aftermath.handed_back.push(waiting.outgoing);
                aftermath.wakers.extend(waiting.place.settle(Err(cause)));
            }
        }
        self.idle.clear();
        self.answers.clear();
        self.channels
            .retain(|_, channel| channel.target.strong_count() > 0);
        self.slot_of_key
            .retain(|_, slot| self.channels.contains_key(slot));
        let asks = std::mem::take(&mut self.asks);
        let failed = asks
            .into_values()
            .map(|ask| (ask.sink, AskError::Disconnected, None));
        aftermath.failed.extend(failed);
        std::mem::take(&mut self.monitors).into_values().collect()
    }
}

impl Channel {
    fn can_take(&self) -> bool {
        !self.is_closing && !self.is_sending_large && self.credit.is_left()
    }
}

impl Aftermath {
    pub(super) fn settle(self, peer: &Peer) {
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
