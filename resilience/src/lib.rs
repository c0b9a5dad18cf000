//! Policies that keep a caller useful while what it calls is failing, slow or overloaded. None of them needs an actor.
//!
//! Every folder has the same shape, so that learning one teaches the rest:
//!
//! - `config.rs`: a builder with defaults, and bounds that [`ConfigError`] names;
//! - `machine.rs`: the policy, which is told the time (`now`) and handed its randomness, and never waits;
//! - `shell.rs`: async convenience that sleeps or times out by tokio's clock, so that paused time works
//!   (feature `tokio`);
//! - the folder's documentation: where the policy comes from, its defaults, and when not to use it.
//!
//! | to | use |
//! |---|---|
//! | wait between attempts | [`backoff`] |
//! | try again, a bounded number of times | [`retry`] |
//! | keep retries of many callers from becoming the load | [`budget`] |
//! | stop calling what keeps failing | [`breaker`] |
//! | let in only as much as can be served now | [`limiter`] |
//! | ask less of who refuses much | [`throttle`] |
//! | keep to an agreed rate | [`rate`] |
//! | give each dependency its own share of the process | [`bulkhead`] |
//! | cut the tail of the latency by asking twice | [`hedge`] |
//! | give a lesser answer instead of none | [`fallback`] |
//! | stop when nobody waits any more | [`timeout`] |
//! | switch off what is not core while pressure is high | [`degradation`] |
//! | do a repeated request once | [`idempotency`] |
//!
//! `now` is a [`std::time::Instant`]: `Instant::now()` in plain threads, `tokio::time::Instant::now().into_std()` under
//! tokio, any fixed instant plus a duration in a simulation. A `now` older than one seen before is read as no time
//! having passed. Random values are `u64`, uniform over the whole range; [`Dice`] makes them from a seed.
//!
//! # In which order
//!
//! From the outside in: the request's deadline; the retries with their budget; then, for each attempt, the throttle or the rate, the
//! breaker, the bulkhead, and the time-out of the call itself. So a retry asks the breaker again, what the breaker rejects takes no
//! place in the bulkhead, and the time-out lies *inside* the breaker: one that lies outside cancels the call, which teaches a
//! breaker nothing, and a dependency that hangs would never open it.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! use std::sync::Arc;
//! use std::time::Duration;
//! use tokio::time::timeout;
//! use treewarden_resilience::breaker::{BreakerConfig, CallError};
//! use treewarden_resilience::budget::BudgetConfig;
//! use treewarden_resilience::bulkhead::BulkheadConfig;
//! use treewarden_resilience::retry::{Class, Failed, Idempotency, RetryConfig};
//!
//! enum Error { Refused(Failed), Server(&'static str) }
//! # async fn ask() -> Result<u32, &'static str> { std::future::pending().await }
//!
//! let budget = Arc::new(BudgetConfig::default().build()?);
//! let retry = RetryConfig::default().budget(budget).build()?;
//! let breaker = BreakerConfig::default().min_calls(2).build()?;
//! let bulkhead = BulkheadConfig::new(32).waiting_max(64).build()?;
//!
//! let classify = |error: &Error| match error {
//!     Error::Refused(failed) => *failed,
//!     Error::Server(_) => Class::MaybeHandled.into(),
//! };
//! let answer = retry.run(Idempotency::Natural, classify, |_attempt| {
//!     let is_failure = |outcome: &Result<u32, Error>| matches!(outcome, Err(Error::Server(_)));
//!     let call = async {
//!         let place = bulkhead.acquire_within(0, Duration::from_millis(500)).await;
//!         let _place = place.map_err(|full| Error::Refused(full.into()))?;
//!         let answer = timeout(Duration::from_secs(1), ask()).await;
//!         answer.unwrap_or(Err("timed out")).map_err(Error::Server)
//!     };
//!     let guarded = breaker.call_with(is_failure, call);
//!     async {
//!         guarded.await.map_err(|error| match error {
//!             CallError::Rejected(rejected) => Error::Refused(rejected.into()),
//!             CallError::Failed(error) => error,
//!         })
//!     }
//! });
//! assert!(answer.await.is_err());
//! assert_eq!(breaker.state(), treewarden_resilience::breaker::State::Open);
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! # })?; }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What this crate does not do: it spawns nothing, logs nothing, has no global state, and reads no clock outside the
//! shells.

#![forbid(unsafe_code)]

pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod bulkhead;
pub mod degradation;
pub mod fallback;
pub mod hedge;
pub mod idempotency;
pub mod limiter;
pub mod rate;
pub mod retry;
pub mod throttle;
pub mod timeout;

mod bounds;
mod dice;
mod sync_ext;
#[cfg(test)]
mod testing;
mod window;

pub use bounds::ConfigError;
pub use dice::Dice;
pub use idempotency::IdempotencyKey;
