//! The systems and their policies.

use std::future::Future;
use std::pin::Pin;

use crate::request::Request;

mod kameo;
mod ractor;
mod treewarden;

/// A running service with one worker.
pub(crate) trait Service: Send + Sync {
    /// Sends a request, as a caller would that cannot wait.
    fn submit(&self, request: Request);
}

type Starting = Pin<Box<dyn Future<Output = Box<dyn Service>> + Send>>;

/// A system with one of its policies.
#[derive(Clone, Copy)]
pub(crate) struct Contender {
    pub(crate) system: &'static str,
    pub(crate) policy: &'static str,
    start: fn() -> Starting,
}

impl Contender {
    pub(crate) fn start(self) -> Starting {
        (self.start)()
    }
}

/// Room in every mailbox that has a bound, if the policy's name says nothing else.
const CAPACITY: usize = 1024;

/// What is compared, in the order of the report.
pub(crate) const ALL: &[Contender] = &[
    Contender {
        system: "treewarden",
        policy: "unbounded",
        start: treewarden::unbounded,
    },
    Contender {
        system: "treewarden",
        policy: "bounded fifo",
        start: treewarden::bounded,
    },
    Contender {
        system: "treewarden",
        policy: "bounded fifo, deadlines",
        start: treewarden::deadlines,
    },
    Contender {
        system: "treewarden",
        policy: "bounded fifo, adaptive limiter",
        start: treewarden::limiter,
    },
    Contender {
        system: "treewarden",
        policy: "codel",
        start: treewarden::codel,
    },
    Contender {
        system: "treewarden",
        policy: "codel + lifo + criticality",
        start: treewarden::adaptive,
    },
    Contender {
        system: "ractor",
        policy: "factory, ttl, discard oldest",
        start: ractor::fifo,
    },
    Contender {
        system: "ractor",
        policy: "factory, priorities, ttl, discard oldest",
        start: ractor::priorities,
    },
    Contender {
        system: "kameo",
        policy: "bounded",
        start: kameo::bounded,
    },
    Contender {
        system: "kameo",
        policy: "bounded to 64, its default",
        start: kameo::bounded_by_default,
    },
];
