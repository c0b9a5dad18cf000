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
//! What this crate does not do: it spawns nothing, logs nothing, has no global state, and reads no clock outside the
//! shells.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
