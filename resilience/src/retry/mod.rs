//! Trying again: a bounded number of times, until a deadline, within a budget, and only what may be repeated.
//!
//! **Source.** The rules of the SRE book ("Handling Overload", "Addressing Cascading Failures") and of the Amazon Builders'
//! Library ("Timeouts, retries, and backoff with jitter"), put in one order, which is
//! [`Operation::fail`]:
//!
//! 1. A failure that will repeat itself is not retried.
//! 2. What may have been handled is retried only if its [`Idempotency`] allows it.
//! 3. No more attempts than `attempts_max`, the first included.
//! 4. No retry that would begin after the deadline: the caller hears at once.
//! 5. No retry without a token from the [`budget`](crate::budget), if there is one.
//!
//! The wait is that of the [`backoff`](crate::backoff); a server's "retry after" is added to it, so that callers who were told the same
//! do not return together.
//!
//! Refusals of the other policies classify themselves: [`Failed`] is made from each of them.
//!
//! **Defaults.** 3 attempts, 30 s for all of them, no time-out for a single one, default backoff, no budget, not idempotent.
//!
//! **When not to use it.** Below a caller that retries itself (retry at one layer, or share a budget). Against a dependency
//! that is down for longer than the deadline: use a breaker too. For work that must be done in the end:
//! use a queue.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use treewarden_resilience::retry::{Class, Idempotency, RetryConfig};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! let retry = RetryConfig::default().attempts_max(5).build()?;
//! let classify = |error: &std::io::Error| match error.kind() {
//!     std::io::ErrorKind::ConnectionRefused => Class::NotHandled.into(),
//!     std::io::ErrorKind::ConnectionReset => Class::MaybeHandled.into(),
//!     _ => Class::Permanent.into(),
//! };
//! let answer = retry
//!     .run(Idempotency::Natural, classify, |attempt| async move {
//!         match attempt.number {
//!             1 => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
//!             _ => Ok("answer"),
//!         }
//!     })
//!     .await;
//! assert_eq!(answer.ok(), Some("answer"));
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! # })?; }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod class;
mod config;
mod error;
mod machine;
mod refusals;
#[cfg(feature = "tokio")]
mod shell;
#[cfg(test)]
mod tests;

pub use class::{Class, Failed, Idempotency};
pub use config::RetryConfig;
pub use error::{GiveUp, RetryError};
pub use machine::{Attempt, Decision, Operation, Retry};
