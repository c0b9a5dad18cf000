//! What can be sent to other nodes: [`RemoteMessage`], and how it becomes bytes.

use std::{
    cell::RefCell,
    num::NonZeroU64,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use treewarden_runtime::{
    AskError, Criticality, MessageContext,
    wire::{self, ReplySink},
};

use super::{
    codec::{CodecError, Encoded, Payload, from_postcard},
    error::RemoteAskError,
    frame::{NoAnswer, WireContext, WireDelivery},
};

/// A message that can go to an actor on another node.
///
/// The name and the version stand for the type on the wire; Rust's own names never do. Two programs that use the same
/// name and version have to mean the same: a change of the type needs a new version. What the message holds is encoded
/// with serde and postcard, [`Reply`](treewarden_runtime::Reply) included, so that one type serves local and remote asks.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use treewarden_cluster::remote::RemoteMessage;
/// use treewarden_runtime::Reply;
///
/// #[derive(Serialize, Deserialize)]
/// enum CounterMsg {
///     Add(u64),
///     Total(Reply<u64>),
/// }
///
/// impl RemoteMessage for CounterMsg {
///     const NAME: &'static str = "example/counter";
///     const VERSION: u32 = 1;
/// }
/// ```
pub trait RemoteMessage: Serialize + DeserializeOwned + Send + 'static {
    /// Stands for the type on the wire; unique in the cluster.
    const NAME: &'static str;
    /// Rises with each change of the type that changes its encoding.
    const VERSION: u32;

    /// Becomes bytes: by default in postcard's encoding. Whoever writes another one (of serde, so that replies travel) writes
    /// [`decode`](Self::decode) to fit. Answers are postcard in any case.
    ///
    /// # Errors
    ///
    /// [`CodecError`]; the message is handed back to its sender.
    fn encode(&self, out: &mut Payload) -> Result<(), CodecError> {
        out.postcard(self)
    }

    /// The reverse of [`encode`](Self::encode). It gets what others send, so it must not trust the bytes.
    ///
    /// # Errors
    ///
    /// [`CodecError`]; the message is counted, and its sender is told.
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        from_postcard(bytes)
    }
}

/// A message as bytes, with what is to be known when it is sent.
pub(crate) struct Outgoing {
    pub(crate) payload: Encoded,
    /// What few messages have.
    pub(crate) rare: Option<Box<Rare>>,
}

#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) context: Option<MessageContext>,
    pub(crate) replies: Vec<Exported>,
    /// It is to be acknowledged.
    pub(crate) delivery: Option<WireDelivery>,
}

/// A reply that leaves this node inside a message.
pub(crate) struct Exported {
    pub(crate) number: u64,
    pub(crate) sink: Sink,
}

/// Takes an answer; as long as it is armed, dropping it says that the link was lost.
pub(crate) struct Sink {
    sink: Option<ReplySink>,
    /// What the asker is told beside the runtime's error.
    note: Option<Note>,
}

/// Says to a [`RemoteAsk`](super::RemoteAsk) what the runtime's errors have no words for.
pub(crate) type Note = Arc<OnceLock<RemoteAskError>>;

impl Sink {
    pub(crate) fn new(sink: ReplySink, note: Note) -> Self {
        Self {
            sink: Some(sink),
            note: Some(note),
        }
    }

    pub(crate) fn answer(mut self, answer: Result<Vec<u8>, AskError>) {
        if let Some(sink) = self.sink.take() {
            sink(answer);
        }
    }

    /// There will be no answer: `error` for everybody, `note` for those who can hear it.
    pub(crate) fn fail(self, error: AskError, note: Option<RemoteAskError>) {
        if let (Some(place), Some(note)) = (&self.note, note) {
            // Only the first word counts.
            let _ = place.set(note);
        }
        self.answer(Err(error));
    }

    /// Somebody else answers: the message was handed back, or its asker has gone.
    pub(crate) fn disarm(mut self) {
        self.sink = None;
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink(Err(AskError::Disconnected));
        }
    }
}

