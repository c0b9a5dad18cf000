//! A second attempt while the first is still under way, against the tail of the latency.
//!
//! **Source.** Dean and Barroso, "The Tail at Scale" (CACM 2013), hedged requests: ask again when the first has taken longer than most
//! requests do, take the answer that comes first, cancel the other.
//!
//! **Rules.**
//! - Only what is idempotent is hedged ([`Idempotency`](crate::retry::Idempotency)); anything else is attempted once.
//! - A hedge is not a retry: a failed attempt begins no other. The operation fails when all attempts under way have failed.
//! - Hedges are paid from a [`budget`](crate::budget), if there is one: in an overload every request is slow, and hedging all of them would
//!   double the load just then.
//!
//! **Delay.** Fixed, or the 95th percentile (by choice another) of the last 128 latencies. An attempt that lost is counted with the time
//! that it had taken by then, which is less than it would have taken: so the percentile is, if anything, too low, and the budget matters.
//!
//! **Defaults.** Two attempts; the 95th percentile, and 100 ms until 32 latencies are known; no budget.
//!
//! **When not to use it.** When all replicas are slow for the same reason. When an attempt costs much even if it is cancelled. When the
//! destination is one machine: then it queues behind itself.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! use std::time::Duration;
//! use treewarden_resilience::hedge::{HedgeConfig, HedgeDelay};
//! use treewarden_resilience::retry::Idempotency;
//!
//! let hedge = HedgeConfig::default().delay(HedgeDelay::Fixed(Duration::from_millis(20))).build()?;
//! let fetch = |attempt: u32| async move {
//!     let latency = Duration::from_millis(if attempt == 1 { 900 } else { 5 });
//!     tokio::time::sleep(latency).await;
//!     Ok::<_, std::io::Error>(attempt)
//! };
//! let begun = tokio::time::Instant::now();
//! assert_eq!(hedge.run(Idempotency::Natural, fetch).await.ok(), Some(2));
//! assert_eq!(begun.elapsed(), Duration::from_millis(25));
//! # Ok::<(), treewarden_resilience::ConfigError>(())
//! # })?; }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod latencies;
mod machine;
#[cfg(feature = "tokio")]
mod shell;
#[cfg(test)]
mod tests;

pub use config::{HedgeConfig, HedgeDelay};
pub use machine::{Hedge, Race};
