//! How an incarnation ends: [`ExitReason`], and what is known of the message that ended it: [`Suspect`].

use std::{backtrace::Backtrace, fmt, sync::Arc};

use crate::{envelope::MessageContext, failure::Failure};

/// Why an incarnation of a child ended.
///
/// The names are OTP's where OTP has one. [`Normal`](Self::Normal) and [`Shutdown`](Self::Shutdown) are orderly: a
/// transient child is not restarted after them. Everything else is a crash.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExitReason {
    /// It was done, by its own decision.
    Normal,
    /// It was asked to stop, and stopped. OTP's `shutdown`.
    Shutdown,
    /// It returned an error: from its start, from a handler, or from its future.
    Failed(Failure),
    /// It panicked.
    Panicked(Panic),
    /// It was killed, at an await point. Its state was dropped without its clean-up having run.
    Killed,
    /// It did not come back from a handler that blocks its thread, and was given up.
    Hung,
    /// It was a supervisor that restarted its children too often, and gave up.
    Escalated(Failure),
    /// The node on which it ran was declared down.
    NodeDown,
    /// The node on which it runs cannot be reached; it may still be alive.
    Unreachable,
}

impl ExitReason {
    /// Whether this is an orderly end, after which a transient child stays down.
    pub fn is_orderly(&self) -> bool {
        match self {
            Self::Normal | Self::Shutdown => true,
            Self::Failed(_)
            | Self::Panicked(_)
            | Self::Killed
            | Self::Hung
            | Self::Escalated(_)
            | Self::NodeDown
            | Self::Unreachable => false,
        }
    }

    /// One word for logs and metric labels: `normal`, `shutdown`, `failed`, `panicked`, `killed`, `hung`, `escalated`,
    /// `node_down`, `unreachable`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shutdown => "shutdown",
            Self::Failed(_) => "failed",
            Self::Panicked(_) => "panicked",
            Self::Killed => "killed",
            Self::Hung => "hung",
            Self::Escalated(_) => "escalated",
            Self::NodeDown => "node_down",
            Self::Unreachable => "unreachable",
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => write!(f, "failed: {failure:#}"),
            Self::Panicked(panic) => write!(f, "panicked: {panic}"),
            Self::Escalated(failure) => write!(f, "escalated: {failure:#}"),
            Self::NodeDown => f.write_str("node down"),
            other => f.write_str(other.kind()),
        }
    }
}

/// What is known of a panic.
///
/// The message is always there. The place and the backtrace can only be learnt from a panic hook, and a hook belongs to
/// the whole process; so they are there if the application asked for them with
/// [`record_panic_locations`](crate::record_panic_locations).
#[derive(Clone)]
pub struct Panic {
    known: Arc<Known>,
}

struct Known {
    message: String,
    location: Option<String>,
    backtrace: Option<Backtrace>,
}

impl Panic {
    pub(crate) fn new(
        message: String,
        location: Option<String>,
        backtrace: Option<Backtrace>,
    ) -> Self {
        Self {
            known: Arc::new(Known {
                message,
                location,
                backtrace,
            }),
        }
    }

    /// The panic that `payload`, caught by [`std::panic::catch_unwind`] on this thread just now, stands for.
    ///
    /// For those who host children of a kind of their own.
    pub fn from_payload(payload: Box<dyn std::any::Any + Send>) -> Self {
        crate::panics::describe(payload)
    }

    /// The text that was given to `panic!`, or a note that the payload was no text.
    pub fn message(&self) -> &str {
        &self.known.message
    }

    /// `file:line:column`, if locations are recorded.
    pub fn location(&self) -> Option<&str> {
        self.known.location.as_deref()
    }

    /// The backtrace, if locations are recorded and the standard library's switch asks for backtraces.
    pub fn backtrace(&self) -> Option<&Backtrace> {
        self.known.backtrace.as_ref()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location() {
            Some(location) => write!(f, "{} (at {location})", self.message()),
            None => f.write_str(self.message()),
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({self})")
    }
}

/// The message that was in the handler when an incarnation crashed.
///
/// The message has been moved into the handler and is gone; this is what is known of it. It is never delivered again.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// Which message it was: the number of messages whose handling had begun at this address, itself included.
    pub sequence: u64,
    /// What [`Actor::label`](crate::Actor::label) said of it.
    pub label: &'static str,
    /// The context that travelled with it.
    pub context: Option<MessageContext>,
}
