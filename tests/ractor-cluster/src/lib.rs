//! Nothing: there are tests alone.
