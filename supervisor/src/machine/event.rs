//! What the machine is told: how children fare, which timers fired, and what people ask of the supervisor.

use std::sync::Arc;

use super::{ChildKey, ChildSpec, Timer};

/// The name that the shell gives to an administration call, to match it with its [`Reply`](super::Command::Reply).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// Something that happened. Events of an older generation than the child's present one are ignored.
#[derive(Clone, Debug)]
pub enum Event<H, R> {
    /// The supervisor is to start its children.
    Begin,
    /// A child that was told to start has started.
    Started {
        /// The child.
        child: ChildKey,
        /// The incarnation, as in the command.
        generation: u64,
    },
    /// A child that was told to start declined (OTP: `ignore`).
    Ignored {
        /// The child.
        child: ChildKey,
        /// The incarnation, as in the command.
        generation: u64,
    },
    /// A child that was told to start failed to, and has ended.
    StartFailed {
        /// The child.
        child: ChildKey,
        /// The incarnation, as in the command.
        generation: u64,
        /// Why.
        reason: R,
    },
    /// A child has ended, including its cleanup.
    Exited {
        /// The child.
        child: ChildKey,
        /// The incarnation that ended.
        generation: u64,
        /// Why.
        reason: R,
    },
    /// A timer that the machine had set is due.
    TimerFired {
        /// The timer, as in the command.
        timer: Timer,
    },
    /// Somebody asks something of the supervisor. Answered by a `Reply` with the same id, at once or later: while the
    /// supervisor starts or stops a child, calls wait their turn, as they do in OTP.
    Call {
        /// The name of the call.
        call: CallId,
        /// What is asked.
        request: Request<H>,
    },
    /// The supervisor is to stop its children in order and end. Overtakes calls, and interrupts a start.
    Shutdown,
    /// The supervisor is to end at once: all children are killed together.
    Kill,
}

/// Which child an administration call is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The child with this id.
    Id(Arc<str>),
    /// The child with this key: the only way to name one of a dynamic supervisor.
    Key(ChildKey),
}

/// The administration calls.
#[derive(Clone, Debug)]
pub enum Request<H> {
    /// Adds a child after all others and starts it.
    StartChild {
        /// What to start.
        spec: Box<ChildSpec>,
        /// What the shell needs to start it.
        handle: H,
    },
    /// Stops a child. It keeps its spec unless it is temporary or dynamic. Not an error when it does not run; a retry
    /// that is under way is cancelled. Siblings are never touched, whatever the strategy.
    TerminateChild(Target),
    /// Starts a child that does not run.
    RestartChild(Target),
    /// Removes the spec of a child that does not run.
    DeleteChild(Target),
    /// Lists the children.
    WhichChildren,
    /// Counts the children.
    CountChildren,
}
