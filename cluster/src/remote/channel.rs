//! A channel on the receiving side: messages of one node for one mailbox of this one.
//!
//! The reader of a link hands every message to its channel and goes on: it never waits for a mailbox. What the mailbox has
//! no room for goes to a backlog, which the sender's credit bounds, and a forwarder puts it into the mailbox, in order,
//! as room appears. Credit is given back for what has left the backlog. So a slow actor fills its own window and nothing
//! else.
//!
//! The order is kept because there is one reader, and it goes around the backlog only when no forwarder is at work. When
//! the link ends, its forwarders end first and what is in the backlogs is discarded and counted: a newer link from the
//! same node starts with nothing in front of it.

use std::{
    collections::VecDeque,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use treewarden_runtime::{ActorRef, AskError, MessageContext, Tell, TellError, wire};

use super::{
    counters::LinkCount,
    credit::{Overrun, ReceiveCredit, Returns, Window},
    frame::{Frame, Nack, WireContext},
    inbound::Answering,
    message::{RemoteMessage, context_from_wire},
    shared_bytes::decoding,
    sync_ext::MutexExt,
};

/// Work that a channel has for its link: to be polled until it ends, or dropped with the link.
pub(crate) type Forwarding = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A channel, whatever its messages. Messages are delivered under the link's port for replies: [`wire::receive`].
pub(crate) trait Inbound: Send {
    /// Takes one message. A future that is returned has to be polled along.
    fn deliver(
        &mut self,
        payload: &[u8],
        context: Option<&WireContext<'_>>,
    ) -> Result<Option<Forwarding>, Overrun>;

    /// Takes one message that came in parts. It is decoded on a thread for such work if that takes long, so that nobody waits for it.
    fn deliver_long(
        &mut self,
        payload: Vec<u8>,
        context: Option<&WireContext<'_>>,
    ) -> Result<Option<Forwarding>, Overrun>;

    /// Nothing more will come. Says so to the other side when the mailbox has everything.
    fn close(self: Box<Self>);
}

/// Messages arrive as `W` and go to the mailbox as `M`: the same type, or a later version of it.
pub(crate) struct Channel<W, M> {
    shared: Arc<Shared<M>>,
    arrives: PhantomData<fn(W)>,
    /// Messages that have come.
    received: u64,
    credit: ReceiveCredit,
    /// What the reader itself has given to the mailbox.
    returns: Returns,
}

/// What the reader and the forwarder share. Whatever goes straight to the mailbox needs no lock.
struct Shared<M> {
    number: u32,
    target: ActorRef<M>,
    answering: Arc<Answering>,
    /// Changes under the lock, and is true only by the reader.
    is_forwarding: AtomicBool,
    state: Mutex<State<M>>,
}

struct State<M> {
    /// What the forwarder has given to the mailbox.
    returns: Returns,
    /// What it has granted since the reader last looked.
    granted: Option<Window>,
    backlog: VecDeque<Waiting<M>>,
    closed: bool,
}

struct Waiting<M> {
    message: Message<M>,
    context: Option<MessageContext>,
    sequence: u64,
    bytes: usize,
}

enum Message<M> {
    Decoded(M),
    /// Too long to be decoded by the reader.
    Encoded(Bytes, Decode<M>),
}

type Decode<M> = fn(&[u8]) -> Option<M>;

/// From this length on a message is not decoded by the reader, in bytes. Below it, handing it to another thread takes longer.
pub(crate) const LONG_BYTES: usize = 1024 * 1024;

/// A message that has been let in, but for its content.
struct Arrived {
    context: Option<MessageContext>,
    has_receipt: bool,
    sequence: u64,
    was_forwarding: bool,
}

impl<W: RemoteMessage, M: From<W> + Send + 'static> Channel<W, M> {
    /// Enters a message in the books. `None`: it is a copy of one that came before.
    fn arrive(
        &mut self,
        bytes: usize,
        context: Option<&WireContext<'_>>,
    ) -> Result<Option<Arrived>, Overrun> {
        let sequence = self.received;
        self.received += 1;
        if self.credit.receive(bytes).is_err() {
            let granted = self.shared.state.locked().granted.take();
            self.credit.granted(granted.ok_or(Overrun)?);
            self.credit.receive(bytes)?;
        }
        // Nobody but this reader starts a forwarder; one that is at work may end meanwhile.
        let was_forwarding = self.shared.is_forwarding.load(Ordering::Acquire);
        let mut arrived = Arrived {
            context: None,
            has_receipt: false,
            sequence,
            was_forwarding,
        };
        let Some(wire) = context else {
            return Ok(Some(arrived));
        };
        let now = Instant::now();
        let mut context = context_from_wire(wire, now);
        if let Some(attempt) = wire.delivery {
            let deadline = now + Duration::from_micros(wire.remaining_us.unwrap_or(0));
            let Some(receipt) = self.shared.answering.receive(attempt, deadline) else {
                self.taken(bytes);
                return Ok(None);
            };
            context = context.with_receipt(receipt);
            arrived.has_receipt = true;
        }
        arrived.context = Some(context);
        Ok(Some(arrived))
    }

    /// Hands a message to the forwarder, which is returned if there was none.
    fn line_up(&self, waiting: Waiting<M>) -> Option<Forwarding> {
        let mut state = self.shared.state.locked();
        state.backlog.push_back(waiting);
        if self.shared.is_forwarding.load(Ordering::Relaxed) {
            return None;
        }
        self.shared.is_forwarding.store(true, Ordering::Relaxed);
        drop(state);
        Some(Box::pin(self.shared.clone().forward()))
    }

    pub(crate) fn new(number: u32, target: ActorRef<M>, answering: Arc<Answering>) -> Self {
        let (credit, returns, extra) = ReceiveCredit::new(answering.window());
        if let Some(extra) = extra {
            answering.send(&Frame::Credit {
                channel: number,
                messages: extra.messages,
                bytes: extra.bytes,
            });
        }
        Self {
            shared: Arc::new(Shared {
                number,
                target,
                answering,
                is_forwarding: AtomicBool::new(false),
                state: Mutex::new(State {
                    returns: returns.clone(),
                    granted: None,
                    backlog: VecDeque::new(),
                    closed: false,
                }),
            }),
            arrives: PhantomData,
            received: 0,
            credit,
            returns,
        }
    }

    /// A message has left the reader's hands, and no forwarder has it.
    fn taken(&mut self, bytes: usize) {
        if let Some(grant) = self.returns.take(bytes) {
            self.credit.granted(grant);
            self.shared.grant(grant);
        }
    }
}

