//! A rate limit: so many permits in each period, so many of them at once, and heavier requests take more.
//!
//! **Source.** The generic cell rate algorithm (ITU-T I.371), a token bucket that remembers a single time: when the bucket will be full
//! again. One atomic word; no timer fills anything.
//!
//! **Promise.** In any stretch of time `t` the weights admitted never exceed `burst + t * permits / period`. The time for one permit is
//! rounded up to whole nanoseconds, so that the rate is missed by at most 0.1 %, and always downwards.
//!
//! **Defaults.** None for the rate: you must know it. The burst is the permits of one period.
//!
//! **When not to use it.** To protect a service whose speed changes: a [`limiter`](crate::limiter) on calls in flight follows it, a rate
//! does not. Across several processes each has its own rate.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use treewarden_resilience::rate::RateConfig;
//!
//! let rate = RateConfig::new(10, Duration::from_secs(1)).burst(2).build()?;
//! let now = Instant::now();
//! assert!(rate.try_acquire(2, now).is_ok());
//! assert!(rate.try_acquire(1, now).is_err());
//! assert!(rate.try_acquire(1, now + Duration::from_millis(100)).is_ok());
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! ```

mod config;
mod machine;
#[cfg(feature = "tokio")]
mod shell;
#[cfg(test)]
mod tests;

pub use config::RateConfig;
pub use machine::{Limited, Rate};
