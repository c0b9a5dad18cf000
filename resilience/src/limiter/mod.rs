//! A limit on calls in flight that finds its own value, for the entrance of a subtree or of a service.
//!
//! **Source.** *Gradient*: Envoy's adaptive concurrency filter (compare the latency now with the latency when nothing queues, which
//! is measured by letting hardly anything in for a moment), after Netflix's concurrency-limits. *AIMD*: Chiu and Jain, "Analysis of
//! the Increase and Decrease Algorithms" (1989), as in TCP. Both are judged once for each window of calls, not for each call.
//!
//! **Why in flight, and not a rate.** By Little's law calls in flight are rate times latency: when the service slows down, a
//! limit in flight lets less in by itself; a rate limit goes on at full speed.
//!
//! **Criticality.** [`Limiter::try_acquire_within`] lets a class of calls use only a share of the limit, so that the sheddable give
//! way before the critical ones are refused.
//!
//! **Defaults.** Gradient, tolerance 1.25, a new baseline every 30 s; begins at 20, between 4 and 1000; windows of at least 100 ms and 10
//! calls.
//!
//! **When not to use it.** The gradient needs latencies that are comparable: calls of 1 ms and of 10 s behind one limiter make noise; give
//! each kind its own. When only errors tell of overload, use AIMD. When the capacity is known and fixed, a
//! [`bulkhead`](crate::bulkhead) is simpler, and it lets callers wait. Nothing waits here.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use treewarden_resilience::limiter::{Algorithm, LimiterConfig};
//!
//! let limiter = LimiterConfig::default().algorithm(Algorithm::aimd()).begin(2).limits(1, 100).build()?;
//! let now = Instant::now();
//! let first = limiter.try_acquire(now)?;
//! let second = limiter.try_acquire(now)?;
//! assert!(limiter.try_acquire(now).is_err());
//! first.success(now + Duration::from_millis(5));
//! assert!(limiter.try_acquire(now).is_ok());
//! # drop(second);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod algorithm;
mod config;
mod machine;
#[cfg(feature = "tokio")]
mod shell;
#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use config::LimiterConfig;
pub use machine::{InFlight, Limiter, Saturated};
#[cfg(feature = "tokio")]
pub use shell::LimitedError;
