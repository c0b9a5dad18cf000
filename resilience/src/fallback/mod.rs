//! A lesser answer instead of none: the last good one, or another source. The answer says what it is.
//!
//! **Source.** "Addressing Cascading Failures" in the SRE book (serve degraded results), stale-if-error of RFC 5861; the warning of the
//! Amazon Builders' Library, "Avoiding fallback in distributed systems".
//!
//! **Rules.**
//! - An [`Answer`] carries its [`Source`], so that nobody takes a stale price for a current one by accident.
//! - Which errors may be covered up is the caller's choice: a wrong password has no fallback.
//! - A fallback that fails gives the error of the primary, which is the one to be repaired.
//!
//! **Defaults.** None: how old an answer may be is for you to say.
//!
//! **When not to use it.** When the fallback shares what broke the primary. When it costs more than the primary: it will be called for
//! everybody at once. When it is never exercised: a path that runs once a year does not work. For writes.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use treewarden_resilience::fallback::{LastGoodConfig, Source};
//!
//! let prices = LastGoodConfig::new(Duration::from_secs(60)).build()?;
//! let now = Instant::now();
//! prices.store(17, now);
//! let answer = prices.get(now + Duration::from_secs(10)).expect("young enough");
//! assert_eq!((answer.value, answer.source), (17, Source::Stale { age: Duration::from_secs(10) }));
//! assert!(prices.get(now + Duration::from_secs(61)).is_none());
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! ```

mod config;
mod machine;
mod shell;
#[cfg(test)]
mod tests;

pub use config::LastGoodConfig;
pub use machine::{Answer, LastGood, Source};
pub use shell::or_else;
