//! Timers of actors: messages to oneself, later.
//!
//! A timer belongs to the incarnation that made it. It is cancelled when that ends, and what it had put into the mailbox by then is not
//! handled by the next one. Its message takes a slot of its own beyond the capacity of the mailbox, one at a time, so that it neither waits
//! nor is refused, and nothing here is unbounded.
//!
//! Time is tokio's, to the millisecond, rounded up; with a paused clock nothing waits for real. Setting, cancelling and firing are O(1).
//!
//! | file | subject |
//! |---|---|
//! | `mod` | what becomes of a timer when it is due |
//! | `wheel` | where timers wait |

mod wheel;

use std::fmt;
use std::sync::{Arc, Mutex, Weak, atomic::AtomicBool};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use self::wheel::Wheels;
use self::wheel::{Due, Place, Wheel};
use crate::actor::Actor;
use crate::cell::{Belonging, Cell};
use crate::context::Context;
use crate::dead_letter::DeadLetterReason;
use crate::envelope::{Envelope, MessageContext, Slot, SlotGuard};
use crate::sync_ext::MutexExt;

/// No timer looks again sooner than this: the wheel has nothing finer, and one that is always due would never let anybody else run.
const STEP: Duration = Duration::from_millis(1);

/// What becomes of the ticks of an interval that come while an earlier one still waits in the mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTicks {
    /// They are left out. The next one comes at a multiple of the period.
    #[default]
    Skip,
    /// They are made up for: each follows when the one before has been taken out. For counting time.
    Burst,
    /// There are none: the next tick comes a period after the one before has been taken out.
    Delay,
}

/// A timer that was set. Dropping this does not cancel it.
#[derive(Clone)]
pub struct Timer {
    target: Arc<dyn Cancel>,
}

impl Timer {
    /// Its message is not handled any more, also if it is in the mailbox already; then it is a dead letter.
    ///
    /// False if there was nothing left to cancel: it was cancelled before, its last message is in a handler or was handled, or its
    /// incarnation is over.
    pub fn cancel(&self) -> bool {
        self.target.cancel()
    }

    /// Whether a message of it is still to be handled.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.target.is_active()
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_active = self.is_active();
        f.debug_struct("Timer")
            .field("is_active", &is_active)
            .finish()
    }
}

impl<A: Actor> Context<A> {
    /// Sends a message to this actor when `delay` has passed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use treewarden_runtime::{Actor, Context, Failure};
    ///
    /// struct Lamp {
    ///     is_on: bool,
    /// }
    ///
    /// enum LampMsg {
    ///     Press,
    ///     TimeIsUp,
    /// }
    ///
    /// impl Actor for Lamp {
    ///     type Msg = LampMsg;
    ///     type Error = Failure;
    ///
    ///     async fn handle(&mut self, msg: LampMsg, cx: &mut Context<Self>) -> Result<(), Failure> {
    ///         match msg {
    ///             LampMsg::Press => {
    ///                 self.is_on = true;
    ///                 cx.send_after(Duration::from_secs(60), LampMsg::TimeIsUp);
    ///             }
    ///             LampMsg::TimeIsUp => self.is_on = false,
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// This and the others panic where the actor runs on a runtime whose time is not enabled.
    pub fn send_after(&mut self, delay: Duration, message: A::Msg) -> Timer {
        self.send_at(Instant::now() + delay, message)
    }

    /// Sends a message to this actor at that time, at once if it is past.
    pub fn send_at(&mut self, at: Instant, message: A::Msg) -> Timer {
        self.set(at, Plan::Once(Some(message)))
    }

    /// Sends a message to this actor every `period`, for the first time when one has passed, until it is cancelled. `message` makes it and
    /// must not block; if it panics, the timer ends. A period below a millisecond is read as a millisecond.
    ///
    /// # Panics
    ///
    /// If the period is zero.
    pub fn send_every(
        &mut self,
        period: Duration,
        missed: MissedTicks,
        message: impl FnMut() -> A::Msg + Send + 'static,
    ) -> Timer {
        assert!(!period.is_zero(), "a period of zero has no ticks");
        let period = period.max(STEP);
        let plan = Plan::Every {
            period,
            missed,
            make: Box::new(message),
            owed: 0,
        };
        self.set(Instant::now() + period, plan)
    }

    /// Sends a message to this actor whenever it has had nothing to do for so long, until it is cancelled. The time counts from the
    /// end of the last handler; the message itself counts as something to do.
    pub fn idle_timeout(
        &mut self,
        after: Duration,
        message: impl FnMut() -> A::Msg + Send + 'static,
    ) -> Timer {
        self.cell.core.watch_idleness();
        let plan = Plan::Idle {
            after,
            make: Box::new(message),
        };
        self.set(Instant::now() + after, plan)
    }

