//! One deadline for a whole request, handed down from step to step and from service to service.
//!
//! **Source.** Deadline propagation in the SRE book ("Addressing Cascading Failures") and in gRPC: a time-out for each step adds up to more
//! than the caller waits; one deadline does not, and tells a later step not to begin what nobody waits for.
//!
//! **Rules.**
//! - A deadline is an instant in a process and a remaining duration on the wire ([`Deadline::remaining`]): clocks of two machines are
//!   never compared.
//! - A step can only bring it forward ([`Deadline::at_most`]).
//! - What is over is not begun: the future is not even polled.
//!
//! **Defaults.** None.
//!
//! **When not to use it.** For work that goes on when the caller has gone. A future that blocks its thread is not stopped by any
//! time-out.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use treewarden_resilience::timeout::Deadline;
//!
//! let now = Instant::now();
//! let request = Deadline::after(Duration::from_secs(1), now);
//! let lookup = request.at_most(Duration::from_millis(200), now);
//! assert_eq!(lookup.remaining(now), Duration::from_millis(200));
//! assert!(request.keep_back(Duration::from_millis(100)).is_over(now + Duration::from_millis(950)));
//! ```

mod machine;
#[cfg(feature = "tokio")]
mod shell;
#[cfg(test)]
mod tests;

pub use machine::{Deadline, DeadlineOver};
