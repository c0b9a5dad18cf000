//! Stops calling what keeps failing, and finds out with a few probes when it works again.
//!
//! **Source.** Nygard, "Release It!" (2007), with the windows, the slow-call ratio and the limited probes of Resilience4j. Here the
//! wait grows with each failed round of probes, as Envoy's ejection time does.
//!
//! **States.** *Closed*: calls pass, their outcomes are counted. *Open*: calls are rejected until the wait is over. *Half-open*:
//! `probes` calls pass; as soon as their failures reach the ratio it opens again, for twice as long; when all are back below the
//! ratio it closes. *Forced open* and *forced closed* are an operator's, and last until [`Breaker::release`].
//!
//! **Rules.**
//! - Only a bad outcome opens a breaker: a success never does, even if it brings the calls to the minimum.
//! - An outcome counts for the period in which its call was admitted. What comes back after a change of state is ignored.
//! - A permit that is dropped without an outcome is given back and counts as nothing: cancelled is not failed.
//! - A permit that never comes back (a hung probe) blocks nothing for ever: after `probe_patience` a new round begins.
//! - No call is let through by chance: half-open admits exactly `probes` calls in each round.
//!
//! **Cost.** Closed: two loads and one atomic addition, no lock, no allocation, and the clock is read only if the time window or
//! the slow-call ratio needs it. Rejecting: one load and the clock. The time window counts calls in stripes, so that threads do not
//! share a cache line; the count window has one cursor, because "the last 100 calls" has one order.
//!
//! **Defaults.** The last 100 calls, at least 20 of them; 50 % failed; slow calls off; open for 5 s, doubling up to 60 s; 5 probes with a
//! patience of 30 s.
//!
//! **When not to use it.** With a single call a minute: the window is always stale. For errors that are the caller's own fault: classify
//! them as success ([`Breaker::call_with`]). In front of many independent backends behind one name: one breaker for each, or the healthy
//! ones are cut off with the sick one. All callers that opened together probe together: the breaker itself has no jitter.
//!
//! ```
//! use std::time::Instant;
//! use treewarden_resilience::breaker::{BreakerConfig, State};
//!
//! let breaker = BreakerConfig::default().min_calls(3).build()?;
//! let now = Instant::now();
//! for _ in 0..3 {
//!     breaker.try_acquire(now).expect("closed").failure(now);
//! }
//! assert_eq!(breaker.state(), State::Open);
//! assert!(breaker.try_acquire(now).is_err());
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! ```

mod config;
mod count_window;
mod machine;
mod padded;
mod permit;
#[cfg(feature = "tokio")]
mod shell;
mod sync;
#[cfg(test)]
mod tests;
mod time_window;
mod transition;
mod window;
mod word;

pub use config::BreakerConfig;
pub use machine::{Breaker, Rejected};
pub use permit::Permit;
#[cfg(feature = "tokio")]
pub use shell::CallError;
pub use transition::{Cause, State, Transition};
pub use window::Counts;
