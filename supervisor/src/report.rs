//! What is heard of a tree: the stream of events, log lines, and the report of a shutdown.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;
use treewarden_runtime::{ExitReason, Suspect};

use crate::machine::{Mark, Report};
use crate::sync::MutexExt;

/// How many events a subscriber can be behind before it misses some.
const FEED_CAPACITY: usize = 1024;

/// Something that happened to a child of a tree.
#[derive(Clone, Debug)]
pub struct TreeEvent {
    /// The path of the child, for example `/app/pipeline/parser`.
    pub path: Arc<str>,
    /// What happened.
    pub report: Report<ExitReason>,
    /// What is known of the message that was in the handler, if the child ended in one.
    pub suspect: Option<Suspect>,
}

impl fmt::Display for TreeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.path)?;
        match &self.report {
            Report::Started { generation, .. } => write!(f, "started, incarnation {generation}"),
            Report::Ignored { .. } => f.write_str("declined to start"),
            Report::StartFailed { reason, .. } => write!(f, "failed to start: {reason}"),
            Report::Exited { reason, .. } => {
                write!(f, "exited: {reason}")?;
                if let ExitReason::Failed(failure) = reason {
                    write!(f, " (at {})", failure.location())?;
                }
                match &self.suspect {
                    Some(suspect) => write!(f, "; it was handling {}", suspect.label),
                    None => Ok(()),
                }
            }
            Report::Restarting { after, .. } if after.is_zero() => f.write_str("restarts"),
            Report::Restarting {
                after,
                failures_in_a_row,
                ..
            } => {
                let s = plural(*failures_in_a_row);
                write!(
                    f,
                    "restarts after {after:?}, {failures_in_a_row} failure{s} in a row"
                )
            }
            Report::Stopped { .. } => f.write_str("stopped"),
            Report::StoppedBadly { reason, .. } => {
                write!(f, "was stopped, but ended otherwise: {reason}")
            }
            Report::Stalled {
                waited,
                starting: true,
                ..
            } => write!(f, "did not start within {waited:?}; killed"),
            Report::Stalled { waited, .. } => write!(f, "did not stop within {waited:?}; killed"),
            Report::Hung {
                abandoned: true, ..
            } => f.write_str("was killed and did not end; left behind"),
            Report::Hung { .. } => {
                f.write_str("was killed and did not end yet; it blocks its thread")
            }
            Report::Overran { overrun, .. } => write!(f, "{overrun}"),
            Report::Escalated { limit, reason, .. } => {
                write!(
                    f,
                    "was restarted too often: {limit}; its supervisor gives up; last: {reason}"
                )?;
                match reason.is_orderly() {
                    // The usual mistake.
                    true => f.write_str("; a permanent child is restarted also when it is done, see Restart::Transient"),
                    false => Ok(()),
                }
            }
            Report::AutoShutdown { .. } => {
                f.write_str("was significant and ended; its supervisor ends with it")
            }
        }
    }
}

/// A child that did not stop in time.
#[derive(Clone, Debug)]
pub struct Stall {
    /// Its path.
    pub path: Arc<str>,
    /// How long it was waited for before it was killed.
    pub waited: Duration,
    /// The label of the message in whose handler it was killed, if it was in one.
    pub handling: Option<&'static str>,
    /// How it ended when it was killed; `None` if it did not, and was left behind.
    pub reason: Option<ExitReason>,
}

/// How the shutdown of a tree went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Why the tree ended. `Shutdown`, unless it had come to an end of its own before.
    pub reason: ExitReason,
    /// How long the shutdown took.
    pub took: Duration,
    /// The children that did not stop in time, in the order in which they were given up.
    pub stalled: Vec<Stall>,
    /// The children that ended for another reason than having been stopped, with that reason.
    pub ended_badly: Vec<(Arc<str>, ExitReason)>,
}

impl ShutdownReport {
    /// Whether all children stopped as they should, in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.stalled.is_empty() && self.ended_badly.is_empty()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended ({}) after {:?}", self.reason, self.took)?;
        for stall in &self.stalled {
            write!(f, "\n{} did not stop within {:?}", stall.path, stall.waited)?;
            if let Some(handling) = stall.handling {
                write!(f, "; it was handling {handling}")?;
            }
            match &stall.reason {
                Some(reason) => write!(f, "; {reason}")?,
                None => write!(f, "; it blocks its thread, and was left behind")?,
            }
        }
        for (path, reason) in &self.ended_badly {
            write!(f, "\n{path} ended otherwise: {reason}")?;
        }
        Ok(())
    }
}

/// The events of one tree, shared by all its supervisors.
#[derive(Clone, Default)]
pub(crate) struct TreeLog(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Made at the first subscription: without one an event costs a look.
    feed: OnceLock<broadcast::Sender<TreeEvent>>,
    /// The shutdowns that somebody wants a report of.
    watches: Mutex<Vec<Watch>>,
}

