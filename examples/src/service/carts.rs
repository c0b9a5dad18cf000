//! Carts. One that nobody touches for a while expires; a partition holds no more than so many.

use std::collections::HashMap;
use std::time::Duration;

use treewarden::prelude::*;
use treewarden::runtime::Timer;
use treewarden::supervisor::PartitionSupervisor;

use super::catalogue::Line;

pub(super) type CartId = u64;

const PARTITIONS: usize = 4;
const CARTS_MAX: usize = 25_000;
const LINES_MAX: usize = 100;
const LIFE: Duration = Duration::from_secs(30 * 60);

pub(super) enum Msg {
    Add(CartId, Line, Reply<Result<(), Full>>),
    Get(CartId, Reply<Option<Vec<Line>>>),
    /// Empties the cart, for a checkout.
    Take(CartId, Reply<Option<Vec<Line>>>),
    /// The checkout came to nothing.
    PutBack(CartId, Vec<Line>),
    Expire(CartId),
    Crash,
}

/// No more fits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Full {
    /// Into this cart.
    Cart,
    /// Another cart.
    Shop,
}

#[derive(Default)]
struct Carts {
    carts: HashMap<CartId, (Vec<Line>, Option<Timer>)>,
}

pub(super) fn partitions() -> PartitionSupervisor {
    PartitionSupervisor::new("carts", PARTITIONS, |number| {
        Child::actor(number.to_string(), |_| async { Ok(Carts::default()) })
            .mailbox(Mailbox::bounded(1024).overflow(treewarden::runtime::Overflow::Refuse))
            .drain(true)
    })
    .with(|supervisor| supervisor.intensity(20, Duration::from_secs(10)))
}

impl Actor for Carts {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Add(id, line, reply) => reply.send(self.add(id, line, cx)),
            Msg::Get(id, reply) => {
                let lines = self.carts.get(&id).map(|(lines, _)| lines.clone());
                reply.send(lines);
            }
            Msg::Take(id, reply) => reply.send(self.take(id)),
            Msg::PutBack(id, lines) => {
                for line in lines {
                    // What does not fit any more was put in meanwhile by the same customer.
                    let _ = self.add(id, line, cx);
                }
            }
            Msg::Expire(id) => drop(self.take(id)),
            Msg::Crash => return Err(Failure::msg("somebody asked for a crash")),
        }
        Ok(())
    }
}

impl Carts {
    fn add(&mut self, id: CartId, line: Line, cx: &mut Context<Self>) -> Result<(), Full> {
        if self.carts.len() >= CARTS_MAX && !self.carts.contains_key(&id) {
            return Err(Full::Shop);
        }
        let (lines, expiry) = self.carts.entry(id).or_default();
        if lines.len() >= LINES_MAX {
            return Err(Full::Cart);
        }
        lines.push(line);
        if let Some(earlier) = expiry.replace(cx.send_after(LIFE, Msg::Expire(id))) {
            earlier.cancel();
        }
        Ok(())
    }

    fn take(&mut self, id: CartId) -> Option<Vec<Line>> {
        let (lines, expiry) = self.carts.remove(&id)?;
        if let Some(expiry) = expiry {
            expiry.cancel();
        }
        Some(lines)
    }
}
