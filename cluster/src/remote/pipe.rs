//! The writing half of a link: a queue of frames, and the task that writes them.
//!
//! A pipe belongs to one link. When the link ends the pipe ends, and what is pushed after that goes nowhere: nothing that
//! was meant for one link reaches another.

use std::{
    io::{self, IoSlice},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    codec::Encoded,
    config::LinkConfig,
    error::LinkError,
    frame::Frame,
    large::{LargeKey, LargeOut},
    outbox::{Batch, Outbox},
    sync_ext::MutexExt,
};
use crate::transport::Writer;

/// How many pieces are given to the operating system at once. It takes up to 1024; the gain ends much earlier.
const SLICES_AT_ONCE: usize = 64;

/// Tells a link to end, and why.
pub(crate) type StopSender = watch::Sender<Option<LinkError>>;
pub(crate) type StopReceiver = watch::Receiver<Option<LinkError>>;

#[derive(Debug, Default)]
pub(crate) struct Pipe {
    state: Mutex<State>,
    /// How much is queued, as of the last change of the state: for those who want to know it without the lock.
    queued_bytes: AtomicUsize,
    large_bytes: AtomicUsize,
    work: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    outbox: Outbox,
    large: LargeOut,
    /// The longest message that was queued, in bytes.
    longest_message_bytes: usize,
    /// Messages in the batch that is being written.
    messages_in_batch: u64,
    phase: Phase,
}

#[derive(Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Open,
    /// What is queued is still written, then a goodbye.
    Closing,
    Ended,
}

impl Pipe {
    /// Queues a frame. False: the pipe has ended, and the frame goes nowhere.
    pub(crate) fn push(&self, frame: &Frame<'_>) -> bool {
        self.push_by(|outbox| outbox.push(frame))
    }

    /// Queues a message without a context that is no longer than a fragment. False: the pipe has ended.
    pub(crate) fn push_tell(&self, channel: u32, payload: Encoded) -> bool {
        self.push_by(|outbox| outbox.push_tell(channel, payload))
    }

    fn push_by(&self, push: impl FnOnce(&mut Outbox)) -> bool {
        let mut state = self.state.locked();
        if state.phase != Phase::Open {
            return false;
        }
        // The writer takes all that there is: it was told of what is there already, and has not come yet.
        let is_first = state.outbox.len() == 0;
        push(&mut state.outbox);
        self.note(&state);
        drop(state);
        if is_first {
            self.work.notify_one();
        }
        true
    }

    fn note(&self, state: &State) {
        let (queued, large) = (state.outbox.len(), state.large.bytes());
        self.queued_bytes.store(queued, Ordering::Release);
        self.large_bytes.store(large, Ordering::Release);
    }

    /// Queues a message or an answer that is longer than a fragment; `begin` announces it. False: the pipe has ended.
    pub(crate) fn push_large(&self, begin: &Frame<'_>, key: LargeKey, payload: Vec<u8>) -> bool {
        let mut state = self.state.locked();
        if state.phase != Phase::Open {
            return false;
        }
        state.outbox.push(begin);
        state.longest_message_bytes = state.longest_message_bytes.max(payload.len());
        state.large.push(key, payload);
        self.note(&state);
        drop(state);
        self.work.notify_one();
        true
    }

    /// Takes back what is not written of a channel's long message. False: there is nothing.
    pub(crate) fn cancel_large(&self, channel: u32) -> bool {
        let mut state = self.state.locked();
        let is_cancelled = state.large.cancel(channel);
        self.note(&state);
        is_cancelled
    }

    /// Bytes of whole frames that wait to be written.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Acquire)
    }

    /// Bytes of long messages and answers that wait to be written.
    pub(crate) fn large_bytes(&self) -> usize {
        self.large_bytes.load(Ordering::Acquire)
    }

    /// Channels whose long message has gone since this was last called.
    pub(crate) fn take_finished(&self) -> Vec<u32> {
        self.state.locked().large.take_finished()
    }

    /// The longest message that was queued, in bytes, if it was longer than a fragment.
    pub(crate) fn longest_message_bytes(&self) -> usize {
        self.state.locked().longest_message_bytes
    }

    /// Whether at most `bytes` of frames, and as many of long answers, are queued.
    pub(crate) fn is_drained_to(&self, bytes: usize) -> bool {
        self.queued_bytes() <= bytes && self.large_bytes() <= bytes
    }

    /// Waits until at most `bytes` of frames, and as many of long answers, are queued.
    pub(crate) async fn drained_to(&self, bytes: usize) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            if self.is_drained_to(bytes) {
                return;
            }
            drained.await;
        }
    }

    /// Takes no more frames; what is queued is written, and a goodbye after it.
    pub(crate) fn close(&self) {
        let mut state = self.state.locked();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
            drop(state);
            self.work.notify_one();
        }
    }

    /// Takes no more frames and forgets those that it has. Returns how many messages were not wholly written.
    pub(crate) fn end(&self) -> u64 {
        let mut state = self.state.locked();
        state.phase = Phase::Ended;
        let unsent = state.outbox.clear()
            + state.large.clear()
            + std::mem::take(&mut state.messages_in_batch);
        self.note(&state);
        drop(state);
        self.drained.notify_waiters();
        unsent
    }

    /// Waits for something to write. True: it is the last.
    async fn next_batch(&self, batch: &mut Batch) -> bool {
        loop {
            {
                let mut state = self.state.locked();
                let is_closing = state.phase != Phase::Open;
                if is_closing || state.outbox.len() > 0 || !state.large.is_empty() {
                    state.messages_in_batch = state.outbox.take(batch);
                    // Behind what is small, one fragment: then it is the turn of what has come meanwhile.
                    if state.large.take_fragment(batch) {
                        state.messages_in_batch += 1;
                    }
                    self.note(&state);
                    let is_last = is_closing && state.large.is_empty();
                    if is_last {
                        batch.push(&Frame::Goodbye);
                    }
                    return is_last;
                }
            }
            self.work.notified().await;
        }
    }

    fn batch_is_written(&self) {
        self.state.locked().messages_in_batch = 0;
        self.drained.notify_waiters();
    }

    /// Writes until the pipe is closed or nothing can be written. `has_room` is called after each batch was taken.
    async fn write(
        self: Arc<Self>,
        mut half: Writer,
        ping_interval: Duration,
        silence_max: Duration,
        has_room: impl Fn() + Send,
    ) -> LinkError {
        let mut batch = Batch::default();
        loop {
            batch.clear();
            let is_last = match timeout(ping_interval, self.next_batch(&mut batch)).await {
                Ok(is_last) => is_last,
                Err(_) => {
                    batch.push(&Frame::Ping);
                    false
                }
            };
            has_room();
            let mut slices = batch.slices();
            let mut rest = slices.as_mut_slice();
            while !rest.is_empty() {
                let next = &rest[..rest.len().min(SLICES_AT_ONCE)];
                match timeout(silence_max, half.write_vectored(next)).await {
                    Ok(Ok(0)) => return io::Error::from(io::ErrorKind::WriteZero).into(),
                    Ok(Ok(written)) => IoSlice::advance_slices(&mut rest, written),
                    Ok(Err(error)) => return error.into(),
                    Err(_) => return LinkError::Silent,
                }
            }
            // What a transport holds back until it is told, it holds back no longer.
            match timeout(silence_max, half.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => return LinkError::Silent,
            }
            self.batch_is_written();
            if is_last {
                // Nothing follows, whether the other side notices or not.
                let _ = half.shutdown().await;
                return LinkError::Goodbye;
            }
        }
    }
}