impl<W: RemoteMessage, M: From<W> + Send + 'static> Inbound for Channel<W, M> {
    fn deliver(
        &mut self,
        payload: &[u8],
        context: Option<&WireContext<'_>>,
    ) -> Result<Option<Forwarding>, Overrun> {
        let bytes = payload.len();
        let Some(arrived) = self.arrive(bytes, context)? else {
            return Ok(None);
        };
        let sequence = arrived.sequence;
        let Some(message) = decode::<W, M>(payload) else {
            self.shared.refused(sequence, Nack::Undecodable);
            self.taken(bytes);
            return Ok(None);
        };
        // A receipt goes into the mailbox with its message or not at all, so that message is not tried first.
        let message = if arrived.was_forwarding || arrived.has_receipt {
            message
        } else {
            match self
                .shared
                .try_tell(message, arrived.context.as_ref(), sequence)
            {
                Some(message) => message,
                None => {
                    self.taken(bytes);
                    return Ok(None);
                }
            }
        };
        Ok(self.line_up(Waiting {
            message: Message::Decoded(message),
            context: arrived.context,
            sequence,
            bytes,
        }))
    }

    fn deliver_long(
        &mut self,
        payload: Vec<u8>,
        context: Option<&WireContext<'_>>,
    ) -> Result<Option<Forwarding>, Overrun> {
        let bytes = payload.len();
        if bytes < LONG_BYTES {
            let payload = Bytes::from(payload);
            return decoding(payload.clone(), || self.deliver(&payload, context));
        }
        let arrived = self.arrive(bytes, context)?;
        Ok(arrived.and_then(|arrived| {
            self.line_up(Waiting {
                message: Message::Encoded(payload.into(), decode::<W, M>),
                context: arrived.context,
                sequence: arrived.sequence,
                bytes,
            })
        }))
    }

    fn close(self: Box<Self>) {
        let mut state = self.shared.state.locked();
        state.closed = true;
        let is_empty = !self.shared.is_forwarding.load(Ordering::Relaxed);
        drop(state);
        if is_empty {
            self.shared.say_closed();
        }
    }
}

