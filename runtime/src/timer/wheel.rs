//! Where timers wait: one wheel for each tokio runtime on which actors of a system have timers.
//!
//! It is tokio-util's `DelayQueue`, a hashed hierarchical wheel (Varghese and Lauck, 1987): setting, cancelling and firing are O(1). A task
//! turns it while there is anything in it. A wheel belongs to one runtime, because its clock does: when that is dropped, so are the actors
//! that wait for it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::time::Instant;
use tokio_util::time::{DelayQueue, delay_queue};

use crate::sync_ext::MutexExt;

/// The wheel's own limit is about two years; what is due later fires early, and is put in again.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Something that becomes due.
pub(super) trait Due: Send + Sync {
    /// Its time may have come. It puts itself in again if it is to be due once more.
    fn fire(self: Arc<Self>, now: Instant);
}

/// The wheels of one system.
#[derive(Default)]
pub(crate) struct Wheels {
    of_runtimes: Mutex<HashMap<Id, Arc<Wheel>>>,
}

impl Wheels {
    /// That of the runtime that the caller runs on.
    pub(super) fn here(&self) -> Arc<Wheel> {
        let runtime = Handle::current().id();
        let mut wheels = self.of_runtimes.locked();
        // Those of runtimes that are gone.
        if !wheels.contains_key(&runtime) {
            wheels.retain(|_, wheel| wheel.state.locked().is_turned);
        }
        wheels.entry(runtime).or_default().clone()
    }
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Wheel {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: DelayQueue<Arc<dyn Due>>,
    is_turned: bool,
}

/// A place in a wheel.
pub(super) struct Place(delay_queue::Key);

impl Wheel {
    pub(super) fn insert(self: &Arc<Self>, what: Arc<dyn Due>, due: Instant) -> Place {
        let mut state = self.state.locked();
        let at = due.min(Instant::now() + WAIT_MAX);
        let place = Place(state.queue.insert_at(what, at));
        if !state.is_turned {
            state.is_turned = true;
            tokio::spawn(turn(Turned(Some(self.clone()))));
        }
        place
    }

    /// Takes it out, if it is still there.
    pub(super) fn remove(&self, place: &Place) {
        // Dropped after the lock: the message of a timer is the user's.
        let _removed = self.state.locked().queue.try_remove(&place.0);
    }
}

/// Held by the task that turns a wheel, until there is nothing left in it.
struct Turned(Option<Arc<Wheel>>);

impl Drop for Turned {
    fn drop(&mut self) {
        // With its runtime. Who waited for a timer is dropped as well.
        let Some(wheel) = self.0.take() else { return };
        let mut state = wheel.state.locked();
        state.is_turned = false;
        let _left = std::mem::take(&mut state.queue);
        drop(state);
    }
}

async fn turn(mut turned: Turned) {
    let mut due = Vec::new();
    while let Some(wheel) = &turned.0 {
        let is_empty = poll_fn(|cx| {
            let mut state = wheel.state.locked();
            loop {
                match state.queue.poll_expired(cx) {
                    Poll::Ready(Some(expired)) => due.push(expired.into_inner()),
                    Poll::Ready(None) if due.is_empty() => return Poll::Ready(true),
                    Poll::Pending if due.is_empty() => return Poll::Pending,
                    Poll::Ready(None) | Poll::Pending => return Poll::Ready(false),
                }
            }
        })
        .await;
        if is_empty {
            let mut state = wheel.state.locked();
            // Somebody may have put something in since.
            if state.queue.is_empty() {
                state.is_turned = false;
                drop(state);
                turned.0 = None;
                return;
            }
        }
        let now = Instant::now();
        for what in due.drain(..) {
            what.fire(now);
        }
    }
}
