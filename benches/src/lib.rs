//! Benchmarks of Treewarden, side by side with its peers.
