//! What most addresses never have: watchers, an observer, belongings of an incarnation, a stash, an exit to be told.
//!
//! It lies in a box behind a lock, made when it is first needed. An idle actor without it pays for a word, and its end for
//! neither the box nor the lock: `marks` says what there is to know of a box that is not there.
//!
//! | who | does | then |
//! |---|---|---|
//! | whoever makes the box | sets [`mark::MADE`], under the lock | looks at `state` (see [`Cell::watch`](super::Cell::watch)) |
//! | the run loop, at the end | sets `state` | looks at [`mark::MADE`] |
//!
//! All four are sequentially consistent, so a watcher is told by one side at least. Everything else in the box is put there
//! by the supervisor before the address is hosted, or by the task that looks for it.

use std::{
    any::Any,
    ops::{Deref, DerefMut},
    sync::{Arc, MutexGuard, atomic::Ordering},
};

use slab::Slab;
use tokio::time::Instant;

use super::Core;
use crate::{
    exit::ExitReason,
    host::{Life, Observer},
    monitor::{MonitorEvent, Watcher},
    sync_ext::MutexExt,
};

/// Bits of `Core::marks`.
pub(super) mod mark {
    /// There is a box.
    pub(super) const MADE: u8 = 1;
    /// A timer wants to know since when there is nothing to do.
    pub(super) const IDLENESS_WATCHED: u8 = 1 << 1;
    /// How the last incarnation ended, if there was no box then.
    pub(super) const ENDED_NORMALLY: u8 = 1 << 2;
    pub(super) const ENDED_BY_SHUTDOWN: u8 = 1 << 3;
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Rare {
    last_exit: Option<LastExit>,
    watchers: Vec<Arc<dyn Watcher>>,
    /// Who starts its incarnations. It is let go when the address ends, because it knows the address in turn.
    observer: Option<Arc<dyn Observer>>,
    /// What ends with the incarnation.
    belongings: Slab<Arc<dyn Belonging>>,
    /// Messages that were set aside; see [`crate::stash`].
    stash: Option<Box<dyn Any + Send>>,
    /// When it last parked, and how many messages it had taken by then.
    idle: Option<(Instant, u64)>,
}

/// Something that belongs to an incarnation and ends with it: a timer, a stream.
pub(crate) trait Belonging: Send + Sync {
    /// The incarnation has ended. It is off the list.
    fn end(&self);
}

struct LastExit {
    incarnation: u64,
    reason: ExitReason,
    /// Whether the watchers know.
    told: bool,
}

/// The lock of a box that is there.
struct Made<'a>(MutexGuard<'a, Option<Box<Rare>>>);

impl Deref for Made<'_> {
    type Target = Rare;

    fn deref(&self) -> &Rare {
        self.0.as_ref().expect("a box stays once it is made")
    }
}

impl DerefMut for Made<'_> {
    fn deref_mut(&mut self) -> &mut Rare {
        self.0.as_mut().expect("a box stays once it is made")
    }
}

/// The lock of the box, at the stash.
struct StashGuard<'a>(Made<'a>);

impl Deref for StashGuard<'_> {
    type Target = Option<Box<dyn Any + Send>>;

    fn deref(&self) -> &Self::Target {
        &self.0.stash
    }
}

impl DerefMut for StashGuard<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0.stash
    }
}

impl Core {
    #[inline]
    fn is_marked(&self, mark: u8) -> bool {
        self.marks.load(Ordering::SeqCst) & mark != 0
    }

