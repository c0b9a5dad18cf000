//! What became of each checkout.

use std::collections::BTreeMap;

use treewarden::prelude::*;
use treewarden::runtime::Overflow;

/// How many orders are remembered; the oldest that are settled are forgotten first.
const ORDERS_MAX: usize = 100_000;
/// How many may be open. More, and checkouts are refused: something is wrong with the provider.
const OPEN_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A checkout is at work on it, and nobody else touches it.
    InCheckout,
    /// It is not known whether it was paid; the settler finds out.
    Pending,
    Paid,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) number: u64,
    /// 0 during the checkout.
    pub(super) cents: u64,
    pub(super) state: State,
}

pub(super) enum Msg {
    /// A number for a checkout that begins; `None`: too many orders are open.
    Begin(Reply<Option<u64>>),
    /// The checkout does not know whether it was paid.
    HandOver(u64, u64, Reply<()>),
    Paid(u64),
    /// It came to nothing.
    Forget(u64),
    Get(u64, Reply<Option<Order>>),
    Pending(Reply<Vec<Order>>),
}

#[derive(Default)]
struct Orders {
    orders: BTreeMap<u64, Order>,
    /// Not paid yet.
    open: usize,
    last_number: u64,
}

pub(super) fn child() -> Child {
    // A shop that is real keeps these in a database; here they outlive a crash beside the actor.
    let store = std::sync::Arc::new(std::sync::Mutex::new(Orders::default()));
    Child::actor("orders", move |_| {
        let store = store.clone();
        async move { Ok(Keeper(store)) }
    })
    .mailbox(Mailbox::bounded(4096).overflow(Overflow::Refuse))
    .drain(true)
}

struct Keeper(std::sync::Arc<std::sync::Mutex<Orders>>);

impl Actor for Keeper {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        let mut orders = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        match msg {
            Msg::Begin(reply) => reply.send(orders.begin()),
            Msg::HandOver(number, cents, reply) => {
                if let Some(order) = orders.orders.get_mut(&number)
                    && order.state == State::InCheckout
                {
                    (order.cents, order.state) = (cents, State::Pending);
                }
                reply.send(());
            }
            Msg::Paid(number) => orders.paid(number),
            Msg::Forget(number) => orders.forget(number),
            Msg::Get(number, reply) => reply.send(orders.orders.get(&number).copied()),
            Msg::Pending(reply) => {
                let pending = orders.orders.values();
                reply.send(
                    pending
                        .filter(|order| order.state == State::Pending)
                        .copied()
                        .collect(),
                );
            }
        }
        Ok(())
    }
}

impl Orders {
    fn begin(&mut self) -> Option<u64> {
        if self.open >= OPEN_MAX {
            return None;
        }
        if self.orders.len() >= ORDERS_MAX {
            let oldest = self
                .orders
                .values()
                .find(|order| order.state == State::Paid);
            let oldest = oldest.map(|order| order.number);
            oldest.map(|number| self.orders.remove(&number));
        }
        self.last_number += 1;
        let order = Order {
            number: self.last_number,
            cents: 0,
            state: State::InCheckout,
        };
        self.orders.insert(order.number, order);
        self.open += 1;
        Some(order.number)
    }

    fn paid(&mut self, number: u64) {
        if let Some(order) = self.orders.get_mut(&number)
            && order.state != State::Paid
        {
            order.state = State::Paid;
            self.open -= 1;
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(order) = self.orders.remove(&number)
            && order.state != State::Paid
        {
            self.open -= 1;
        }
    }
}