/// Runs both halves of a link until one of them ends or it is told to stop; says why it ended.
pub(crate) async fn run(
    pipe: &Arc<Pipe>,
    half: Writer,
    config: &LinkConfig,
    has_room: impl Fn() + Send + 'static,
    stop: &mut StopReceiver,
    reading: impl Future<Output = LinkError>,
) -> LinkError {
    let mut writing =
        tokio::spawn(
            pipe.clone()
                .write(half, config.ping_interval, config.silence_max, has_room),
        );
    let why = tokio::select! {
        why = reading => why,
        why = &mut writing => {
            return why.unwrap_or(LinkError::Rules("the writer ended"));
        }
        why = stopped(stop) => why,
    };
    if let LinkError::ShutDown = why {
        pipe.close();
        // Whoever does not read by then does not hear a goodbye.
        let _ = timeout(config.close_timeout, &mut writing).await;
    }
    writing.abort();
    if !writing.is_finished() {
        // The socket is closed when the task is gone.
        let _ = writing.await;
    }
    why
}

/// Resolves when the link is told to stop.
pub(crate) async fn stopped(stop: &mut StopReceiver) -> LinkError {
    match stop.wait_for(Option::is_some).await {
        Ok(why) => why.clone().unwrap_or(LinkError::ShutDown),
        Err(_) => LinkError::ShutDown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Decoder, FRAGMENT_BYTES, FRAME_BYTES_MAX};
    use super::*;

    /// The kinds of frames in the next batch, and whether it is the last.
    async fn next(pipe: &Pipe) -> (Vec<String>, bool) {
        let mut batch = Batch::default();
        let is_last = pipe.next_batch(&mut batch).await;
        let mut decoder = Decoder::new();
        for slice in batch.slices() {
            decoder.feed(&slice);
        }
        let mut kinds = Vec::new();
        while let Some(frame) = decoder.next(FRAME_BYTES_MAX).unwrap() {
            let text = format!("{frame:?}");
            let end = text.find([' ', '{']).unwrap_or(text.len());
            kinds.push(text[..end].to_owned());
        }
        (kinds, is_last)
    }

    #[tokio::test]
    async fn short_frames_go_between_the_fragments_of_a_long_message_and_the_goodbye_last() {
        let pipe = Pipe::default();
        let bytes = 3 * FRAGMENT_BYTES;
        let begin = Frame::TellBegin {
            channel: 1,
            bytes: bytes as u32,
            context: None,
        };
        assert!(pipe.push_large(&begin, LargeKey::Message(1), vec![0; bytes]));
        let (kinds, _) = next(&pipe).await;
        assert_eq!(kinds, ["TellBegin", "Fragment"]);
        pipe.push(&Frame::Ping);
        pipe.push(&Frame::Close { channel: 2 });
        let (kinds, _) = next(&pipe).await;
        assert_eq!(kinds, ["Ping", "Close", "Fragment"]);
        assert!(pipe.take_finished().is_empty());
        pipe.close();
        assert!(!pipe.push(&Frame::Ping));
        let (kinds, is_last) = next(&pipe).await;
        assert_eq!(
            (kinds, is_last),
            (vec!["Fragment".into(), "Goodbye".into()], true)
        );
        assert_eq!(pipe.take_finished(), [1]);
        assert_eq!(pipe.end(), 1, "the batch was taken and not written");
    }

    #[tokio::test]
    async fn a_long_message_that_is_not_wholly_written_is_counted() {
        let pipe = Pipe::default();
        let bytes = 2 * FRAGMENT_BYTES;
        let begin = Frame::TellBegin {
            channel: 1,
            bytes: bytes as u32,
            context: None,
        };
        pipe.push_large(&begin, LargeKey::Message(1), vec![0; bytes]);
        next(&pipe).await;
        pipe.batch_is_written();
        assert_eq!(pipe.end(), 1);
    }
}
