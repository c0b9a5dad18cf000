//! A limit on retries as a share of first attempts, so that retries never become the load.
//!
//! **Source.** Finagle's `RetryBudget` (tokens earned by requests, spent by retries, both forgotten after a while, and a small
//! reserve for quiet times); Envoy's retry budget; "Addressing Cascading Failures" in the SRE book. The hazard is in Bronson
//! et al., "Metastable Failures in Distributed Systems" (HotOS 2021).
//!
//! **Defaults.** Retries up to 20 % of the requests of the last 10 s, and one a second besides. (Finagle reserves ten a
//! second, which in a small service is no limit at all.)
//!
//! **Sharing.** One budget serves every caller below one point of a tree, behind an `Arc`. Where layers retry inside
//! layers, share one budget and let only the outermost layer earn
//! ([`RetryConfig::budget`](crate::retry::RetryConfig::budget)); inner layers only spend
//! ([`RetryConfig::shared_budget`](crate::retry::RetryConfig::shared_budget)). Three layers of three attempts then cost 1.2 times the
//! load under a total outage, and not 27 times.
//!
//! **When not to use it.** For work that must be done in the end, however late: keep that in a queue instead. With a handful
//! of requests a minute the reserve alone decides.
//!
//! ```
//! use std::time::Instant;
//! use treewarden_resilience::budget::BudgetConfig;
//!
//! let budget = BudgetConfig::default().ratio(0.1).reserve_per_second(0.0).build()?;
//! let now = Instant::now();
//! assert!(budget.withdraw(now).is_err());
//! for _ in 0..10 {
//!     budget.deposit(now);
//! }
//! assert!(budget.withdraw(now).is_ok());
//! assert!(budget.withdraw(now).is_err());
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! ```

mod config;
mod machine;
#[cfg(test)]
mod tests;

pub use config::BudgetConfig;
pub use machine::{Budget, BudgetExhausted};
