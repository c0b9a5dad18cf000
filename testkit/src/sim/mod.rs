//! Schedules that follow from a seed.
//!
//! | file | subject |
//! |---|---|
//! | `turns` | who is polled next: one task at a time, chosen by seed |
//! | `env` | what the body of a test sees |
//! | `once` | one run with one seed |
//! | `seeds` | many runs, and what is said of the one that fails |

mod env;
mod once;
mod seeds;
mod turns;

pub use env::Env;
pub use once::{Failed, Run};
pub use seeds::{Seeds, run};
