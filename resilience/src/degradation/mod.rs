//! Switches off what is not core, level by level, as pressure rises; and on again, later, as it falls.
//!
//! **Source.** Klein et al., "Brownout: Building More Robust Cloud Applications" (ICSE 2014); graceful degradation in the SRE book
//! ("Addressing Cascading Failures").
//!
//! **Rules.**
//! - Pressure is one number that you observe: 1 is all that the service can take. Utilisation, queue depth over capacity, or calls in
//!   flight over the [`limiter`](crate::limiter)'s limit will do.
//! - A level is entered when pressure has been at `enter` or above for `hold_up`, and left when it has been below `leave` for
//!   `hold_down`. Between the two nothing changes: switching things off lowers the pressure, and must not switch them on again.
//! - Up by as many levels as needed at once; down one at a time, each after its own wait.
//! - A core feature is never switched off by pressure. An operator can switch anything, and fix the level.
//! - Without observations the level stays.
//!
//! **Defaults.** Level 1 from 0.8 to below 0.6, level 2 from 0.95 to below 0.8; up after 1 s, down after 10 s.
//!
//! **When not to use it.** When all features are core: shed requests instead. When a feature costs more to switch than to run.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use treewarden_resilience::degradation::{DegradationConfig, Importance};
//!
//! let degradation = DegradationConfig::default()
//!     .feature("checkout", Importance::Core)
//!     .feature("recommendations", Importance::NonCore { off_at: 1 })
//!     .build()?;
//! let recommendations = degradation.feature("recommendations")?;
//! let now = Instant::now();
//! degradation.observe(0.9, now);
//! assert!(recommendations.is_on());
//! degradation.observe(0.9, now + Duration::from_secs(1));
//! assert!(!recommendations.is_on() && degradation.feature("checkout")?.is_on());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod feature;
mod machine;
#[cfg(test)]
mod tests;

pub use config::DegradationConfig;
pub use feature::{Feature, Importance, Switch, UnknownFeature};
pub use machine::{Degradation, LevelChange};
