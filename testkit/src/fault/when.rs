//! [`When`]: which messages a fault befalls.

use std::fmt;

use crate::random::{mix, share};

/// Which messages a fault befalls.
///
/// Messages are counted from 1, by each fault for itself, across incarnations. If a fault is for [some](Self::of) of
/// the messages, it counts those alone.
pub struct When<M> {
    turn: Turn,
    of: Option<Fits<M>>,
}

type Fits<M> = Box<dyn Fn(&M) -> bool + Send + Sync>;

#[derive(Clone, Copy, Debug)]
enum Turn {
    Nth(u64),
    Every(u64),
    Chance(f64),
}

impl<M> When<M> {
    /// The `n`th message alone.
    pub fn nth(n: u64) -> Self {
        Self::new(Turn::Nth(n))
    }

    /// Every `n`th message: all of them if it is 1.
    pub fn every(n: u64) -> Self {
        Self::new(Turn::Every(n.max(1)))
    }

    /// Each message with this probability. Which they are follows from the seed of the plan.
    pub fn chance(probability: f64) -> Self {
        Self::new(Turn::Chance(probability))
    }

    /// Only messages for which `fits` holds. It must not block.
    pub fn of(self, fits: impl Fn(&M) -> bool + Send + Sync + 'static) -> Self {
        Self {
            of: Some(Box::new(fits)),
            ..self
        }
    }

    fn new(turn: Turn) -> Self {
        Self { turn, of: None }
    }

    pub(super) fn fits(&self, message: &M) -> bool {
        self.of.as_ref().is_none_or(|fits| fits(message))
    }

    /// Whether it is the turn of the `n`th message that fits. It follows from `seed` and `n` alone, whatever else draws
    /// random numbers.
    pub(super) fn is_turn_of(&self, n: u64, seed: u64) -> bool {
        match self.turn {
            Turn::Nth(nth) => n == nth,
            Turn::Every(period) => n.is_multiple_of(period),
            Turn::Chance(probability) => share(mix(seed ^ mix(n))) < probability,
        }
    }
}

impl<M> fmt::Debug for When<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.turn)?;
        if self.of.is_some() {
            f.write_str(" of some")?;
        }
        Ok(())
    }
}
