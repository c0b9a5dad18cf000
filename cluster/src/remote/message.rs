//! What can be sent to other nodes: [`RemoteMessage`], and how it becomes bytes.

use std::{
    cell::Cell,
    convert::Infallible,
    num::NonZeroU64,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use treewarden_runtime::{
    AskError, Criticality, MessageContext,
    wire::{self, ReplyPort, ReplySink, ReplySource},
};

use super::{
    codec::{CodecError, Payload, from_postcard},
    error::RemoteAskError,
    frame::{NoAnswer, WireContext, WireDelivery},
    sync_ext::MutexExt,
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
    pub(crate) payload: Vec<u8>,
    pub(crate) context: Option<Box<MessageContext>>,
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

/// Gives numbers to the replies of one message while it is encoded.
#[derive(Default)]
struct Exporter(Mutex<Exporting>);

#[derive(Default)]
struct Exporting {
    /// `None`: nothing is being encoded.
    numbers: Option<Arc<AtomicU64>>,
    note: Option<Note>,
    exported: Vec<Exported>,
}

thread_local! {
    /// The exporter of the last message that was sent from this thread. It is away while a message is encoded, so that a message that is sent by
    /// the `Serialize` of another has one of its own.
    static EXPORTER: Cell<Option<Arc<Exporter>>> = const { Cell::new(None) };
}

impl Exporter {
    fn begin(numbers: &Arc<AtomicU64>, note: Option<Note>) -> Arc<Self> {
        let exporter = EXPORTER.try_with(Cell::take).ok().flatten();
        let exporter = exporter.unwrap_or_default();
        *exporter.0.locked() = Exporting {
            numbers: Some(numbers.clone()),
            note,
            exported: Vec::new(),
        };
        exporter
    }

    fn end(self: Arc<Self>) -> Vec<Exported> {
        let exported = std::mem::take(&mut *self.0.locked()).exported;
        // A thread that ends keeps none.
        let _ = EXPORTER.try_with(|exporter| exporter.set(Some(self)));
        exported
    }
}

impl ReplyPort for Exporter {
    fn export(&self, sink: ReplySink) -> u64 {
        let mut exporting = self.0.locked();
        let Some(numbers) = &exporting.numbers else {
            // Nothing is encoded through this port; whoever tries hears it.
            drop(exporting);
            sink(Err(AskError::NoReply));
            return u64::MAX;
        };
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let note = exporting.note.clone();
        exporting.exported.push(Exported {
            number,
            sink: Sink {
                sink: Some(sink),
                note,
            },
        });
        number
    }

    fn import(&self, _number: u64) -> ReplySource {
        // Nothing is decoded through this port; a reply made by it would answer nobody.
        Box::new(drop)
    }
}

/// Encodes `message` and keeps it, so that it can be handed back as long as it has not been sent. Once it has been, it is
/// to be dropped with [`hand_over`].
pub(crate) fn encode<M: RemoteMessage>(
    message: M,
    context: Option<MessageContext>,
    numbers: &Arc<AtomicU64>,
    note: Option<Note>,
    payload_bytes_max: usize,
) -> Result<(M, Outgoing), (M, CodecError)> {
    let port = Exporter::begin(numbers, note);
    let encoded = wire::ship(port.clone(), message, |message| {
        // "Failed" in every case, so that the message is handed back.
        Err::<Infallible, _>(to_bytes(message, payload_bytes_max))
    });
    let (message, encoded) = match encoded {
        Ok(never) => match never {},
        Err(kept) => kept,
    };
    let replies = port.end();
    match encoded {
        Ok(payload) => Ok((
            message,
            Outgoing {
                payload,
                context: context.map(Box::new),
                replies,
                delivery: None,
            },
        )),
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
        self.replies
            .into_iter()
            .for_each(|reply| reply.sink.disarm());
    }
}

fn to_bytes<M: RemoteMessage>(message: &M, bytes_max: usize) -> Result<Vec<u8>, CodecError> {
    let mut payload = Payload::new(bytes_max);
    let encoded = message.encode(&mut payload);
    let bytes = payload.into_bytes()?;
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
        let numbers = Arc::new(AtomicU64::new(0));
        let encoded = |length: usize| {
            encode(Text("x".repeat(length)), None, &numbers, None, 100)
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
