//! A link that another node has dialed: messages come in, answers go out on the same connection.
//!
//! The reader waits for nothing but the socket, with one exception: when more answers wait to be written than
//! [`queue_bytes_max`](super::LinkConfig::queue_bytes_max) it stops reading, so that a caller that asks and does not read
//! gets no further. That is safe because the reader at the other end waits for nothing at all.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, Weak},
};

use tokio::{
    io::AsyncReadExt,
    task::{AbortHandle, JoinSet, yield_now},
    time::{Instant, timeout_at},
};
use treewarden_runtime::{
    AskError, Monitor, MonitorEvent, Receipt,
    wire::{ReplyPort, ReplySink, ReplySource},
};

use super::{
    channel::{Forwarding, Inbound, verdict_over},
    config::LinkConfig,
    counters::{InHand, LinkCount, LinkCounters},
    credit::{Overrun, Window},
    deliveries::{Attempt, Deliveries, DeliveryId},
    error::LinkError,
    exposed::Exposures,
    frame::{
        Decoder, FRAGMENT_BYTES, FRAME_BYTES_MAX, Frame, NoAnswer, WireContext, WireDelivery,
        WireExit,
    },
    handshake::Greeted,
    large::{LargeIn, LargeKey},
    message::error_to_wire,
    patience::Patience,
    pipe::{self, Pipe, StopReceiver},
    sync_ext::MutexExt,
};
use crate::{
    membership::{BootUid, NodeId},
    transport::Reader,
};

/// What goes back on an inbound link. Channels, forwarders and replies hold it.
pub(crate) struct Answering {
    myself: Weak<Self>,
    pipe: Arc<Pipe>,
    /// Whose link it is.
    caller: NodeId,
    counters: Arc<LinkCounters>,
    deliveries: Arc<Mutex<Deliveries<Awaited>>>,
    window: Window,
    /// The longest answer that the other side reads, in bytes.
    answer_bytes_max: usize,
    /// Answers that find more than this in the queue are not sent.
    queue_bytes_max: usize,
}

/// How far answers may pile up beyond the point at which the reader stops: as many times.
const ANSWERS_PILE_MAX: usize = 16;

impl Answering {
    fn new(
        pipe: Arc<Pipe>,
        caller: NodeId,
        household: &Household<'_>,
        message_bytes_max: usize,
    ) -> Arc<Self> {
        let config = household.config;
        Arc::new_cyclic(|myself| Self {
            myself: myself.clone(),
            pipe,
            caller,
            counters: household.counters.clone(),
            deliveries: household.deliveries.clone(),
            window: config.window,
            answer_bytes_max: message_bytes_max,
            queue_bytes_max: config.queue_bytes_max.max(config.message_bytes_max)
                * ANSWERS_PILE_MAX,
        })
    }

    pub(crate) fn window(&self) -> Window {
        self.window
    }

    pub(crate) fn counters(&self) -> &LinkCounters {
        &self.counters
    }

    /// Sends a frame, if the link has not ended.
    pub(crate) fn send(&self, frame: &Frame<'_>) {
        self.pipe.push(frame);
    }

    fn answer(&self, number: u64, answer: Result<Vec<u8>, AskError>) {
        let is_unsendable = |payload: &[u8]| {
            payload.len() > self.answer_bytes_max
                || self.pipe.queued_bytes() + self.pipe.large_bytes() + payload.len()
                    > self.queue_bytes_max
        };
        let is_answer = answer.is_ok();
        let is_queued = match answer {
            Ok(payload) if is_unsendable(&payload) => {
                self.counters.add(LinkCount::RepliesUnsent, 1);
                self.pipe.push(&Frame::ReplyError {
                    number,
                    error: NoAnswer::TooLarge {
                        bytes: payload.len() as u64,
                    },
                })
            }
            Ok(payload) if payload.len() > FRAGMENT_BYTES => {
                let bytes = u32::try_from(payload.len()).expect("answers are bounded");
                let begin = Frame::ReplyBegin { number, bytes };
                self.pipe
                    .push_large(&begin, LargeKey::Answer(number), payload)
            }
            Ok(payload) => self.pipe.push(&Frame::Reply {
                number,
                payload: &payload,
            }),
            Err(error) => self.pipe.push(&Frame::ReplyError {
                number,
                error: error_to_wire(verdict_over(error)),
            }),
        };
        if !is_queued && is_answer {
            self.counters.add(LinkCount::RepliesUnsent, 1);
        }
    }
}

