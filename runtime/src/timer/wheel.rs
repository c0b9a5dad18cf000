//! Where timers wait: one wheel for each tokio runtime on which actors of a system have timers.
//!
//! It is tokio-util's `DelayQueue`, a hashed hierarchical wheel (Varghese and Lauck, 1987): setting, cancelling and firing are O(1). A task
//! turns it while there is anything in it. A wheel belongs to one runtime, because its clock does: when that is dropped, so are the actors
//! that wait for it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
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

    /// Whether it is in a wheel. Changed with the wheel locked, and by the wheel alone: a place that was left is given to others, and must
    /// not be emptied by who had it before.
    fn is_in(&self) -> &AtomicBool;
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
    /// How often the wheel was emptied because its runtime was dropped.
    emptied: u64,
}

/// A place in a wheel.
pub(super) struct Place {
    key: delay_queue::Key,
    emptied: u64,
}

impl Wheel {
    pub(super) fn insert(self: &Arc<Self>, what: Arc<dyn Due>, due: Instant) -> Place {
        let mut state = self.state.locked();
        let at = due.min(Instant::now() + WAIT_MAX);
        what.is_in().store(true, Ordering::Relaxed);
        let place = Place {
            key: state.queue.insert_at(what, at),
            emptied: state.emptied,
        };
        let was_turned = std::mem::replace(&mut state.is_turned, true);
        // A runtime that shuts down drops the task at once, and its drop takes the lock.
        drop(state);
        if !was_turned {
            tokio::spawn(turn(Turned(Some(self.clone()))));
        }
        place
    }

    /// Takes `what` out of its place, if it is still there.
    pub(super) fn remove(&self, what: &dyn Due, place: &Place) {
        let mut state = self.state.locked();
        let is_there = what.is_in().swap(false, Ordering::Relaxed);
        // Dropped after the lock: the message of a timer is the user's.
        let _removed = match is_there && place.emptied == state.emptied {
            true => state.queue.try_remove(&place.key),
            false => None,
        };
        drop(state);
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
        state.emptied += 1;
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
                    Poll::Ready(Some(expired)) => {
                        let what = expired.into_inner();
                        what.is_in().store(false, Ordering::Relaxed);
                        due.push(what);
                    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Says when it is due.
    #[derive(Default)]
    struct Bell {
        is_in: AtomicBool,
        rang: AtomicBool,
    }

    impl Due for Bell {
        fn fire(self: Arc<Self>, _: Instant) {
            self.rang.store(true, Ordering::Relaxed);
        }

        fn is_in(&self) -> &AtomicBool {
            &self.is_in
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_left_the_wheel_cannot_take_another_out_of_the_same_place() {
        let wheel = Wheels::default().here();
        let (first, second) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let soon = Instant::now() + Duration::from_millis(1);
        let place = wheel.insert(first.clone(), soon);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(first.rang.load(Ordering::Relaxed));
        // The queue gives free places to the next.
        let later = Instant::now() + Duration::from_secs(1);
        let place_of_second = wheel.insert(second.clone(), later);
        assert_eq!(
            place.key, place_of_second.key,
            "otherwise this shows nothing"
        );
        wheel.remove(&*first, &place);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(second.rang.load(Ordering::Relaxed));
    }

    #[test]
    fn a_timer_that_is_set_while_its_runtime_shuts_down_is_dropped() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("one thread");
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        let (wheel, timer) = (Wheels::default().here(), Arc::new(Bell::default()));
        let place = wheel.insert(timer.clone(), Instant::now() + Duration::from_secs(1));
        assert_eq!(Arc::strong_count(&timer), 1);
        wheel.remove(&*timer, &place);
        assert!(!timer.rang.load(Ordering::Relaxed));
    }
}
