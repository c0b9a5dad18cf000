//! Channels of an inbound link: opened, fed with messages that come whole or in parts, and closed.

use tokio::time::Instant;

use super::InboundLink;
use crate::remote::{
    channel::{Forwarding, Inbound},
    counters::LinkCount,
    credit::Overrun,
    error::LinkError,
    frame::{Frame, WireContext},
};

/// A context that outlives the frame that it came in. The time that its message took to arrive counts.
pub(super) struct OwnedContext {
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

impl InboundLink<'_> {
    /// A channel that is closed within a message was refused: the rest of the message does not come.
    pub(super) fn close(&mut self, channel: u32) -> Option<Option<Box<dyn Inbound>>> {
        if self.messages.forget(&channel) {
            let counters = &self.answering.counters;
            counters.add(LinkCount::MessagesMisdirected, 1);
        }
        self.channels.remove(&channel)
    }

    /// A long message is announced.
    pub(super) fn begin(
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
    pub(super) fn add(&mut self, channel: u32, fragment: &[u8]) -> Result<(), LinkError> {
        let added = self.messages.add(&channel, fragment);
        match added.map_err(|_| LinkError::Rules("a part of a message does not fit"))? {
            None => Ok(()),
            Some((payload, context)) => {
                let context = context.as_ref().map(OwnedContext::as_wire);
                self.deliver_by(channel, |open| open.deliver_long(payload, context.as_ref()))
            }
        }
    }

    pub(super) fn deliver(
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

    pub(super) fn open(
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
}
