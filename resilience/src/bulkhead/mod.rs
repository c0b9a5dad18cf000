//! A pool of permits, so that one dependency or one subtree cannot take all that the process has.
//!
//! **Source.** Nygard, "Release It!" (bulkheads), as a counting semaphore with two measures: how many calls, and how many bytes (or any
//! other weight) they hold.
//!
//! **Rules.**
//! - First come, first served: nobody overtakes, not even a light request past a heavy one, so that none starves.
//! - The line is bounded: who would be one too many is refused at once.
//! - A caller that leaves the line, by cancellation or a time-out, leaves no hole; what was granted to it meanwhile is passed on.
//! - A permit gives back what it took when it is dropped.
//!
//! **Defaults.** None for the permits. Nobody waits; weight is not counted.
//!
//! **When not to use it.** When the right number is not known: see [`limiter`](crate::limiter). Around an actor: its mailbox is bounded
//! already, and one actor handles one message at a time. A bulkhead that is larger than what it protects protects nothing.
//! It cannot be closed: callers in line wait for their turn or their own time-out.
//!
//! ```
//! use treewarden_resilience::bulkhead::BulkheadConfig;
//!
//! let pool = BulkheadConfig::new(10).weight_max(1 << 20).waiting_max(100).build()?;
//! let permit = pool.try_acquire(64 * 1024)?; // one call that holds 64 KiB
//! assert_eq!((pool.permits_left(), pool.weight_left()), (9, Some(960 * 1024)));
//! drop(permit);
//! assert_eq!(pool.permits_left(), 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acquire;
mod config;
mod machine;
mod pool;
#[cfg(feature = "tokio")]
mod shell;
#[cfg(test)]
mod tests;

pub use acquire::Acquire;
pub use config::BulkheadConfig;
pub use machine::Full;
pub use pool::{Bulkhead, Permit};