impl Answering {
    /// An attempt at a delivery arrived. Returns the receipt for its message, if that is to be handed to the mailbox.
    pub(crate) fn receive(&self, attempt: WireDelivery, deadline: Instant) -> Option<Receipt> {
        let WireDelivery {
            boot,
            delivery,
            number,
        } = attempt;
        let id = DeliveryId {
            boot: BootUid(boot),
            number: delivery,
        };
        let awaited = Awaited {
            answering: self.myself.clone(),
            number,
        };
        let now = Instant::now();
        let arrived =
            self.deliveries
                .locked()
                .arrive(now, &self.caller.name, id, deadline, awaited);
        match arrived {
            Attempt::Fresh => {
                let (deliveries, sender) = (self.deliveries.clone(), self.caller.name.clone());
                return Some(Receipt::new(move |handled| {
                    let now = Instant::now();
                    let awaited = deliveries.locked().settle(now, &sender, id, handled);
                    if let Some(awaited) = awaited {
                        awaited.tell(handled);
                    }
                }));
            }
            Attempt::InHands => self.counters.add(LinkCount::DuplicatesDropped, 1),
            Attempt::Handled => {
                self.counters.add(LinkCount::DuplicatesDropped, 1);
                self.acknowledge(number, true);
            }
            Attempt::Refused => {
                self.pipe.push(&Frame::ReplyError {
                    number,
                    error: NoAnswer::Refused,
                });
            }
        }
        None
    }

    fn acknowledge(&self, number: u64, handled: bool) {
        self.pipe.push(&match handled {
            true => Frame::Reply {
                number,
                payload: &[],
            },
            false => Frame::ReplyError {
                number,
                error: NoAnswer::NoReply,
            },
        });
    }
}

impl ReplyPort for Answering {
    fn export(&self, sink: ReplySink) -> u64 {
        // Nothing is encoded through this port; whoever tries hears it.
        sink(Err(AskError::NoReply));
        u64::MAX
    }

    fn import(&self, number: u64) -> ReplySource {
        let myself = self.myself.clone();
        let in_hand = InHand::new(self.counters.clone());
        Box::new(move |answer| {
            // When this has been done the answer is queued for the link.
            let _in_hand = in_hand;
            if let Some(answering) = myself.upgrade() {
                answering.answer(number, answer);
            }
        })
    }
}

/// What all links of a node share.
pub(crate) struct Household<'h> {
    pub(crate) exposures: &'h Exposures,
    pub(crate) config: &'h LinkConfig,
    pub(crate) counters: &'h Arc<LinkCounters>,
    pub(crate) deliveries: &'h Arc<Mutex<Deliveries<Awaited>>>,
}

/// Where an attempt at a delivery waits for its acknowledgement: on which link, and under which number.
#[derive(Debug)]
pub(crate) struct Awaited {
    answering: Weak<Answering>,
    number: u64,
}

impl Awaited {
    fn tell(&self, handled: bool) {
        if let Some(answering) = self.answering.upgrade() {
            answering.acknowledge(self.number, handled);
        }
    }
}