    /// Sends a message to this actor unless another one comes first: as `receive ... after` in Erlang, or the timeout that a `gen_server`
    /// returns. The time counts from the end of this handler.
    pub fn receive_timeout(&mut self, after: Duration, message: A::Msg) -> Timer {
        self.cell.core.watch_idleness();
        let plan = Plan::Receive {
            after,
            handled: self.cell.core.handled(),
            message: Some(message),
        };
        self.set(Instant::now() + after, plan)
    }

    fn set(&mut self, due: Instant, plan: Plan<A::Msg>) -> Timer {
        let timer = Arc::new(TimerSlot {
            owner: Arc::downgrade(&self.cell),
            wheel: self.system().wheels().here(),
            incarnation: self.incarnation(),
            state: Mutex::new(State {
                plan,
                due,
                is_active: true,
                is_queued: false,
                place: None,
                belonging: None,
            }),
            is_in_wheel: AtomicBool::new(false),
        });
        // What a handler does that was given up has no effect.
        if crate::scope::is_given_up() {
            timer.state.locked().is_active = false;
            return Timer { target: timer };
        }
        let belonging = self.cell.core.own(timer.clone());
        let mut state = timer.state.locked();
        state.belonging = Some(belonging);
        timer.arm(&mut state, due);
        drop(state);
        Timer { target: timer }
    }
}

enum Plan<M> {
    Once(Option<M>),
    Every {
        period: Duration,
        missed: MissedTicks,
        make: Make<M>,
        /// Ticks that are still to be made up for.
        owed: u64,
    },
    Idle {
        after: Duration,
        make: Make<M>,
    },
    Receive {
        after: Duration,
        /// How many messages had been taken when it was set.
        handled: u64,
        message: Option<M>,
    },
}

type Make<M> = Box<dyn FnMut() -> M + Send>;

/// A timer, and the slot in the mailbox that is reserved for it.
struct TimerSlot<M> {
    owner: Weak<Cell<M>>,
    wheel: Arc<Wheel>,
    incarnation: u64,
    state: Mutex<State<M>>,
    is_in_wheel: AtomicBool,
}

struct State<M> {
    plan: Plan<M>,
    due: Instant,
    is_active: bool,
    /// A message of it lies in the mailbox.
    is_queued: bool,
    place: Option<Place>,
    /// Its key among what belongs to the incarnation.
    belonging: Option<usize>,
}

/// What to do when its time has come.
enum Next<M> {
    Deliver(M),
    WaitUntil(Instant),
    /// It goes on when its message has been taken out.
    WaitForRelease,
    End,
}

impl<M: Send + 'static> TimerSlot<M> {
    fn arm(self: &Arc<Self>, state: &mut State<M>, due: Instant) {
        state.due = due;
        state.place = Some(self.wheel.insert(self.clone(), due));
    }

    /// It has no more to do. The caller drops what is returned when it has unlocked the state.
    #[must_use]
    fn end(&self, state: &mut State<M>) -> Option<Arc<dyn Belonging>> {
        state.is_active = false;
        if let Some(place) = state.place.take() {
            self.wheel.remove(self, &place);
        }
        let key = state.belonging.take()?;
        self.owner.upgrade()?.core.disown(key)
    }

    fn next(&self, state: &mut State<M>, cell: &Cell<M>, now: Instant) -> Next<M> {
        if now < state.due {
            return Next::WaitUntil(state.due);
        }
        let due = state.due;
        match &mut state.plan {
            Plan::Once(message) => message.take().map_or(Next::End, Next::Deliver),
            Plan::Every {
                period,
                missed,
                make,
                owed,
            } => match (missed, state.is_queued) {
                (MissedTicks::Delay, true) => Next::WaitForRelease,
                (MissedTicks::Skip, true) => Next::WaitUntil(after(due, *period, now)),
                (MissedTicks::Burst, true) => {
                    *owed += 1;
                    Next::WaitUntil(due + *period)
                }
                (_, false) => made(make),
            },
            Plan::Idle { after, make } => match cell.core.idle_since() {
                _ if state.is_queued => Next::WaitUntil(now + *after),
                Some(since) if now >= since + *after => made(make),
                Some(since) => Next::WaitUntil(since + *after),
                None => Next::WaitUntil(now + *after),
            },
            Plan::Receive {
                after,
                handled,
                message,
            } => match cell.core.idle_since() {
                _ if cell.core.handled() != *handled => Next::End,
                Some(since) if now >= since + *after => {
                    message.take().map_or(Next::End, Next::Deliver)
                }
                Some(since) => Next::WaitUntil(since + *after),
                None => Next::WaitUntil(now + *after),
            },
        }
    }

    /// When it is due again, once its message is on its way.
    fn again(state: &State<M>, now: Instant) -> Option<Instant> {
        match &state.plan {
            Plan::Once(_) | Plan::Receive { .. } => None,
            Plan::Every { period, missed, .. } => match missed {
                MissedTicks::Skip => Some(after(state.due, *period, now)),
                MissedTicks::Burst => Some(state.due + *period),
                MissedTicks::Delay => None,
            },
            Plan::Idle { after, .. } => Some(now + (*after).max(STEP)),
        }
    }

    /// Puts a message into the mailbox. False: nobody is there to handle it.
    fn deliver(self: &Arc<Self>, cell: &Cell<M>, message: M) -> bool {
        let mut context = MessageContext::new();
        context.slot = Some(SlotGuard(self.clone()));
        match cell.queue.force_push(Envelope::with(message, context)) {
            Ok(()) => true,
            Err(envelope) => {
                cell.discard(envelope, DeadLetterReason::Stopped);
                false
            }
        }
    }
}