/// A number for a reply, or for whatever else is answered by its number: none of this process is used twice.
pub(crate) fn next_number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    /// The replies of the message that is being encoded on this thread, behind those of the one whose `Serialize` sends it.
    static EXPORTED: RefCell<Vec<Exported>> = const { RefCell::new(Vec::new()) };
}

fn export(sink: ReplySink) -> u64 {
    let number = next_number();
    let sink = Sink {
        sink: Some(sink),
        note: None,
    };
    EXPORTED.with_borrow_mut(|exported| exported.push(Exported { number, sink }));
    number
}

/// Runs `encode`, and returns the replies that have left meanwhile.
fn exporting<R>(encode: impl FnOnce() -> R) -> (R, Vec<Exported>) {
    /// Takes what has left, also after a panic: then the askers hear that there will be no answer.
    struct Since(usize);
    impl Since {
        fn take(&self) -> Vec<Exported> {
            EXPORTED.with_borrow_mut(|exported| match exported.len() == self.0 {
                true => Vec::new(),
                false => exported.split_off(self.0),
            })
        }
    }
    impl Drop for Since {
        fn drop(&mut self) {
            if std::thread::panicking() {
                drop(self.take());
            }
        }
    }
    let since = Since(EXPORTED.with_borrow(Vec::len));
    let encoded = wire::ship(export, encode);
    let exported = since.take();
    (encoded, exported)
}

/// Encodes `message` and keeps it, so that it can be handed back as long as it has not been sent. Once it has been, it is
/// to be dropped with [`hand_over`].
#[inline]
pub(crate) fn encode<M: RemoteMessage>(
    message: M,
    context: Option<MessageContext>,
    note: Option<Note>,
    payload_bytes_max: usize,
) -> Result<(M, Outgoing), (M, CodecError)> {
    let (encoded, mut replies) = exporting(|| to_bytes(&message, payload_bytes_max));
    match encoded {
        Ok(payload) => {
            let is_plain = context.is_none() && replies.is_empty();
            let rare = (!is_plain).then(|| {
                for reply in &mut replies {
                    reply.sink.note.clone_from(&note);
                }
                Box::new(Rare {
                    context,
                    replies,
                    delivery: None,
                })
            });
            Ok((message, Outgoing { payload, rare }))
        }
        Err(error) => {
            replies.into_iter().for_each(|reply| reply.sink.disarm());
            Err((message, error))
        }
    }
}

/// Drops a message that has been sent as bytes. Its replies were taken out of it when it was encoded: the other side answers them.
pub(crate) fn hand_over<M>(message: M) {
    drop(message);
}

impl Outgoing {
    /// Forgets it: the message is handed back, with its replies.
    pub(crate) fn disarm(self) {
        let replies = self.rare.map_or_else(Vec::new, |rare| rare.replies);
        replies.into_iter().for_each(|reply| reply.sink.disarm());
    }

    /// The replies that are in it.
    pub(crate) fn replies(&self) -> &[Exported] {
        self.rare.as_ref().map_or(&[], |rare| &rare.replies)
    }
}

fn to_bytes<M: RemoteMessage>(message: &M, bytes_max: usize) -> Result<Encoded, CodecError> {
    let mut payload = Payload::new(bytes_max);
    let encoded = message.encode(&mut payload);
    let bytes = payload.into_encoded()?;
    encoded.map(|()| bytes)
}

/// A longer trace parent does not travel. W3C's have 55 bytes.
const TRACE_PARENT_BYTES_MAX: usize = 64;

/// A context as it travels: the deadline becomes the time that is left.
pub(crate) fn context_to_wire(context: &MessageContext, now: Instant) -> WireContext<'_> {
    let remaining = context
        .deadline()
        .map(|deadline| deadline.saturating_duration_since(now));
    WireContext {
        remaining_us: remaining.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        criticality: match context.criticality() {
            Criticality::Sheddable => 0,
            Criticality::Default => 1,
            Criticality::Critical => 2,
        },
        attempt: context.attempt(),
        request_id: context.request_id().map_or(0, NonZeroU64::get),
        trace_parent: context
            .trace_parent()
            .filter(|parent| parent.len() <= TRACE_PARENT_BYTES_MAX),
        delivery: None,
    }
}

