//! Supervision trees for tokio: OTP's semantics as a pure machine, and the shell that obeys it.