impl<M: Send + 'static> Shared<M> {
    /// Gives the mailbox a message, if it takes or refuses it at once.
    fn try_tell(&self, message: M, context: Option<&MessageContext>, sequence: u64) -> Option<M> {
        let told = match context {
            None => self.target.try_tell(message),
            Some(context) => self.target.try_tell_with(message, context.clone()),
        };
        match told {
            Ok(()) => {}
            // Whether its policy is to wait is found out by waiting.
            Err(TellError::Full(message)) => return Some(message),
            Err(error) => self.not_told(error, sequence),
        }
        None
    }

    /// Empties the backlog into the mailbox.
    async fn forward(self: Arc<Self>) {
        loop {
            let (next, closed) = {
                let mut state = self.state.locked();
                let next = state.backlog.pop_front();
                if next.is_none() {
                    // Everything is in the mailbox, for a reader that sees this.
                    self.is_forwarding.store(false, Ordering::Release);
                }
                (next, state.closed)
            };
            let Some(waiting) = next else {
                if closed {
                    self.say_closed();
                }
                return;
            };
            let message = match waiting.message {
                Message::Decoded(message) => message,
                Message::Encoded(payload, decode) => {
                    let Some(message) = self.decode_elsewhere(payload, decode).await else {
                        self.refused(waiting.sequence, Nack::Undecodable);
                        self.forwarded(waiting.bytes);
                        continue;
                    };
                    message
                }
            };
            let telling = match waiting.context {
                None => self.target.tell(message),
                Some(context) => self.target.tell_with(message, context),
            };
            let telling = Telling {
                telling: Some(telling),
                answering: &self.answering,
            };
            if let Err(error) = telling.await {
                self.not_told(error, waiting.sequence);
            }
            self.forwarded(waiting.bytes);
        }
    }

    /// Decodes on a thread of the runtime that may be occupied.
    async fn decode_elsewhere(&self, payload: Bytes, decode: Decode<M>) -> Option<M> {
        /// Counts a message whose link ends while it is being decoded.
        struct BeingDecoded<'a>(Option<&'a Answering>);
        impl Drop for BeingDecoded<'_> {
            fn drop(&mut self) {
                if let Some(answering) = self.0 {
                    answering.counters().add(LinkCount::MessagesDiscarded, 1);
                }
            }
        }
        let mut being_decoded = BeingDecoded(Some(&self.answering));
        let answering = self.answering.clone();
        let work =
            move || wire::receive(answering, || decoding(payload.clone(), || decode(&payload)));
        let decoded = tokio::task::spawn_blocking(work).await;
        being_decoded.0 = None;
        decoded.ok().flatten()
    }

    fn say_closed(&self) {
        self.answering.send(&Frame::Closed {
            channel: self.number,
        });
    }

    /// The mailbox did not take a message, and will not.
    fn not_told(&self, error: TellError<M>, sequence: u64) {
        let (nack, verdict) = match &error {
            TellError::Full(_) => (Nack::Full, AskError::Refused),
            TellError::TooHeavy(_) => (Nack::TooHeavy, AskError::Refused),
            TellError::Stopped(_) => (Nack::Stopped, AskError::Dead),
            TellError::Gone(_) => (Nack::Gone, AskError::Dead),
        };
        drop_refused(error.into_message(), verdict);
        self.refused(sequence, nack);
    }

    fn refused(&self, sequence: u64, reason: Nack) {
        let counters = self.answering.counters();
        counters.add(
            match reason {
                Nack::Undecodable => LinkCount::MessagesUndecodable,
                Nack::Full | Nack::TooHeavy | Nack::Stopped | Nack::Gone => {
                    LinkCount::MessagesRefused
                }
            },
            1,
        );
        tracing::debug!(path = %self.target.path(), ?reason, "a message from another node was not accepted");
        self.answering.send(&Frame::Nack {
            channel: self.number,
            sequence,
            reason,
        });
    }

    /// A message has left the forwarder's hands.
    fn forwarded(&self, bytes: usize) {
        let mut state = self.state.locked();
        let Some(grant) = state.returns.take(bytes) else {
            return;
        };
        // The reader has to know of it before the sender can.
        let granted = state.granted.get_or_insert(Window {
            messages: 0,
            bytes: 0,
        });
        granted.messages = granted.messages.saturating_add(grant.messages);
        granted.bytes = granted.bytes.saturating_add(grant.bytes);
        drop(state);
        self.grant(grant);
    }

    fn grant(&self, grant: Window) {
        self.answering.send(&Frame::Credit {
            channel: self.number,
            messages: grant.messages,
            bytes: grant.bytes,
        });
    }
}

