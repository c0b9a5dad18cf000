//! Keys that name an operation.

mod key;

pub use key::IdempotencyKey;
