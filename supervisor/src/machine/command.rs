//! What the machine wants done. The shell carries out the commands in the order in which it polls them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{CallId, ChildKey, ChildRole, SpecError, Status};

/// A timer that the machine set. It is handed back as it was when it is due; one that is out of date has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timer {
    /// Never used twice by one machine.
    pub sequence: u64,
    /// When it is due, on the clock of `now`.
    pub at: Duration,
    pub(crate) subject: TimerSubject,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TimerSubject {
    /// The deadline of what the supervisor does just now.
    Activity,
    /// The end of a child's backoff.
    Backoff(ChildKey),
}

/// What becomes visible of a child's address while no incarnation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Another incarnation follows: messages may wait for it.
    Restarting,
    /// None follows until somebody asks for one: messages are refused, those that wait go to the dead letters.
    Stopped,
}

/// Something to be done.
#[derive(Clone, Debug)]
pub enum Command<H, R> {
    /// Start an incarnation. Answered by `Started`, `Ignored` or `StartFailed` with the same generation.
    Start {
        /// The child.
        child: ChildKey,
        /// The incarnation, counted from 1.
        generation: u64,
    },
    /// Ask a child to stop; also while it starts. Answered by `Exited` or `StartFailed`.
    Stop {
        /// The child.
        child: ChildKey,
        /// The incarnation.
        generation: u64,
    },
    /// Kill a child; also while it starts. Answered by `Exited` or `StartFailed`.
    Kill {
        /// The child.
        child: ChildKey,
        /// The incarnation.
        generation: u64,
    },
    /// Send `TimerFired` when the timer is due.
    SetTimer {
        /// The timer.
        timer: Timer,
    },
    /// The timer is not needed any more. Firing it all the same does no harm.
    CancelTimer {
        /// The timer.
        timer: Timer,
    },
    /// Show this at the child's address.
    Mark {
        /// The child.
        child: ChildKey,
        /// What to show.
        mark: Mark,
    },
    /// Send the messages that wait for the child to the dead letters.
    DiscardQueue {
        /// The child.
        child: ChildKey,
    },
    /// The child is gone from the supervisor and its key is dead: close its address for ever.
    Remove {
        /// The child.
        child: ChildKey,
        /// What the shell had given with its spec.
        handle: H,
    },
    /// Answer a call.
    Reply {
        /// The call.
        call: CallId,
        /// The answer.
        result: Result<Answer, AdminError<R>>,
    },
    /// The children have been started: the supervisor itself counts as started.
    Ready,
    /// Something worth knowing happened to a child.
    Report {
        /// The child; it is still there.
        child: ChildKey,
        /// What happened.
        report: Report<R>,
    },
    /// The supervisor has ended. No command follows. No child runs, except those reported as hung and abandoned.
    Exit(ExitCause<R>),
}

impl<H, R> Command<H, R> {
    /// The same command with another handle; `None` if there is none.
    pub(super) fn try_map_handle<G>(
        self,
        other: impl FnOnce(ChildKey, H) -> Option<G>,
    ) -> Option<Command<G, R>> {
        Some(match self {
            Command::Start { child, generation } => Command::Start { child, generation },
            Command::Stop { child, generation } => Command::Stop { child, generation },
            Command::Kill { child, generation } => Command::Kill { child, generation },
            Command::SetTimer { timer } => Command::SetTimer { timer },
            Command::CancelTimer { timer } => Command::CancelTimer { timer },
            Command::Mark { child, mark } => Command::Mark { child, mark },
            Command::DiscardQueue { child } => Command::DiscardQueue { child },
            Command::Remove { child, handle } => Command::Remove {
                child,
                handle: other(child, handle)?,
            },
            Command::Reply { call, result } => Command::Reply { call, result },
            Command::Ready => Command::Ready,
            Command::Report { child, report } => Command::Report { child, report },
            Command::Exit(cause) => Command::Exit(cause),
        })
    }
}

/// Why a supervisor ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ExitCause<R> {
    /// It was told to.
    Shutdown,
    /// It was killed.
    Killed,
    /// A child failed to start at the beginning; those started before it have been stopped again. There is no retry
    /// at this level.
    StartFailed {
        /// The id of the child.
        id: Arc<str>,
        /// Why it failed.
        reason: R,
    },
    /// It gave up.
    Escalated {
        /// The id of the child that failed last.
        id: Arc<str>,
        /// The limit that was exceeded.
        limit: Limit,
        /// Why the child failed.
        reason: R,
    },
    /// Its significant children ended.
    AutoShutdown {
        /// The id of the child that ended last.
        id: Arc<str>,
    },
}

/// A limit on restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Too many restarts in the period.
    Intensity,
    /// Too many failures of one child in a row.
    Consecutive,
    /// One child failed, and was not healthy, for too long.
    Time,
}

impl fmt::Display for Limit {
    /// What has happened when it is exceeded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Intensity => "more restarts than the intensity allows",
            Limit::Consecutive => "more failures in a row than the backoff allows",
            Limit::Time => "failures for longer than the backoff allows",
        })
    }
}

/// What a call achieved.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The child runs.
    Started(ChildKey),
    /// The child declined to start (OTP: `{ok, undefined}`).
    Ignored,
    /// Done.
    Done,
    /// The children in start order.
    Children(Vec<ChildInfo>),
    /// How many children of which sort.
    Counts(ChildCounts),
}

