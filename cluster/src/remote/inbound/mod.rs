//! A link that another node has dialed: messages come in, answers go out on the same connection.
//!
//! The reader waits for nothing but the socket, with one exception: when more answers wait to be written than
//! [`queue_bytes_max`](super::LinkConfig::queue_bytes_max) it stops reading, so that a caller that asks and does not read
//! gets no further. That is safe because the reader at the other end waits for nothing at all.

mod answering;
mod channels;
mod receipts;
mod watch;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use tokio::{
    task::{AbortHandle, JoinSet, yield_now},
    time::{Instant, timeout_at},
};
use treewarden_runtime::wire;

use super::{
    channel::Inbound,
    config::LinkConfig,
    counters::LinkCounters,
    deliveries::Deliveries,
    error::LinkError,
    exposed::Exposures,
    frame::{Decoder, FRAME_BYTES_MAX, Frame},
    handshake::Greeted,
    large::LargeIn,
    patience::Patience,
    pipe::{self, Pipe, StopReceiver},
    shared_bytes::decoding,
};
use crate::{membership::NodeId, transport::Reader};

pub(crate) use answering::Answering;
use channels::OwnedContext;
pub(crate) use receipts::Awaited;
pub(crate) use watch::UNKNOWN_TARGET;

/// What all links of a node share.
pub(crate) struct Household<'h> {
    pub(crate) exposures: &'h Exposures,
    pub(crate) config: &'h LinkConfig,
    pub(crate) counters: &'h Arc<LinkCounters>,
    pub(crate) deliveries: &'h Arc<Mutex<Deliveries<Awaited>>>,
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

/// As does one that has handled so many frames of what it has read.
const TURN_FRAMES: usize = 512;

impl InboundLink<'_> {
    async fn read(
        &mut self,
        mut half: Reader,
        mut decoder: Decoder,
    ) -> Result<std::convert::Infallible, LinkError> {
        let mut patience = Patience::new(self.config, Instant::now());
        // What has come behind the handshake has been read as well.
        let mut has_read = Some(0);
        let mut has_whole = false;
        loop {
            // As many as fit a mailbox of the usual size go to it directly, if its actor gets its turn in between.
            let is_more = wire::receive(self.answering.clone(), || {
                for _ in 0..TURN_FRAMES {
                    let Some((frame, memory)) = decoder.next_with_memory(FRAME_BYTES_MAX)? else {
                        return Ok(false);
                    };
                    has_whole = true;
                    match memory {
                        None => self.handle(frame)?,
                        Some(memory) => decoding(memory.clone(), || self.handle(frame))?,
                    }
                }
                Ok::<_, LinkError>(true)
            })?;
            if is_more {
                yield_now().await;
                continue;
            }
            let has_whole = std::mem::take(&mut has_whole);
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
                read = timeout_at(patience.ends_at(), decoder.read_from(&mut half)) => {
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
}
