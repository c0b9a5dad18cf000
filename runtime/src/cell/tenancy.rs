//! The right to serve an address, from the task's first poll to the end of the address.

use std::{future::poll_fn, sync::Arc, task::Poll};

use super::{Cell, order, slice::SLICE_MESSAGES_MAX};
use crate::{
    dead_letter::DeadLetterReason,
    envelope::{Envelope, MessageContext},
    exit::ExitReason,
    host::Life,
    mailbox::Consumer,
    reference::AddressState,
    watchdog::Watch,
};

/// An address whose task has not been polled yet.
pub(super) struct Deed<M: Send + 'static, W: Watch>(pub(super) Option<(Arc<Cell<M>>, W)>);

impl<M: Send + 'static, W: Watch> Deed<M, W> {
    pub(super) fn claim(mut self) -> (Arc<Cell<M>>, W) {
        self.0.take().expect("a deed is claimed once")
    }
}

impl<M: Send + 'static, W: Watch> Drop for Deed<M, W> {
    fn drop(&mut self) {
        if let Some((cell, watch)) = self.0.take() {
            drop(Tenancy::begin(&cell, watch));
        }
    }
}

pub(super) enum Order {
    Start,
    Retire,
}

/// The right to serve one address. Its drop ends the address, also when the task is dropped with its runtime.
pub(super) struct Tenancy<'a, M: Send + 'static, W: Watch> {
    pub(super) cell: &'a Arc<Cell<M>>,
    pub(super) consumer: Consumer<'a, Envelope<M>>,
    /// What the asks of the handler inherit: the context of the message that it handles.
    pub(super) inherited: Option<Arc<MessageContext>>,
    /// Whether an incarnation has begun and not been reported yet.
    pub(super) runs: bool,
    pub(super) watch: W,
}

impl<'a, M: Send + 'static, W: Watch> Tenancy<'a, M, W> {
    pub(super) fn begin(cell: &'a Arc<Cell<M>>, watch: W) -> Self {
        let consumer = cell.queue.consume();
        Self {
            cell,
            consumer: consumer.expect("an address is hosted once, when it is made"),
            inherited: None,
            runs: false,
            watch,
        }
    }

    pub(super) async fn next_order(&mut self) -> Order {
        poll_fn(|cx| {
            let core = &self.cell.core;
            self.cell.queue.signal().register(cx.waker());
            let taken =
                core.take_orders(order::START | order::DISCARD_GROUP | order::DISCARD_STOPPED);
            if taken & order::DISCARD_GROUP != 0 {
                self.discard_queue(DeadLetterReason::GroupRestart);
            }
            if taken & order::DISCARD_STOPPED != 0 {
                self.discard_queue(DeadLetterReason::Stopped);
            }
            if core.orders() & order::RETIRE != 0 {
                Poll::Ready(Order::Retire)
            } else if taken & order::START != 0 {
                Poll::Ready(Order::Start)
            } else {
                self.consumer.publish();
                Poll::Pending
            }
        })
        .await
    }

    /// Discards as many messages as there are now.
    fn discard_queue(&mut self, reason: DeadLetterReason) {
        self.cell.discard_stash(reason);
        for _ in 0..self.cell.queue.len() {
            let Some(envelope) = self.consumer.pop() else {
                break;
            };
            self.cell.discard(envelope, reason);
        }
        self.consumer.publish();
    }
}

impl<M: Send + 'static, W: Watch> Drop for Tenancy<'_, M, W> {
    fn drop(&mut self) {
        if self.consumer.is_vacant() {
            return self.watch.returned(); // given up: the address belongs to another
        }
        self.watch.retire();
        let cell = self.cell;
        if self.runs {
            // The task was dropped in the middle of an incarnation: its runtime is going away.
            let incarnation = cell.core.incarnation();
            cell.core.set_last_exit(incarnation, ExitReason::Killed);
            cell.core.report(Life::Exited {
                incarnation,
                reason: ExitReason::Killed,
                suspect: None,
            });
        }
        cell.core.set_state(AddressState::Gone);
        cell.queue.close();
        cell.discard_stash(DeadLetterReason::Gone);
        // A sender may have claimed a slot before the close and be about to fill it.
        while !cell.queue.is_empty() {
            match self.consumer.pop() {
                Some(envelope) => cell.discard(envelope, DeadLetterReason::Gone),
                None => std::thread::yield_now(),
            }
        }
        self.consumer.trim();
        cell.core.system.forget(&cell.core);
        cell.core.tell_gone();
        cell.core.forget_observer();
    }
}

impl<M: Send + 'static, W: Watch> Tenancy<'_, M, W> {
    /// Whoever chooses among tasks is to have a choice after each message.
    pub(super) fn messages_per_poll_max(&self) -> u8 {
        match self.cell.core.system.has_turnstile() {
            false => SLICE_MESSAGES_MAX,
            true => 1,
        }
    }

    /// After a panic in a handler: takes the queue again, unless this run loop was given up.
    pub(super) fn recover(&mut self) -> bool {
        let remains = self.watch.remains();
        if remains && self.consumer.is_vacant() {
            self.consumer.resume(&self.cell.queue);
        }
        remains
    }

    pub(super) fn report_start(&self) {
        let core = &self.cell.core;
        core.set_state(AddressState::Running);
        core.report(Life::Started {
            incarnation: core.incarnation(),
        });
    }

    /// See [`crate::idle`].
    #[inline]
    pub(super) fn get_listed(&self) {
        let core = &self.cell.core;
        if core.is_idleness_watched() {
            core.note_idle();
        }
        if !core.is_listed() && self.cell.queue.holds_memory() {
            core.set_listed(true);
            core.system.idle_list().add(self.cell);
        }
    }

    #[inline]
    pub(super) fn trim_if_ordered(&mut self) {
        if self.cell.core.orders() & order::TRIM != 0 {
            self.cell.core.take_orders(order::TRIM);
            self.consumer.trim();
        }
    }
}
