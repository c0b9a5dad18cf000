//! Supervision trees for tokio: OTP's semantics as a pure machine, and the shell that obeys it.
#![forbid(unsafe_code)]

#[cfg(feature = "unstable-machines")]
pub mod machine;
#[cfg(not(feature = "unstable-machines"))]
#[allow(unreachable_pub, dead_code, unused_imports)]
mod machine;
