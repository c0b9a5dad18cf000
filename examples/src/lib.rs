//! Examples of Treewarden, numbered as a path from hello to a cluster.
//!
//! | run it | what it shows |
//! |---|---|
//! | `cargo run --example hello` | a supervised actor in a few lines |
//! | `cargo run --example embed` | a supervision tree inside a web service |
//! | `cargo run --example overload` | a service under ten times its load, and whom it serves |
//! | `cargo run --example node` | one node, and the command for the next one in another terminal |
//! | `cargo run --release --example cluster` | three operating system processes count words together while parts of them are killed |
//!
//! What is too long for one file, or is tested elsewhere, is in this library; the examples themselves are short.
#![forbid(unsafe_code)]

pub mod by_hand;
pub mod embed;
pub mod netns;
pub mod service;
pub mod wordcount;