/// The shutdown of a tree or subtree, as far as it has come.
struct Watch {
    /// The path of its supervisor.
    path: Arc<str>,
    since: Instant,
    /// How long it took, when it is over.
    took: Option<Duration>,
    stalled: Vec<Stall>,
    ended_badly: Vec<(Arc<str>, ExitReason)>,
}

impl Watch {
    fn covers(&self, path: &str) -> bool {
        let below = path.strip_prefix(&*self.path);
        self.took.is_none() && below.is_some_and(|below| below.starts_with('/'))
    }

    fn note(&mut self, event: &TreeEvent) {
        match &event.report {
            Report::Stalled { waited, .. } => self.stalled.push(Stall {
                path: event.path.clone(),
                waited: *waited,
                handling: None,
                reason: None,
            }),
            Report::StoppedBadly { reason, .. } => {
                let is_it = |stall: &&mut Stall| stall.path == event.path && stall.reason.is_none();
                match self.stalled.iter_mut().rev().find(is_it) {
                    Some(stall) => {
                        stall.reason = Some(reason.clone());
                        stall.handling = event.suspect.as_ref().map(|suspect| suspect.label);
                    }
                    None => self.ended_badly.push((event.path.clone(), reason.clone())),
                }
            }
            _ => {}
        }
    }
}

impl TreeLog {
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<TreeEvent> {
        self.0
            .feed
            .get_or_init(|| broadcast::channel(FEED_CAPACITY).0)
            .subscribe()
    }

    pub(crate) fn record(&self, event: TreeEvent) {
        log(&event);
        self.note_trouble(&event);
        if let Some(feed) = self.0.feed.get() {
            // Fails only if nobody listens.
            let _ = feed.send(event);
        }
    }

    /// The supervisor at this path has been told to end, or ends by itself: what goes wrong below it from now on
    /// belongs into the report of its shutdown.
    pub(crate) fn begin_shutdown(&self, path: &Arc<str>) {
        let mut watches = self.0.watches.locked();
        if watches
            .iter()
            .any(|watch| watch.path == *path && watch.took.is_none())
        {
            return;
        }
        watches.retain(|watch| watch.path != *path);
        watches.push(Watch {
            path: path.clone(),
            since: Instant::now(),
            took: None,
            stalled: Vec::new(),
            ended_badly: Vec::new(),
        });
    }

    /// The supervisor at this path has ended.
    pub(crate) fn end_shutdown(&self, path: &Arc<str>) {
        for watch in self
            .0
            .watches
            .locked()
            .iter_mut()
            .filter(|watch| watch.path == *path)
        {
            watch.took.get_or_insert_with(|| watch.since.elapsed());
        }
    }

    fn note_trouble(&self, event: &TreeEvent) {
        // Most events are no trouble, and take no lock.
        if let Report::Stalled {
            starting: false, ..
        }
        | Report::StoppedBadly { .. } = event.report
        {
            for watch in self
                .0
                .watches
                .locked()
                .iter_mut()
                .filter(|watch| watch.covers(&event.path))
            {
                watch.note(event);
            }
        }
    }

    pub(crate) fn shutdown_report(&self, path: &Arc<str>, reason: ExitReason) -> ShutdownReport {
        let watches = self.0.watches.locked();
        let watch = watches.iter().find(|watch| watch.path == *path);
        ShutdownReport {
            reason,
            took: watch.and_then(|watch| watch.took).unwrap_or_default(),
            stalled: watch.map(|watch| watch.stalled.clone()).unwrap_or_default(),
            ended_badly: watch
                .map(|watch| watch.ended_badly.clone())
                .unwrap_or_default(),
        }
    }
}

fn plural(count: u32) -> &'static str {
    match count {
        1 => "",
        _ => "s",
    }
}

/// One line for each event, with the path as a field; its level says whether anybody needs to look.
fn log(event: &TreeEvent) {
    let path = &*event.path;
    match &event.report {
        // Whoever has read of a crash at this level reads that it is over as well.
        Report::Started { generation, .. } if *generation > 1 => tracing::info!(path, "{event}"),
        Report::Started { .. } | Report::Ignored { .. } | Report::Stopped { .. } => {
            tracing::debug!(path, "{event}")
        }
        Report::Restarting { .. } | Report::AutoShutdown { .. } => tracing::info!(path, "{event}"),
        Report::Exited { reason, .. } if reason.is_orderly() => tracing::info!(path, "{event}"),
        Report::Exited { reason, .. } => {
            tracing::warn!(path, reason = reason.kind(), "{event}")
        }
        Report::StartFailed { .. } | Report::StoppedBadly { .. } | Report::Stalled { .. } => {
            tracing::warn!(path, "{event}")
        }
        // The watchdog has written it: it does so even if this supervisor is stuck as well.
        Report::Overran { .. } => {}
        Report::Hung { .. } | Report::Escalated { .. } => tracing::error!(path, "{event}"),
    }
}

pub(crate) fn state_of(mark: Mark) -> treewarden_runtime::AddressState {
    match mark {
        Mark::Restarting => treewarden_runtime::AddressState::Restarting,
        Mark::Stopped => treewarden_runtime::AddressState::Stopped,
    }
}
