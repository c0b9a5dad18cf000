//! What a breaker can be, and why it changes.

use std::fmt;
use std::time::Instant;

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass and are counted.
    Closed,
    /// Calls are rejected. When the wait is over the next call makes it half-open; until then it stays open, however long.
    Open,
    /// A few calls pass, and decide.
    HalfOpen,
    /// Calls are rejected until an operator releases it.
    ForcedOpen,
    /// Calls pass and are not counted, until an operator releases it.
    ForcedClosed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half-open",
            State::ForcedOpen => "forced open",
            State::ForcedClosed => "forced closed",
        })
    }
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Too large a share of the calls failed.
    Failures,
    /// Too large a share of the calls was slow.
    SlowCalls,
    /// The wait was over, and a call came.
    WaitOver,
    /// All probes came back, and few enough of them were bad.
    ProbesPassed,
    /// Too many probes were bad.
    ProbesFailed,
    /// Probes did not come back in time; another round begins.
    ProbesLost,
    /// An operator asked for it.
    Operator,
}

/// A change of state, as told to the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// Counted from 1 for each breaker. Listeners are called without a lock, so that two threads may tell 7 before 6.
    pub number: u64,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// When.
    pub at: Instant,
}
