//! How long to wait before the next attempt: exponential growth under a cap, with jitter.
//!
//! **Source.** Marc Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015): full, equal and decorrelated
//! jitter. One rule is added: the cap holds *after* jitter, so that a delay never exceeds it.
//!
//! **Defaults.** 100 ms, doubling, at most 10 s, full jitter.
//!
//! **When not to use it.** When the server says when to come back, obey it ([`retry`](crate::retry) does). Backoff spreads
//! attempts in time but hardly lowers how many there are while new work keeps arriving: that needs a
//! [`budget`](crate::budget).
//!
//! ```
//! use std::time::Duration;
//! use treewarden_resilience::Dice;
//! use treewarden_resilience::backoff::{BackoffConfig, Jitter};
//!
//! let backoff = BackoffConfig::default()
//!     .first(Duration::from_millis(50))
//!     .cap(Duration::from_secs(2))
//!     .jitter(Jitter::Full)
//!     .build()?;
//! let dice = Dice::unseeded();
//! let mut delays = backoff.delays();
//! let before_second_attempt = delays.next(dice.roll());
//! assert!(before_second_attempt <= Duration::from_millis(50));
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! ```

mod config;
mod machine;
#[cfg(test)]
mod tests;

pub use config::{BackoffConfig, Jitter};
pub use machine::{Backoff, Delays};
