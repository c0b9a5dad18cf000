//! Conformance, simulation and end-to-end tests of Treewarden.

pub mod sim;