/// One line of `which_children`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildInfo {
    /// The id.
    pub id: Arc<str>,
    /// The key.
    pub key: ChildKey,
    /// What it does just now.
    pub status: Status,
    /// Worker or supervisor.
    pub role: ChildRole,
}

/// The answer to `count_children`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildCounts {
    /// Child specifications; 1 for a dynamic supervisor, as in OTP.
    pub specs: usize,
    /// Children that run.
    pub active: usize,
    /// Children that are supervisors, running or not.
    pub supervisors: usize,
    /// Children that are workers, running or not.
    pub workers: usize,
}

/// Why an administration call failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AdminError<R> {
    /// A child with this id runs already.
    AlreadyStarted(ChildKey),
    /// A child with this id is known, but does not run: restart or delete it.
    AlreadyPresent,
    /// The child runs: terminate it first.
    Running,
    /// The child is about to be restarted: terminate it first.
    Restarting,
    /// There is no such child.
    NotFound,
    /// Children of a dynamic supervisor are named by key, and cannot be restarted or deleted by hand
    /// (OTP: `simple_one_for_one`).
    Dynamic,
    /// There are as many children as `max_children` allows.
    MaxChildren,
    /// The child failed to start. A child that was to be added was not; one that was there before does not run.
    StartFailed(R),
    /// The child declined to start, so it has no instance. Its specification is kept, unless it is temporary or dynamic.
    Declined,
    /// The specification is refused.
    Invalid(SpecError),
    /// The supervisor has been told to end.
    ShuttingDown,
}

impl<R: fmt::Display> fmt::Display for AdminError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminError::AlreadyStarted(_) => f.write_str("a child with this id runs already"),
            AdminError::AlreadyPresent => {
                f.write_str("a child with this id is known but does not run; restart or delete it")
            }
            AdminError::Running => f.write_str("the child runs; terminate it first"),
            AdminError::Restarting => {
                f.write_str("the child is about to be restarted; terminate it first")
            }
            AdminError::NotFound => f.write_str("there is no such child"),
            AdminError::Dynamic => {
                f.write_str("children of a dynamic supervisor are started anew and named by key")
            }
            AdminError::MaxChildren => {
                f.write_str("the supervisor has as many children as max_children allows")
            }
            AdminError::StartFailed(reason) => write!(f, "the child failed to start: {reason}"),
            AdminError::Declined => f.write_str("the child declined to start"),
            AdminError::Invalid(error) => error.fmt(f),
            AdminError::ShuttingDown => {
                f.write_str("the supervisor has been told to end; nothing was changed")
            }
        }
    }
}

impl<R: fmt::Debug + fmt::Display> Error for AdminError<R> {}

/// What happened, for logs, metrics and tests.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Report<R> {
    /// A child runs.
    Started {
        /// Its id.
        id: Arc<str>,
        /// The incarnation.
        generation: u64,
    },
    /// A child declined to start.
    Ignored {
        /// Its id.
        id: Arc<str>,
        /// The incarnation.
        generation: u64,
    },
    /// A child failed to start.
    StartFailed {
        /// Its id.
        id: Arc<str>,
        /// The incarnation.
        generation: u64,
        /// Why.
        reason: R,
    },
    /// A child ended by itself.
    Exited {
        /// Its id.
        id: Arc<str>,
        /// The incarnation.
        generation: u64,
        /// Why.
        reason: R,
    },
    /// A child will be restarted after this delay, with the siblings that the strategy names.
    Restarting {
        /// Its id.
        id: Arc<str>,
        /// The backoff.
        after: Duration,
        /// How often it has failed in a row.
        failures_in_a_row: u32,
    },
    /// A child was stopped by the supervisor.
    Stopped {
        /// Its id.
        id: Arc<str>,
        /// The incarnation.
        generation: u64,
    },
    /// A child was to stop, but ended for another reason than that (OTP: `shutdown_error`).
    StoppedBadly {
        /// Its id.
        id: Arc<str>,
        /// The incarnation.
        generation: u64,
        /// Why it ended.
        reason: R,
    },
    /// A child did not start or stop in time and is killed.
    Stalled {
        /// Its id.
        id: Arc<str>,
        /// The incarnation.
        generation: u64,
        /// How long it was waited for.
        waited: Duration,
        /// Whether it was starting; otherwise it was stopping.
        starting: bool,
    },
    /// A child has not even ended by being killed: it blocks its thread.
    Hung {
        /// Its id.
        id: Arc<str>,
        /// The incarnation.
        generation: u64,
        /// Whether it is left behind; otherwise it is waited for.
        abandoned: bool,
    },
    /// A handler of an actor takes longer than its budget. Told by the watchdog, which decides by itself what to do.
    Overran {
        /// The id of the actor.
        id: Arc<str>,
        /// The incarnation.
        generation: u64,
        /// In which handler, for how long, and what was done about it.
        overrun: treewarden_runtime::Overrun,
    },
    /// The supervisor gives up.
    Escalated {
        /// The child that failed last.
        id: Arc<str>,
        /// The limit that was exceeded.
        limit: Limit,
        /// Why the child failed.
        reason: R,
    },
    /// The supervisor ends with its significant children.
    AutoShutdown {
        /// The child that ended last.
        id: Arc<str>,
    },
}