/// Serves a link until it ends, and says why it did. When this returns, nothing of the link is at work any more.
pub(crate) async fn serve(
    greeted: Greeted,
    household: &Household<'_>,
    caller: &NodeId,
    stop: &mut StopReceiver,
) -> LinkError {
    let pipe = Arc::new(Pipe::default());
    let mut link = InboundLink {
        answering: Answering::new(
            pipe.clone(),
            caller.clone(),
            household,
            greeted.message_bytes_max,
        ),
        exposures: household.exposures,
        config: household.config,
        channels: BTreeMap::new(),
        messages: LargeIn::new(),
        monitors: HashMap::new(),
        tasks: JoinSet::new(),
    };
    let reading = async {
        match link.read(greeted.reader, greeted.decoder).await {
            Err(why) => why,
        }
    };
    let why = pipe::run(
        &pipe,
        greeted.writer,
        household.config,
        || {},
        stop,
        reading,
    )
    .await;
    pipe.end();
    link.tasks.shutdown().await;
    why
}

/// A context that outlives the frame that it came in. The time that its message took to arrive counts.
struct OwnedContext {
    came_at: Instant,
    context: WireContext<'static>,
    trace_parent: Option<String>,
}

impl OwnedContext {
    fn new(wire: &WireContext<'_>) -> Self {
        Self {
            came_at: Instant::now(),
            context: WireContext {
                trace_parent: None,
                ..*wire
            },
            trace_parent: wire.trace_parent.map(str::to_owned),
        }
    }

    fn as_wire(&self) -> WireContext<'_> {
        let since_us = u64::try_from(self.came_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        let remaining_us = self.context.remaining_us;
        WireContext {
            remaining_us: remaining_us.map(|us| us.saturating_sub(since_us)),
            trace_parent: self.trace_parent.as_deref(),
            ..self.context
        }
    }
}

struct InboundLink<'a> {
    answering: Arc<Answering>,
    exposures: &'a Exposures,
    config: &'a LinkConfig,
    /// `None`: it was refused, and what comes for it is dropped.
    channels: BTreeMap<u32, Option<Box<dyn Inbound>>>,
    /// Long messages that are arriving, by channel.
    messages: LargeIn<u32, Option<OwnedContext>>,
    monitors: HashMap<u64, AbortHandle>,
    /// Forwarders and monitors.
    tasks: JoinSet<()>,
}

/// A reader that has read so much at once lets others run, in bytes.
const TURN_BYTES: usize = 16 * 1024;

