//! Why a job cannot be completed: [`JobError`].

use std::{fmt, time::Duration};

use super::tally::MalformedCounts;

/// The job cannot be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobError {
    /// A node said that it cannot go on.
    NodeFailed {
        /// Its name.
        name: String,
        /// What it said.
        cause: String,
    },
    /// A node ended that was not told to, and the job needs it.
    NodeEnded {
        /// Its name.
        name: String,
        /// How it ended, as the operating system puts it.
        how: String,
    },
    /// What was waited for did not happen.
    Overdue {
        /// What it was.
        what: &'static str,
        /// For how long.
        waited: Duration,
    },
    /// The coordinator's result makes no sense.
    Malformed(MalformedCounts),
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeFailed { name, cause } => write!(f, "{name} failed: {cause}"),
            Self::NodeEnded { name, how } => {
                write!(
                    f,
                    "{name} ended ({how}), and the job cannot be completed without it"
                )
            }
            Self::Overdue { what, waited } => {
                write!(f, "{what} within {} s", waited.as_secs())
            }
            Self::Malformed(error) => write!(f, "the coordinator's result: {error}"),
        }
    }
}

impl std::error::Error for JobError {}
