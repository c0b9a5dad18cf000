//! The control lane: orders to the run loop, as bits of one word.
//!
//! An order never waits behind data, needs no capacity, and costs an idle actor no allocation. Giving an order is one
//! read-modify-write and an unconditional wake; an order that is given twice is one order. The run loop reads the word
//! before each message and at each poll.

use std::sync::atomic::Ordering;

use super::Core;

/// Start the next incarnation.
pub(crate) const START: u32 = 1;
/// Stop after the message in the handler, with `Normal`.
pub(crate) const STOP: u32 = 1 << 1;
/// Stop after the message in the handler, with `Shutdown`.
pub(crate) const SHUTDOWN: u32 = 1 << 2;
/// Stop once the queue is empty, with `Normal`; with `Shutdown` if that is ordered as well.
pub(crate) const DRAIN: u32 = 1 << 3;
/// End at the next await point.
pub(crate) const KILL: u32 = 1 << 4;
/// Discard what is queued as `Stopped`, between incarnations.
pub(crate) const DISCARD_STOPPED: u32 = 1 << 5;
/// Discard what is queued as `GroupRestart`, between incarnations.
pub(crate) const DISCARD_GROUP: u32 = 1 << 6;
/// End the address.
pub(crate) const RETIRE: u32 = 1 << 7;

/// Give the memory of the queue back if it is empty.
pub(crate) const TRIM: u32 = 1 << 8;

/// Handle what was unstashed before what is queued.
pub(crate) const REPLAY: u32 = 1 << 9;

/// The orders that concern one incarnation, and end with it.
pub(super) const OF_AN_INCARNATION: u32 = STOP | SHUTDOWN | DRAIN | KILL;

impl Core {
    /// The orders that were given and not carried out yet.
    #[inline]
    pub(super) fn orders(&self) -> u32 {
        self.orders.load(Ordering::SeqCst)
    }

    /// Gives orders. The caller wakes the run loop.
    pub(crate) fn give_order(&self, orders: u32) {
        self.orders.fetch_or(orders, Ordering::SeqCst);
    }

    /// Orders a start, and takes back what was meant for an incarnation that is no more.
    pub(crate) fn order_start(&self) {
        self.orders.fetch_and(!OF_AN_INCARNATION, Ordering::SeqCst);
        self.give_order(START);
    }

    /// Takes those of `orders` that were given.
    pub(crate) fn take_orders(&self, orders: u32) -> u32 {
        self.orders.fetch_and(!orders, Ordering::SeqCst) & orders
    }
}
