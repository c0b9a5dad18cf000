//! Remembers which operations were done and what came out, so that a repetition gets the answer and not the effect.
//!
//! **Source.** Idempotency keys as in Stripe's API and the IETF draft "The Idempotency-Key HTTP Header Field"; "Making retries safe with
//! idempotent APIs" in the Amazon Builders' Library.
//!
//! **Rules.**
//! - A key belongs to one request: the same key with another request ([`Begin::Mismatch`]) is a bug of the caller.
//! - While an operation is under way, its repetition is told so; it neither waits nor runs.
//! - An operation that ended without an answer, by a panic or a cancellation, may have had its effect. Its repetition is told
//!   [`Begin::Interrupted`], and is not run until somebody who knows says [`IdempotencyStore::forget`], or `keep` has passed.
//! - Nothing is forgotten early: a store that is full of answers that have not expired refuses new operations.
//!
//! **Promise.** At most once for each key until `keep` after its answer; and only in this process's memory. An effect that must survive a
//! crash exactly once needs the key in the same transaction as the effect.
//!
//! **Defaults.** 10 000 keys; answers are kept for 24 hours.
//!
//! **When not to use it.** For operations that are idempotent by nature. With `keep` shorter than callers go on retrying.
//!
//! ```
//! use std::time::Instant;
//! use treewarden_resilience::IdempotencyKey;
//! use treewarden_resilience::idempotency::{Begin, IdempotencyConfig};
//!
//! let store = IdempotencyConfig::default().build::<&str>()?;
//! let (key, request_hash, now) = (IdempotencyKey::new(42), 7, Instant::now());
//! match store.begin(key, request_hash, now) {
//!     Begin::New(operation) => operation.finish("charged", now),
//!     other => panic!("{other:?}"),
//! }
//! assert!(matches!(store.begin(key, request_hash, now), Begin::Done("charged")));
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! ```

mod config;
mod key;
mod machine;
#[cfg(test)]
mod tests;

pub use config::IdempotencyConfig;
pub use key::IdempotencyKey;
pub use machine::{Begin, IdempotencyStore, Operation};