/// Under the port through which replies in the message go back.
fn decode<W: RemoteMessage, M: From<W>>(payload: &[u8]) -> Option<M> {
    // A `Deserialize` is foreign code, and its panic must not end the link of others.
    let decoded = catch_unwind(AssertUnwindSafe(|| W::decode(payload).map(M::from)));
    match decoded {
        Ok(Ok(message)) => Some(message),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// A tell that takes its message back when it is dropped with its link, tells its asker why, and counts it.
struct Telling<'a, M: Send + 'static> {
    telling: Option<Tell<'a, M>>,
    answering: &'a Answering,
}

impl<M: Send + 'static> Future for Telling<'_, M> {
    type Output = Result<(), TellError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let telling = self
            .telling
            .as_mut()
            .expect("a tell is not polled after it has ended");
        let polled = Pin::new(telling).poll(cx);
        if polled.is_ready() {
            self.telling = None;
        }
        polled
    }
}

impl<M: Send + 'static> Drop for Telling<'_, M> {
    fn drop(&mut self) {
        if let Some(message) = self.telling.take().and_then(Tell::cancel) {
            drop_refused(message, AskError::Disconnected);
            self.answering
                .counters()
                .add(LinkCount::MessagesDiscarded, 1);
        }
    }
}

impl<M> Drop for Shared<M> {
    fn drop(&mut self) {
        let backlog = std::mem::take(&mut self.state.locked().backlog);
        self.answering
            .counters()
            .add(LinkCount::MessagesDiscarded, backlog.len() as u64);
        // Their askers have heard that the link is lost.
        for waiting in backlog {
            if let Message::Decoded(message) = waiting.message {
                drop_refused(message, AskError::Disconnected);
            }
        }
    }
}

thread_local! {
    /// What to tell the askers of messages that are dropped just now on this thread.
    static VERDICT: std::cell::Cell<Option<AskError>> = const { std::cell::Cell::new(None) };
}

/// Drops a message that the mailbox did not take. Its replies say `verdict`.
fn drop_refused<M>(message: M, verdict: AskError) {
    VERDICT.set(Some(verdict));
    // The drop of a message is foreign code, and its panic must not end the link of others.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(message)));
    VERDICT.set(None);
    if dropped.is_err() {
        tracing::error!("the drop of a message from another node panicked");
    }
}

/// The error of a reply that is dropped unanswered: what the runtime says, unless it is being discarded here.
pub(crate) fn verdict_over(error: AskError) -> AskError {
    match error {
        AskError::NoReply => VERDICT.get().unwrap_or(error),
        error => error,
    }
}
