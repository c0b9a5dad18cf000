//! Shedding by waiting time: what leaves the queue when more comes in than can be handled.
//!
//! A queue that is full for a moment is a good queue; one that never empties only adds waiting to everything. What tells the
//! two apart is not length but the time that messages spend in it, which is the discovery of CoDel. A queue of requests
//! differs from CoDel's queue of packets in three ways: nobody slows down because a request was shed, a request has a
//! deadline after which handling it is a waste, and some requests matter more than others. So there are two disciplines:
//!
//! | file | subject |
//! |---|---|
//! | `config` | [`Shedding`], as the user says it |
//! | `codel` | RFC 8289's control law; pure |
//! | `codel_line` | the discipline *codel*: first in, first out, under that law |
//! | `standing` | whether a queue stands; pure |
//! | `adaptive_line` | the discipline *adaptive*: the critical first, newest first where a queue stands, what waited too long is shed |
//!
//! Time comes in with each message and each look; nothing here reads a clock, takes a lock or runs foreign code. What is
//! shed is handed out like a message, with its verdict.

mod adaptive_line;
mod codel;
mod codel_line;
mod config;
mod standing;

pub(super) use adaptive_line::AdaptiveLine;
pub(super) use codel_line::CodelLine;
pub use config::Shedding;

use super::line::Line;

impl Shedding {
    pub(super) fn line<T>(self) -> Line<T> {
        match self.discipline {
            config::Discipline::Codel => Line::Codel(CodelLine::new(self)),
            config::Discipline::Adaptive => Line::Adaptive(AdaptiveLine::new(self)),
        }
    }
}
