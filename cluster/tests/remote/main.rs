//! What remote references promise, over real sockets on loopback. Each test's name is the promise.

mod acknowledged;
mod backpressure;
mod context;
mod delivery;
mod handshake;
mod hostile;
mod large;
mod loss;
mod monitoring;
mod shared;
mod support;
mod tls;
mod versions;