impl InboundLink<'_> {
    async fn read(
        &mut self,
        mut half: Reader,
        mut decoder: Decoder,
    ) -> Result<std::convert::Infallible, LinkError> {
        let mut patience = Patience::new(self.config, Instant::now());
        // What has come behind the handshake has been read as well.
        let mut has_read = Some(0);
        loop {
            let mut has_whole = false;
            while let Some(frame) = decoder.next(FRAME_BYTES_MAX)? {
                has_whole = true;
                self.handle(frame)?;
            }
            if let Some(bytes) = has_read.take() {
                let now = Instant::now();
                patience.heard(now, has_whole, decoder.has_part());
                patience.check(now)?;
                // Behind so much, those for whom it was get their turn before more is read.
                if bytes >= TURN_BYTES {
                    yield_now().await;
                }
            }
            let pipe = self.answering.pipe.clone();
            if !pipe.is_drained_to(self.config.queue_bytes_max) {
                let since = Instant::now();
                pipe.drained_to(self.config.queue_bytes_max).await;
                patience.looked_away(since.elapsed());
            }
            tokio::select! {
                read = timeout_at(patience.ends_at(), half.read_buf(decoder.space())) => {
                    match read {
                        Ok(Ok(0)) => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
                        Ok(Ok(read)) => has_read = Some(read),
                        Ok(Err(error)) => return Err(error.into()),
                        Err(_) => return Err(patience.end()),
                    }
                }
                Some(ended) = self.tasks.join_next() => {
                    if ended.is_err_and(|error| error.is_panic()) {
                        // Its channel would be stuck.
                        return Err(LinkError::Rules("a mailbox panicked"));
                    }
                }
            }
        }
    }

    fn handle(&mut self, frame: Frame<'_>) -> Result<(), LinkError> {
        match frame {
            Frame::Tell { channel, .. } | Frame::TellWith { channel, .. }
                if self.messages.has(&channel) =>
            {
                Err(LinkError::Rules("it sent a message within a message"))
            }
            Frame::Tell { channel, payload } => self.deliver(channel, payload, None),
            Frame::TellWith {
                channel,
                context,
                payload,
            } => self.deliver(channel, payload, Some(&context)),
            Frame::TellBegin {
                channel,
                bytes,
                context,
            } => self.begin(channel, bytes, context.as_ref()),
            Frame::Fragment { channel, payload } => self.add(channel, payload),
            Frame::Open {
                channel,
                target,
                message,
                version,
            } => self.open(channel, target, message, version),
            Frame::Close { channel } => match self.close(channel) {
                Some(Some(open)) => {
                    open.close();
                    Ok(())
                }
                Some(None) => {
                    self.answering.send(&Frame::Closed { channel });
                    Ok(())
                }
                None => Err(LinkError::Rules("it closed a channel that is not open")),
            },
            Frame::Monitor { number, target } => self.monitor(number, target),
            Frame::Demonitor { number } => {
                if let Some(monitor) = self.monitors.remove(&number) {
                    monitor.abort();
                }
                Ok(())
            }
            Frame::Ping => Ok(()),
            Frame::Goodbye => Err(LinkError::Goodbye),
            Frame::Hello(_)
            | Frame::Welcome { .. }
            | Frame::Confirm { .. }
            | Frame::Refuse { .. }
            | Frame::Closed { .. }
            | Frame::Credit { .. }
            | Frame::Nack { .. }
            | Frame::OpenRefused { .. }
            | Frame::Reply { .. }
            | Frame::ReplyError { .. }
            | Frame::ReplyBegin { .. }
            | Frame::ReplyFragment { .. }
            | Frame::Down { .. } => Err(LinkError::Rules("a dialer does not send this frame")),
        }
    }

    /// A channel that is closed within a message was refused: the rest of the message does not come.
    fn close(&mut self, channel: u32) -> Option<Option<Box<dyn Inbound>>> {
        if self.messages.forget(&channel) {
            let counters = &self.answering.counters;
            counters.add(LinkCount::MessagesMisdirected, 1);
        }
        self.channels.remove(&channel)
    }

    /// A long message is announced.
    fn begin(
        &mut self,
        channel: u32,
        bytes: u32,
        context: Option<&WireContext<'_>>,
    ) -> Result<(), LinkError> {
        if !self.channels.contains_key(&channel) {
            return Err(LinkError::Rules("it sent on a channel that is not open"));
        }
        let context = context.map(OwnedContext::new);
        self.messages
            .begin(channel, bytes, self.config.message_bytes_max, context)
            .map_err(|_| LinkError::Rules("it announced a message that cannot be"))
    }

    /// A part of a long message.
    fn add(&mut self, channel: u32, fragment: &[u8]) -> Result<(), LinkError> {
        let added = self.messages.add(&channel, fragment);
        match added.map_err(|_| LinkError::Rules("a part of a message does not fit"))? {
            None => Ok(()),
            Some((payload, context)) => {
                let context = context.as_ref().map(OwnedContext::as_wire);
                self.deliver_by(channel, |open| open.deliver_long(payload, context.as_ref()))
            }
        }
    }

    fn deliver(
        &mut self,
        channel: u32,
        payload: &[u8],
        context: Option<&WireContext<'_>>,
    ) -> Result<(), LinkError> {
        self.deliver_by(channel, |open| open.deliver(payload, context))
    }

    fn deliver_by(
        &mut self,
        channel: u32,
        deliver: impl FnOnce(&mut dyn Inbound) -> Result<Option<Forwarding>, Overrun>,
    ) -> Result<(), LinkError> {
        match self.channels.get_mut(&channel) {
            Some(Some(open)) => match deliver(&mut **open) {
                Ok(None) => {}
                Ok(Some(forwarding)) => drop(self.tasks.spawn(forwarding)),
                Err(_overrun) => return Err(LinkError::Rules("it sent more than was granted")),
            },
            Some(None) => self
                .answering
                .counters
                .add(LinkCount::MessagesMisdirected, 1),
            None => return Err(LinkError::Rules("it sent on a channel that is not open")),
        }
        Ok(())
    }

    fn open(
        &mut self,
        channel: u32,
        target: &str,
        message: &str,
        version: u32,
    ) -> Result<(), LinkError> {
        if self.channels.len() >= self.config.channels_max {
            return Err(LinkError::Rules("it opened too many channels"));
        }
        let found = self.exposures.find_for(target, message, version);
        if let Err(reason) = found {
            tracing::debug!(target, message, version, ?reason, "a channel was refused");
            self.answering.send(&Frame::OpenRefused { channel, reason });
        }
        let answering = &self.answering;
        let opened = found
            .ok()
            .map(|target| target.open(channel, answering.clone()));
        match self.channels.insert(channel, opened) {
            None => Ok(()),
            Some(_) => Err(LinkError::Rules("it opened a channel twice")),
        }
    }

    fn monitor(&mut self, number: u64, target: &str) -> Result<(), LinkError> {
        if self.monitors.len() >= self.config.channels_max {
            return Err(LinkError::Rules("it monitors too many actors"));
        }
        let Some(subject) = self.exposures.find(target) else {
            self.answering.send(&Frame::Down {
                number,
                exit: WireExit {
                    incarnation: None,
                    restart_follows: false,
                    missed: 0,
                    kind: UNKNOWN_TARGET,
                    text: "",
                },
            });
            return Ok(());
        };
        let watching = watch(
            subject.monitor(),
            number,
            self.answering.clone(),
            self.config.queue_bytes_max,
        );
        let handle = self.tasks.spawn(watching);
        match self.monitors.insert(number, handle) {
            None => Ok(()),
            Some(_) => Err(LinkError::Rules("it used the number of a monitor twice")),
        }
    }
}