/// The first multiple of the period, counted from `due`, that is later than `now`.
fn after(due: Instant, period: Duration, now: Instant) -> Instant {
    let missed = now.saturating_duration_since(due).as_nanos() / period.as_nanos();
    let missed = u32::try_from(missed).unwrap_or(u32::MAX - 1);
    due + period * (missed + 1)
}

/// Makes a message; the function is the user's.
fn made<M>(make: &mut Make<M>) -> Next<M> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(make)) {
        Ok(message) => Next::Deliver(message),
        Err(_) => {
            tracing::error!("the function of a timer panicked; the timer ends");
            Next::End
        }
    }
}

impl<M: Send + 'static> Due for TimerSlot<M> {
    fn is_in(&self) -> &AtomicBool {
        &self.is_in_wheel
    }

    fn fire(self: Arc<Self>, now: Instant) {
        let Some(cell) = self.owner.upgrade() else {
            return;
        };
        let mut state = self.state.locked();
        if !state.is_active {
            return;
        }
        state.place = None;
        if cell.core.incarnation() != self.incarnation {
            let _belonging = self.end(&mut state);
            return drop(state);
        }
        match self.next(&mut state, &cell, now) {
            Next::Deliver(message) => {
                state.is_queued = true;
                // Otherwise it stays active until its message is taken out.
                if let Some(due) = Self::again(&state, now) {
                    self.arm(&mut state, due);
                }
                drop(state);
                if !self.deliver(&cell, message) {
                    self.cancel();
                }
            }
            Next::WaitUntil(due) => self.arm(&mut state, due.max(now + STEP)),
            Next::WaitForRelease => {}
            Next::End => {
                let belonging = self.end(&mut state);
                drop(state);
                drop(belonging);
            }
        }
    }
}

impl<M: Send + 'static> Slot for TimerSlot<M> {
    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    fn is_void(&self) -> bool {
        !self.state.locked().is_active
    }

    /// The message has left the mailbox.
    fn release(self: Arc<Self>) {
        let mut state = self.state.locked();
        state.is_queued = false;
        if !state.is_active {
            return;
        }
        let now = Instant::now();
        let owed = match &mut state.plan {
            Plan::Once(_) | Plan::Receive { .. } => {
                let belonging = self.end(&mut state);
                drop(state);
                return drop(belonging);
            }
            Plan::Every {
                period,
                missed: MissedTicks::Delay,
                ..
            } => {
                let due = now + *period;
                return self.arm(&mut state, due);
            }
            Plan::Every { owed: 0, .. } | Plan::Idle { .. } => return,
            Plan::Every { make, owed, .. } => {
                *owed -= 1;
                made(make)
            }
        };
        if let (Next::Deliver(message), Some(cell)) = (owed, self.owner.upgrade()) {
            state.is_queued = true;
            drop(state);
            self.deliver(&cell, message);
        }
    }
}

/// A [`TimerSlot`] without the type of its messages.
trait Cancel: Send + Sync {
    fn cancel(&self) -> bool;
    fn is_active(&self) -> bool;
}

impl<M: Send + 'static> Cancel for TimerSlot<M> {
    fn cancel(&self) -> bool {
        let mut state = self.state.locked();
        let was_active = state.is_active;
        let belonging = self.end(&mut state);
        drop(state);
        drop(belonging);
        was_active
    }

    fn is_active(&self) -> bool {
        self.state.locked().is_active
    }
}

impl<M: Send + 'static> Belonging for TimerSlot<M> {
    fn end(&self) {
        let mut state = self.state.locked();
        // It is off the list already.
        state.belonging = None;
        state.is_active = false;
        if let Some(place) = state.place.take() {
            self.wheel.remove(self, &place);
        }
    }
}
