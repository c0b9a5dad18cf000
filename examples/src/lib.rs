//! Examples of Treewarden, numbered as a path from hello to a cluster.
//!
//! | run it | what it shows |
//! |---|---|
//! | `cargo run --release --example cluster` | three operating system processes count words together while parts of them are killed |
//!
//! What is too long for one file, or is tested elsewhere, is in this library; the examples themselves are short.
#![forbid(unsafe_code)]

pub mod wordcount;
