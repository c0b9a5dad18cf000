//! Clusters of real processes, for tests and measurements: each is a whole node with TLS links and the library's default settings, alone on a
//! loopback address or in a network namespace.
//!
//! | file | subject |
//! |---|---|
//! | `said` | what a node says on its standard output, a line of JSON each, with the time |
//! | `inside` | the process of a node |
//! | `traffic` | what nodes send each other, so that it can be checked |
//! | `cluster` | the processes from outside: start, kill, stop, cut, and what they have said |
//!
//! All processes run on one machine, so the time in their lines comes from one clock and can be compared.

mod cluster;
mod inside;
mod said;
mod traffic;

pub use cluster::{Cluster, Hosts, Record};
pub use inside::{NodeSettings, run_node};
pub use said::{Line, Parcel, Said, now_us};
