//! An actor-based supervision runtime for tokio.