/// A context that arrived: the time that is left becomes a deadline.
pub(crate) fn context_from_wire(wire: &WireContext<'_>, now: Instant) -> MessageContext {
    let mut context = MessageContext::new()
        .with_criticality(match wire.criticality {
            0 => Criticality::Sheddable,
            2 => Criticality::Critical,
            _ => Criticality::Default,
        })
        .with_attempt(wire.attempt);
    let deadline = wire
        .remaining_us
        .and_then(|us| now.checked_add(Duration::from_micros(us)));
    if let Some(deadline) = deadline {
        context = context.with_deadline(deadline);
    }
    if let Some(id) = NonZeroU64::new(wire.request_id) {
        context = context.with_request_id(id);
    }
    if let Some(parent) = wire.trace_parent {
        context = context.with_trace_parent(parent);
    }
    context
}

/// What the runtime is told of an answer that will not come.
pub(crate) fn error_to_wire(error: AskError) -> NoAnswer {
    match error {
        AskError::Refused | AskError::Shed => NoAnswer::Refused,
        AskError::Expired => NoAnswer::Expired,
        AskError::Timeout => NoAnswer::Timeout,
        AskError::Dead => NoAnswer::Dead,
        AskError::CrashedBeforeHandling => NoAnswer::CrashedBeforeHandling,
        AskError::CrashedWhileHandling => NoAnswer::CrashedWhileHandling,
        AskError::NoReply => NoAnswer::NoReply,
        AskError::SelfAsk => NoAnswer::SelfAsk,
        AskError::Disconnected => NoAnswer::Disconnected,
        // An error that this version has no number for: that there is no answer is still true.
        _ => NoAnswer::NoReply,
    }
}

/// The reverse, with what the runtime has no word for.
pub(crate) fn error_from_wire(error: NoAnswer) -> (AskError, Option<RemoteAskError>) {
    let plain = match error {
        NoAnswer::Refused => AskError::Refused,
        NoAnswer::Expired => AskError::Expired,
        NoAnswer::Timeout => AskError::Timeout,
        NoAnswer::Dead => AskError::Dead,
        NoAnswer::CrashedBeforeHandling => AskError::CrashedBeforeHandling,
        NoAnswer::CrashedWhileHandling => AskError::CrashedWhileHandling,
        NoAnswer::NoReply => AskError::NoReply,
        NoAnswer::SelfAsk => AskError::SelfAsk,
        NoAnswer::Disconnected => AskError::Disconnected,
        NoAnswer::TooLarge { bytes } => {
            let note = RemoteAskError::AnswerTooLarge { bytes };
            return (AskError::NoReply, Some(note));
        }
    };
    (plain, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_arrives_as_it_left_but_for_the_time_on_the_way() {
        let now = Instant::now();
        let context = MessageContext::new()
            .with_deadline(now + Duration::from_millis(1500))
            .with_criticality(Criticality::Critical)
            .with_attempt(2)
            .with_request_id(NonZeroU64::MAX)
            .with_trace_parent("00-1-2-01");
        let later = now + Duration::from_secs(60);
        let arrived = context_from_wire(&context_to_wire(&context, now), later);
        assert_eq!(
            arrived.deadline(),
            Some(later + Duration::from_millis(1500))
        );
        assert_eq!(arrived.criticality(), Criticality::Critical);
        assert_eq!(arrived.attempt(), 2);
        assert_eq!(arrived.request_id(), Some(NonZeroU64::MAX));
        assert_eq!(arrived.trace_parent(), Some("00-1-2-01"));
    }

    #[test]
    fn a_message_above_the_limit_is_handed_back() {
        let encoded = |length: usize| {
            encode(Text("x".repeat(length)), None, None, 100)
                .map(|(_, outgoing)| outgoing.payload.len())
                .map_err(|(message, error)| (message.0.len(), error))
        };
        assert_eq!(encoded(99), Ok(100));
        assert_eq!(
            encoded(100),
            Err((100, CodecError::TooLarge { bytes_max: 100 }))
        );
    }

    #[derive(Serialize, serde::Deserialize)]
    struct Text(String);

    impl RemoteMessage for Text {
        const NAME: &'static str = "test/text";
        const VERSION: u32 = 1;
    }
}
