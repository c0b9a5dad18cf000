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

mod state;
mod target;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use treewarden_runtime::AskError;

use super::{
    channel::LONG_BYTES,
    config::LinkConfig,
    counters::{LinkCount, LinkCounters},
    deliveries::DeliveryId,
    error::{LinkError, RemoteAskError},
    frame::{Frame, Nack},
    lane::Lane,
    links::Shared,
    message::{error_from_wire, next_number},
    monitor::MonitorInbox,
    pipe::{Pipe, StopReceiver, StopSender},
    place::Unsent,
    sync_ext::MutexExt,
};
use crate::membership::{BootUid, NodeId};
use state::{Aftermath, AskInFlight, Phase, State};

pub(crate) use target::{Target, TargetKey};

pub(crate) struct Peer {
    pub(crate) id: NodeId,
    pub(crate) lane: Lane,
    payload_bytes_max: AtomicUsize,
    config: LinkConfig,
    counters: Arc<LinkCounters>,
    links: Weak<Shared>,
    stop: StopSender,
    state: Mutex<State>,
}

impl Peer {
    pub(crate) fn new(
        (id, lane): (NodeId, Lane),
        config: &LinkConfig,
        counters: &Arc<LinkCounters>,
        links: Weak<Shared>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            lane,
            payload_bytes_max: AtomicUsize::new(config.message_bytes_max),
            config: config.clone(),
            counters: counters.clone(),
            links,
            stop: watch::Sender::new(None),
            state: Mutex::new(State::new()),
        })
    }

    // For references.

    /// The same node on another lane; itself if the links have ended.
    pub(crate) fn on(self: &Arc<Self>, lane: Lane) -> Arc<Self> {
        match self.links.upgrade() {
            Some(links) if lane != self.lane => links.peer(&self.id, lane),
            _ => self.clone(),
        }
    }

    /// The one target of this name and type.
    pub(crate) fn target(self: &Arc<Self>, key: TargetKey) -> Arc<Target> {
        let mut state = self.state.locked();
        let slot = match state.slot_of_key(&key) {
            Some(slot) => slot,
            None => state.add_channel(key.clone()),
        };
        if let Some(target) = state.channel(slot).target.upgrade() {
            return target;
        }
        let target = Arc::new(Target {
            peer: self.clone(),
            key,
            slot,
        });
        state.attach(slot, &target);
        target
    }

    /// A number for a delivery, which no other of this boot has. Without links there are no deliveries, and any number will do.
    pub(crate) fn next_delivery(&self) -> DeliveryId {
        let nobody = DeliveryId {
            boot: BootUid(0),
            number: 0,
        };
        let links = self.links.upgrade();
        links.map_or(nobody, |links| links.next_delivery())
    }

    /// How long to wait after so many attempts in vain.
    pub(crate) fn pause(&self, attempts: u32) -> Duration {
        self.config.backoff(attempts)
    }

    /// What an asker is told of a message that was not sent.
    pub(crate) fn ask_error(&self, unsent: Unsent) -> RemoteAskError {
        match unsent {
            Unsent::TooManyAsks => RemoteAskError::TooManyAsks {
                asks_max: self.asks_max(),
            },
            Unsent::Full => AskError::Refused.into(),
            // It was never sent, whatever became of the link.
            Unsent::Disconnected => AskError::Disconnected.into(),
            Unsent::NodeDown => RemoteAskError::NodeDown,
            Unsent::ShutDown => RemoteAskError::ShutDown,
        }
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
        let number = next_number();
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
    pub(crate) fn opened(&self, message_bytes_max: usize) -> Result<(), LinkError> {
        let mut state = self.state.locked();
        let message_bytes_max = message_bytes_max.min(self.config.message_bytes_max);
        self.payload_bytes_max
            .store(message_bytes_max, Ordering::Relaxed);
        if state.pipe.longest_message_bytes() > message_bytes_max {
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
        for channel in state.pipe.take_finished() {
            state.has_sent_large(channel, &self.config, &mut aftermath);
        }
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
            Frame::ReplyBegin { number, bytes } => {
                let mut state = self.state.locked();
                // An answer that nobody waits for any more is put together all the same: its fragments come.
                let bytes_max = self.config.message_bytes_max;
                let begun = state.answers.begin(number, bytes, bytes_max, ());
                begun.map_err(|_| LinkError::Rules("it announced an answer that cannot be"))?;
            }
            Frame::ReplyFragment { number, payload } => {
                let added = self.state.locked().answers.add(&number, payload);
                let whole =
                    added.map_err(|_| LinkError::Rules("a part of an answer does not fit"))?;
                match whole {
                    // Nobody waits for an answer that takes long to decode but the one who asked.
                    Some((answer, ())) if answer.len() >= LONG_BYTES => {
                        if let Some(ask) = self.take_ask(number) {
                            let node = self.id.clone();
                            tokio::task::spawn_blocking(move || {
                                settle(&node, ask, Ok(answer), None);
                            });
                        }
                    }
                    Some((answer, ())) => self.answered(number, Ok(answer), None),
                    None => {}
                }
            }
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
                if reason == Nack::Gone {
                    // Another actor may have the name by now: the next message asks for it anew.
                    let mut aftermath = Aftermath::default();
                    let mut state = self.state.locked();
                    state.close_refused(channel, &self.config, &mut aftermath);
                    drop(state);
                    aftermath.settle(self);
                }
            }
            Frame::Closed { channel } => {
                let mut aftermath = Aftermath::default();
                let mut state = self.state.locked();
                state.closed(channel, &self.config, &mut aftermath);
                drop(state);
                aftermath.settle(self);
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
            | Frame::TellBegin { .. }
            | Frame::Fragment { .. }
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
        if let Some(ask) = self.take_ask(number) {
            settle(&self.id, ask, answer, note);
        }
    }

    /// The ask of this number, unless it has ended.
    fn take_ask(&self, number: u64) -> Option<AskInFlight> {
        let ask = self.state.locked().asks.remove(&number);
        if ask.is_none() {
            self.counters.add(LinkCount::RepliesLate, 1);
        }
        ask
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

/// Tells an asker. The `Deserialize` of an answer is foreign code, and its panic must not end the link of others.
fn settle(
    node: &NodeId,
    ask: AskInFlight,
    answer: Result<Vec<u8>, AskError>,
    note: Option<RemoteAskError>,
) {
    let settled = catch_unwind(AssertUnwindSafe(|| match answer {
        Ok(payload) => ask.sink.answer(Ok(payload)),
        Err(error) => ask.sink.fail(error, note),
    }));
    if settled.is_err() {
        tracing::error!(%node, "decoding an answer panicked");
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({} on {:?})", self.id, self.lane)
    }
}
