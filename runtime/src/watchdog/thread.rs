//! The thread of the watchdog.
//!
//! It looks at each post several times within its budget, and takes the time itself: run loops only count. So what it says about a
//! duration is too short by at most the time between two looks.

use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use std::time::{Duration, Instant};

use super::post::{Post, Sight};
use super::{Measure, OnOverrun, Overrun, Whereabouts};
use crate::sync_ext::MutexExt;

/// Looks within one budget.
const LOOKS: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// Also how long an address that has ended may stay on the list.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// An address that the watchdog can act upon, whatever its messages.
pub(crate) trait Guarded: Send + Sync {
    fn path(&self) -> Arc<str>;
    /// Tells its supervisor. Never blocks.
    fn report(&self, overrun: Overrun);
    /// Polls its run loop.
    fn wake(&self);
    /// Starts a thread that serves the address if `take` says that it may, reports `overrun` and then the end of the incarnation.
    /// False: it may not, or there is no thread; nothing was reported.
    fn rescue(&self, overrun: &Overrun, take: &dyn Fn() -> bool) -> bool;
}

struct Entry {
    post: Arc<Post>,
    address: Arc<dyn Guarded>,
    seen: Option<Seen>,
}

/// A handler at work, and since when.
struct Seen {
    sight: Sight,
    handler_since: Instant,
    poll_since: Instant,
    /// What was told about it.
    told: Option<(Whereabouts, Measure)>,
}

/// The watchdog of a system.
pub(crate) struct Watchdog {
    list: Mutex<List>,
    added: Condvar,
    hung: AtomicUsize,
    hung_max: usize,
}

#[derive(Default)]
struct List {
    new: Vec<Entry>,
    runs: bool,
}

impl Watchdog {
    pub(crate) fn new(hung_max: usize) -> Self {
        Self {
            list: Mutex::default(),
            added: Condvar::new(),
            hung: AtomicUsize::new(0),
            hung_max,
        }
    }

    /// Watches an address until it has ended.
    pub(crate) fn watch(
        self: &Arc<Self>,
        post: Arc<Post>,
        address: Arc<dyn Guarded>,
    ) -> std::io::Result<()> {
        let mut list = self.list.locked();
        if !list.runs {
            let watchdog = self.clone();
            std::thread::Builder::new()
                .name("treewarden watchdog".into())
                .spawn(move || watchdog.run())?;
            list.runs = true;
        }
        list.new.push(Entry {
            post,
            address,
            seen: None,
        });
        self.added.notify_one();
        Ok(())
    }

    /// How many handlers were given up and have not come back.
    pub(crate) fn hung(&self) -> usize {
        self.hung.load(Ordering::Relaxed)
    }

    /// A handler that was given up has come back.
    pub(crate) fn returned(&self) {
        self.hung.fetch_sub(1, Ordering::Relaxed);
    }

    fn run(&self) {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let pause = entries
                .iter()
                .map(|entry| entry.post.budget.limit / LOOKS)
                .min()
                .unwrap_or(PAUSE_MAX)
                .clamp(PAUSE_MIN, PAUSE_MAX);
            {
                let mut list = self.list.locked();
                if list.new.is_empty() {
                    let waited = self.added.wait_timeout(list, pause);
                    list = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
                }
                entries.append(&mut list.new);
                entries.retain(|entry| !entry.post.is_retired());
                if entries.is_empty() {
                    list.runs = false;
                    return;
                }
            }
            let now = Instant::now();
            for entry in &mut entries {
                self.look(entry, now);
            }
        }
    }

    fn look(&self, entry: &mut Entry, now: Instant) {
        let Some(sight) = entry.post.look() else {
            entry.seen = None;
            return;
        };
        let fresh = Seen {
            sight,
            handler_since: now,
            poll_since: now,
            told: None,
        };
        let seen = match &mut entry.seen {
            Some(seen) if seen.sight.handler == sight.handler => seen,
            other => {
                *other = Some(fresh);
                return;
            }
        };
        if (seen.sight.poll, seen.sight.in_poll) != (sight.poll, sight.in_poll) {
            seen.poll_since = now;
            seen.sight = sight;
        }
        let limit = entry.post.budget.limit;
        let elapsed = now - seen.handler_since;
        if elapsed < limit {
            return;
        }
        let blocks = sight.in_poll && now - seen.poll_since >= limit;
        let overrun = |whereabouts, measure| Overrun {
            label: sight.label,
            elapsed,
            whereabouts,
            measure,
            specified_at: entry.post.specified_at,
        };
        match self.act(entry, sight, blocks, &overrun) {
            Some((_, Measure::GivenUp)) => {
                log(entry, &overrun(Whereabouts::Blocking, Measure::GivenUp));
                entry.seen = None; // its successor begins anew
            }
            Some((whereabouts, measure)) => {
                let overrun = overrun(whereabouts, measure);
                log(entry, &overrun);
                entry.address.report(overrun);
                if measure == Measure::Cancelled {
                    entry.address.wake();
                }
                if let Some(seen) = &mut entry.seen {
                    seen.told = Some((whereabouts, measure));
                }
            }
            None => {}
        }
    }

    /// What is done, if there is anything to do that was not done before.
    fn act(
        &self,
        entry: &Entry,
        sight: Sight,
        blocks: bool,
        overrun: &dyn Fn(Whereabouts, Measure) -> Overrun,
    ) -> Option<(Whereabouts, Measure)> {
        let told = entry.seen.as_ref()?.told;
        match (entry.post.budget.on_overrun, blocks, told) {
            (OnOverrun::Report, _, Some(_)) => None,
            (OnOverrun::Report, true, None) => Some((Whereabouts::Blocking, Measure::Reported)),
            (OnOverrun::Report, false, None) => Some((Whereabouts::Awaiting, Measure::Reported)),
            (OnOverrun::Cancel | OnOverrun::GiveUp, _, Some((_, Measure::Cancelled))) => None,
            (OnOverrun::Cancel | OnOverrun::GiveUp, false, _) => {
                if !entry.post.cut(sight) {
                    return None;
                }
                Some((Whereabouts::Awaiting, Measure::Cancelled))
            }
            (OnOverrun::Cancel, true, Some(_)) => None,
            (OnOverrun::Cancel, true, None) => Some((Whereabouts::Blocking, Measure::Reported)),
            (OnOverrun::GiveUp, true, told) => match self.give_up(entry, sight, overrun) {
                true => Some((Whereabouts::Blocking, Measure::GivenUp)),
                // It may have come back in this moment; then there is nothing to tell.
                false if entry.post.look() != Some(sight) => None,
                false if told.is_some() => None,
                false => Some((Whereabouts::Blocking, Measure::NotGivenUp)),
            },
        }
    }

    fn give_up(
        &self,
        entry: &Entry,
        sight: Sight,
        overrun: &dyn Fn(Whereabouts, Measure) -> Overrun,
    ) -> bool {
        // This thread alone adds to the number.
        if self.hung() >= self.hung_max {
            return false;
        }
        let take = || {
            let taken = entry.post.give_up(sight);
            if taken {
                self.hung.fetch_add(1, Ordering::Relaxed);
            }
            taken
        };
        let overrun = overrun(Whereabouts::Blocking, Measure::GivenUp);
        entry.address.rescue(&overrun, &take)
    }
}

/// Also when nobody else can: the workers of the runtime may all be blocked.
fn log(entry: &Entry, overrun: &Overrun) {
    tracing::warn!(path = %entry.address.path(), "{overrun}");
}