/// The kind of an exit that stands for a name under which nothing is exposed.
pub(crate) const UNKNOWN_TARGET: &str = "unknown_target";

/// The longest text of an exit that travels, in bytes.
const EXIT_TEXT_BYTES_MAX: usize = 512;

/// Passes on what a monitor says. While the link is behind, ends are merged in the monitor.
async fn watch(
    mut monitor: Monitor,
    number: u64,
    answering: Arc<Answering>,
    queue_bytes_max: usize,
) {
    while let Some(event) = monitor.next().await {
        answering.pipe.drained_to(queue_bytes_max).await;
        let (incarnation, restart_follows, missed) = match &event {
            MonitorEvent::Down {
                incarnation,
                restart_follows,
                missed,
                ..
            } => (Some(*incarnation), *restart_follows, *missed),
            MonitorEvent::Gone { missed, .. } => (None, false, *missed),
            // A kind of event that this version has no frame for.
            _ => continue,
        };
        let reason = event.reason();
        let text = exit_text(reason);
        answering.send(&Frame::Down {
            number,
            exit: WireExit {
                incarnation,
                restart_follows,
                missed,
                kind: reason.kind(),
                text: &text,
            },
        });
    }
}

/// What went wrong, without the word that its kind says already.
fn exit_text(reason: &treewarden_runtime::ExitReason) -> String {
    use treewarden_runtime::ExitReason;
    let mut text = match reason {
        ExitReason::Failed(failure) | ExitReason::Escalated(failure) => format!("{failure:#}"),
        ExitReason::Panicked(panic) => panic.to_string(),
        _ => String::new(),
    };
    let mut end = text.len().min(EXIT_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