    /// The box, if there is one.
    #[inline]
    fn rare(&self) -> Option<Made<'_>> {
        self.is_marked(mark::MADE).then(|| Made(self.rare.locked()))
    }

    /// The box, made if there is none.
    #[cold]
    fn make_rare(&self) -> Made<'_> {
        let mut rare = self.rare.locked();
        if rare.is_none() {
            *rare = Some(Box::default());
            self.marks.fetch_or(mark::MADE, Ordering::SeqCst);
        }
        Made(rare)
    }

    /// Before the address is hosted.
    pub(crate) fn set_observer(&self, observer: Arc<dyn Observer>) {
        self.make_rare().observer = Some(observer);
    }

    pub(super) fn forget_observer(&self) {
        let observer = self.rare().and_then(|mut rare| rare.observer.take());
        drop(observer);
    }

    /// False: nobody starts incarnations here, so there is one alone.
    pub(super) fn report(&self, life: Life) -> bool {
        let observer = self.rare().and_then(|rare| rare.observer.clone());
        match observer {
            Some(observer) => {
                observer.on_life(life);
                true
            }
            None => false,
        }
    }

    pub(crate) fn last_exit(&self) -> Option<ExitReason> {
        let told = self
            .rare()
            .and_then(|rare| Some(rare.last_exit.as_ref()?.reason.clone()));
        match told {
            Some(reason) => Some(reason),
            None if self.is_marked(mark::ENDED_NORMALLY) => Some(ExitReason::Normal),
            None if self.is_marked(mark::ENDED_BY_SHUTDOWN) => Some(ExitReason::Shutdown),
            None => None,
        }
    }

    pub(super) fn set_last_exit(&self, incarnation: u64, reason: ExitReason) {
        let mark = match reason {
            ExitReason::Normal => Some(mark::ENDED_NORMALLY),
            ExitReason::Shutdown => Some(mark::ENDED_BY_SHUTDOWN),
            _ => None,
        };
        let rare = match (self.rare(), mark) {
            (None, Some(mark)) => {
                self.marks.fetch_or(mark, Ordering::SeqCst);
                return;
            }
            (rare, _) => rare,
        };
        let belongings = {
            let mut rare = rare.unwrap_or_else(|| self.make_rare());
            rare.last_exit = Some(LastExit {
                incarnation,
                reason,
                told: false,
            });
            rare.idle = None;
            std::mem::take(&mut rare.belongings)
        };
        self.marks
            .fetch_and(!mark::IDLENESS_WATCHED, Ordering::SeqCst);
        for (_, belonging) in belongings {
            belonging.end();
        }
    }

    /// Takes something on that ends with the incarnation.
    pub(crate) fn own(&self, belonging: Arc<dyn Belonging>) -> usize {
        self.make_rare().belongings.insert(belonging)
    }

    /// It has ended by itself.
    pub(crate) fn disown(&self, key: usize) -> Option<Arc<dyn Belonging>> {
        self.rare()?.belongings.try_remove(key)
    }

    pub(crate) fn has_stash(&self) -> bool {
        self.rare().is_some_and(|rare| rare.stash.is_some())
    }

    /// The lock of what few addresses have, at the stash.
    pub(crate) fn stash(&self) -> impl DerefMut<Target = Option<Box<dyn Any + Send>>> {
        StashGuard(self.make_rare())
    }

    /// From the next park on, until the incarnation ends.
    pub(crate) fn watch_idleness(&self) {
        // In the box lies since when, and the end of the incarnation looks there.
        let _made = self.make_rare();
        self.marks
            .fetch_or(mark::IDLENESS_WATCHED, Ordering::SeqCst);
    }

    #[inline]
    pub(super) fn is_idleness_watched(&self) -> bool {
        self.marks.load(Ordering::Relaxed) & mark::IDLENESS_WATCHED != 0
    }

    /// By the run loop, when it parks. Being woken for nothing is no interruption.
    #[cold]
    pub(super) fn note_idle(&self) {
        let handled = self.handled();
        let mut rare = self.make_rare();
        if rare.idle.is_none_or(|(_, before)| before != handled) {
            rare.idle = Some((Instant::now(), handled));
        }
    }

    /// Since when it has had nothing to do; `None` if it is busy.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let (since, handled) = self.rare()?.idle?;
        (handled == self.handled()).then_some(since)
    }

    pub(super) fn add_watcher(&self, watcher: Arc<dyn Watcher>) {
        self.make_rare().watchers.push(watcher);
    }

    /// Tells the watchers of the last exit, if they do not know yet.
    pub(crate) fn tell_down(&self, restart_follows: bool) {
        let event = {
            let Some(mut rare) = self.rare() else {
                return;
            };
            let Some(exit) = rare.last_exit.as_mut().filter(|exit| !exit.told) else {
                return;
            };
            exit.told = true;
            MonitorEvent::Down {
                incarnation: exit.incarnation,
                reason: exit.reason.clone(),
                restart_follows,
                missed: 0,
            }
        };
        self.tell_watchers(&event);
    }

    pub(super) fn tell_gone(&self) {
        if self.is_marked(mark::MADE) {
            self.tell_watchers(&MonitorEvent::Gone {
                reason: self.last_exit().unwrap_or(ExitReason::Shutdown),
                missed: 0,
            });
        }
    }

    /// Tells all watchers, and forgets those who are done.
    fn tell_watchers(&self, event: &MonitorEvent) {
        // Told outside the lock: a watcher may add a watcher.
        let Some(mut told) = self
            .rare()
            .map(|mut rare| std::mem::take(&mut rare.watchers))
        else {
            return;
        };
        told.retain(|watcher| watcher.tell(event.clone()));
        if !told.is_empty() {
            self.make_rare().watchers.append(&mut told);
        }
    }
}
