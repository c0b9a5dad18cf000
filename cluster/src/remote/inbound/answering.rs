//! What goes back on an inbound link: answers, credit, and whatever else its channels have to say.

use std::sync::{Arc, Mutex, Weak};

use treewarden_runtime::{
    AskError,
    wire::{Import, ReplySource},
};

use super::{Household, receipts::Awaited};
use crate::{
    membership::NodeId,
    remote::{
        channel::verdict_over,
        counters::{InHand, LinkCount, LinkCounters},
        credit::Window,
        deliveries::Deliveries,
        frame::{FRAGMENT_BYTES, Frame, NoAnswer},
        large::LargeKey,
        message::error_to_wire,
        pipe::Pipe,
    },
};

/// What goes back on an inbound link. Channels, forwarders and replies hold it.
pub(crate) struct Answering {
    pub(super) myself: Weak<Self>,
    pub(super) pipe: Arc<Pipe>,
    /// Whose link it is.
    pub(super) caller: NodeId,
    pub(super) counters: Arc<LinkCounters>,
    pub(super) deliveries: Arc<Mutex<Deliveries<Awaited>>>,
    window: Window,
    /// The longest answer that the other side reads, in bytes.
    answer_bytes_max: usize,
    /// Answers that find more than this in the queue are not sent.
    queue_bytes_max: usize,
}

/// How far answers may pile up beyond the point at which the reader stops: as many times.
const ANSWERS_PILE_MAX: usize = 16;

impl Answering {
    pub(super) fn new(
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

impl Import for Answering {
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
