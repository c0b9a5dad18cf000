//! A caller that notices that it is mostly refused, and asks less often.
//!
//! **Source.** "Handling Overload" in the SRE book (client-side throttling): a request is refused locally with probability
//! `max(0, (requests - k * accepted) / (requests + 1))` over a window. Refusals cost the server something too; this keeps them at a constant
//! share, whatever the load. The formula alone may take many windows to find out that a busy destination is back from the dead, because next
//! to nothing is sent; so the probability has a maximum here, as in Envoy's admission control.
//!
//! **Defaults.** `k` is 2: about one refused request reaches the server for each accepted one. The window is 30 s (the book has 2 minutes);
//! at most 90 % are held back, so that everything is sent again about four windows after a recovery.
//!
//! **When not to use it.** At a few requests a minute. Where a refused request is cheap for the server, a
//! [`retry budget`](crate::budget) does as well. A dead server is the business of a [`breaker`](crate::breaker): this never stops asking.
//!
//! ```
//! use std::time::Instant;
//! use treewarden_resilience::Dice;
//! use treewarden_resilience::throttle::ThrottleConfig;
//!
//! let throttle = ThrottleConfig::default().build()?;
//! let (dice, now) = (Dice::unseeded(), Instant::now());
//! match throttle.admit(now, dice.roll()) {
//!     Ok(()) => { /* ask; unless the answer is "overloaded": */ throttle.accepted(now) }
//!     Err(throttled) => eprintln!("{throttled}"),
//! }
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! ```

mod config;
mod machine;
#[cfg(feature = "tokio")]
mod shell;
#[cfg(test)]
mod tests;

pub use config::ThrottleConfig;
pub use machine::{Throttle, Throttled};
#[cfg(feature = "tokio")]
pub use shell::ThrottleError;
