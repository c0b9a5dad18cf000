//! The queue behind a lock: for what a plain FIFO cannot do.
//!
//! It serves drop oldest, capacity by weight, custom policies, shedding by waiting time and fairness by key; a send and a
//! receive cost a lock and an unlock each. In which order messages wait, and who gives way, is the business of its
//! [`Line`].
//!
//! # Rules
//!
//! * All state is under one lock. Foreign code (policy, weighing, wakers, drops of messages) never runs under it.
//! * Messages pushed by [`force_push`](Locked::force_push) sit in slots reserved elsewhere: they count neither against
//!   capacity nor weight, and are never displaced.
//! * While senders wait in line, others are refused or join the end of the line.
//! * Senders are served when half the room is free, or when the consumer pauses. Under the lines that shed nobody waits.
//! * What is shed leaves by [`pop`](LockedConsumer::pop), or as displaced by a newcomer, with its sentence written on it.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::ptr::NonNull;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::claim::{Claim, Claimed};
use super::config::{KeyOf, QueueConfig, Reading, Weigher};
use super::fair::FairLine;
use super::line::{ArrivalLine, GivingWay, Leaving, Line, Mark, Weighed};
use super::place::Place;
use super::policy::{ByClass, MailboxLoad, OnFull, Policy};
use super::queue::{Batch, Joined, Pushed, Rejected, Stop, wake_all};
use super::signal::Signal;
use super::sync::atomic::{AtomicBool, Ordering::*};
use super::sync::{Mutex, lock};
use super::wait::{WaitKey, WaitList};

/// See the [module](self).
pub(super) struct Locked<T> {
    signal: Signal,
    /// The consumer sleeps, or is about to look whether it may.
    parked: AtomicBool,
    claim: Claim,
    capacity: usize,
    policy: Policy,
    weigher: Option<Weigher<T>>,
    key_of: Option<KeyOf<T>>,
    reading: Reading<T>,
    state: Mutex<State<T>>,
    /// The next message, if the consumer has looked at it.
    next: Place<T>,
}

struct State<T> {
    line: Line<T>,
    /// How many messages are not in a reserved slot.
    ordinary: usize,
    /// Sum over the messages.
    weight_bytes: usize,
    closed: bool,
    waiters: WaitList<Weighed<T>>,
    refused: ByClass,
    shed: ByClass,
}

impl<T> Locked<T> {
    pub(super) fn holds_memory(&self) -> bool {
        lock(&self.state).line.holds_memory()
    }

    pub(super) fn new(config: QueueConfig<T>) -> Self {
        let QueueConfig {
            capacity,
            policy,
            weigher,
            key_of,
            reading,
        } = config;
        let line = match policy {
            Policy::BuiltIn(_) | Policy::Custom(_) => Line::Arrival(ArrivalLine::new()),
            Policy::Shed(shedding) => shedding.line(),
            Policy::Fair => {
                let weight_bytes_max = weigher.as_ref().map(|weigher| weigher.weight_bytes_max);
                Line::Fair(FairLine::new(weight_bytes_max))
            }
        };
        let state = State {
            line,
            ordinary: 0,
            weight_bytes: 0,
            closed: false,
            waiters: WaitList::new(),
            refused: ByClass::default(),
            shed: ByClass::default(),
        };
        Self {
            signal: Signal::new(),
            parked: AtomicBool::new(false),
            claim: Claim::new(),
            capacity,
            policy,
            weigher,
            key_of,
            reading,
            state: Mutex::new(state),
            next: Place::new(),
        }
    }

    pub(super) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// After a message was pushed under the lock: wakes the consumer if it is parked.
    fn notify(&self) {
        if self.parked.load(Relaxed) && self.parked.swap(false, AcqRel) {
            self.signal.wake();
        }
    }

    // Senders.

    pub(super) fn try_push(&self, value: T) -> Result<Pushed<T>, Rejected<T>> {
        let pushed = self.push_if_room(value)?;
        self.notify();
        Ok(pushed)
    }

    fn push_if_room(&self, value: T) -> Result<Pushed<T>, Rejected<T>> {
        let message = self.weighed(value)?;
        let mut decided = match &self.policy {
            Policy::BuiltIn(overflow) => Some(overflow.decision()),
            Policy::Custom(_) => None,
            Policy::Shed(_) | Policy::Fair => return self.push_if_others_give_way(message),
        };
        loop {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(Rejected::Closed(message.value));
            }
            if state.waiters.is_empty() && self.fits(&state, message.weight_bytes) {
                state.push(message, Mark::Plain);
                return Ok(Pushed::Queued);
            }
            let decision = match (decided, &self.policy) {
                (None, Policy::Custom(policy)) => {
                    let load = self.load(&state);
                    drop(state);
                    decided = Some(policy.on_full(&load));
                    continue;
                }
                (decided, _) => decided.unwrap_or(OnFull::Refuse),
            };
            return match decision {
                OnFull::DropOldest if state.waiters.is_empty() => {
                    let displaced = self.displace(&mut state, Mark::Plain, message.weight_bytes);
                    state.push(message, Mark::Plain);
                    drop(state);
                    Ok(Pushed::Displaced(displaced))
                }
                OnFull::Wait | OnFull::DropOldest => Err(Rejected::Full(message.value)),
                OnFull::Refuse => Err(Rejected::Refused(message.value)),
                OnFull::DropNewest => Err(Rejected::Dropped(message.value)),
            };
        }
    }

    /// For the lines that choose: the newcomer, or those that matter less, give way.
    fn push_if_others_give_way(&self, message: Weighed<T>) -> Result<Pushed<T>, Rejected<T>> {
        let mark = self.mark(&message.value);
        let criticality = (self.reading.criticality_of)(&message.value);
        let mut state = lock(&self.state);
        if state.closed {
            return Err(Rejected::Closed(message.value));
        }
        let has_room = self.fits(&state, message.weight_bytes);
        let could_have_room = match state.line.giving_way(mark, message.weight_bytes, has_room) {
            GivingWay::Newcomer => false,
            GivingWay::Others { .. } if has_room => true,
            GivingWay::Others {
                count,
                weight_bytes,
            } => {
                let free_bytes = self.weight_bytes_max() - state.weight_bytes;
                state.ordinary.saturating_sub(count) < self.capacity
                    && message.weight_bytes <= free_bytes.saturating_add(weight_bytes)
            }
        };
        if !could_have_room {
            state.refused.add(criticality);
            drop(state);
            return Err(Rejected::Refused(message.value));
        }
        let displaced = self.displace(&mut state, mark, message.weight_bytes);
        for value in &displaced {
            state.shed.add((self.reading.criticality_of)(value));
        }
        state.push(message, mark);
        drop(state);
        if displaced.is_empty() {
            return Ok(Pushed::Queued);
        }
        let displaced = displaced.into_iter().map(|value| self.sentenced(value));
        Ok(Pushed::Displaced(displaced.collect()))
    }

    /// Writes on a message that it is to be discarded, and why.
    fn sentenced(&self, mut value: T) -> T {
        (self.reading.sentence)(&mut value, self.policy.sentence());
        value
    }

    fn mark(&self, value: &T) -> Mark {
        match (&self.policy, &self.key_of) {
            (Policy::Shed(_), _) => {
                let criticality = (self.reading.criticality_of)(value);
                Mark::Stamped((self.reading.now)(), criticality)
            }
            (Policy::Fair, Some(key_of)) => {
                let mut hasher = DefaultHasher::new();
                key_of(value, &mut hasher);
                Mark::Keyed(hasher.finish())
            }
            _ => Mark::Plain,
        }
    }

    pub(super) fn force_push(&self, value: T) -> Result<(), T> {
        {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(value);
            }
            state.line.push_reserved(value);
        }
        self.notify();
        Ok(())
    }

    pub(super) fn push_all(&self, values: &mut VecDeque<T>) -> Batch<T> {
        let mut batch = Batch {
            pushed: 0,
            displaced: Vec::new(),
            stop: None,
        };
        while let Some(value) = values.pop_front() {
            let (stop, value) = match self.try_push(value) {
                Ok(pushed) => {
                    batch.pushed += 1;
                    if let Pushed::Displaced(displaced) = pushed {
                        batch.displaced.extend(displaced);
                    }
                    continue;
                }
                Err(rejected) => Stop::split(rejected),
            };
            values.push_front(value);
            batch.stop = Some(stop);
            break;
        }
        batch
    }

    /// Enters the line, unless there is room by now. Does not ask the policy again.
    pub(super) fn join_wait(&self, value: T, waker: &Waker) -> Result<Joined, Rejected<T>> {
        let message = self.weighed(value)?;
        {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(Rejected::Closed(message.value));
            }
            if !state.waiters.is_empty() || !self.fits(&state, message.weight_bytes) {
                return Ok(Joined::Waiting(state.waiters.join(message, waker)));
            }
            state.push(message, Mark::Plain);
        }
        self.notify();
        Ok(Joined::Queued)
    }

    pub(super) fn poll_wait(&self, key: &WaitKey, waker: &Waker) -> Poll<Result<(), T>> {
        let (poll, _replaced) = lock(&self.state).waiters.poll(key, waker);
        poll.map_err(|message| message.value)
    }

    pub(super) fn cancel_wait(&self, key: &WaitKey) -> Option<T> {
        let ((message, _waker), wakers) = {
            let mut state = lock(&self.state);
            let cancelled = state.waiters.cancel(key)?;
            // A heavy message may have held up lighter ones behind it.
            (cancelled, self.serve_in(&mut state))
        };
        if !wakers.is_empty() {
            self.notify();
            wake_all(wakers);
        }
        Some(message.value)
    }

    // Life.

    pub(super) fn close(&self) {
        let wakers = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.waiters.return_all()
        };
        wake_all(wakers);
    }

    pub(super) fn reopen(&self) {
        lock(&self.state).closed = false;
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.state).line.len()
    }

    pub(super) fn consume(&self) -> Option<LockedConsumer<'_, T>> {
        let claimed = self.claim.take()?;
        Some(LockedConsumer {
            locked: self,
            _claimed: claimed,
        })
    }

    // Decisions.

    fn weighed(&self, value: T) -> Result<Weighed<T>, Rejected<T>> {
        let Some(weigher) = &self.weigher else {
            return Ok(Weighed {
                value,
                weight_bytes: 0,
            });
        };
        let weight_bytes = (weigher.weigh)(&value);
        if weight_bytes > weigher.weight_bytes_max {
            return Err(Rejected::TooHeavy(value));
        }
        Ok(Weighed {
            value,
            weight_bytes,
        })
    }

    fn weight_bytes_max(&self) -> usize {
        self.weigher
            .as_ref()
            .map_or(usize::MAX, |weigher| weigher.weight_bytes_max)
    }

    fn fits(&self, state: &State<T>, weight_bytes: usize) -> bool {
        state.ordinary < self.capacity
            && weight_bytes <= self.weight_bytes_max() - state.weight_bytes
    }

    /// Half of the room by count and by weight is free, so that senders are woken in bunches. An empty queue is, too.
    fn half_free(&self, state: &State<T>) -> bool {
        state.ordinary <= self.capacity / 2 && state.weight_bytes <= self.weight_bytes_max() / 2
    }

    fn load(&self, state: &State<T>) -> MailboxLoad {
        MailboxLoad {
            len: state.ordinary,
            capacity: self.capacity,
            weight_bytes: state.weight_bytes,
            weight_bytes_max: self.weight_bytes_max(),
            senders_waiting: state.waiters.len(),
            oldest_waited: state
                .line
                .oldest_since()
                .map(|since| (self.reading.now)().saturating_duration_since(since)),
            refused: state.refused,
            shed: state.shed,
        }
    }

    pub(super) fn current_load(&self) -> MailboxLoad {
        self.load(&lock(&self.state))
    }

    /// Makes room, if need be and as far as others give way.
    fn displace(&self, state: &mut State<T>, mark: Mark, weight_bytes: usize) -> Vec<T> {
        let mut displaced = Vec::new();
        while !self.fits(state, weight_bytes)
            && let Some(message) = state.line.displace_for(mark)
        {
            state.ordinary -= 1;
            state.weight_bytes -= message.weight_bytes;
            displaced.push(message.value);
        }
        displaced
    }

    /// The time, for the lines that are told it.
    fn now(&self) -> Option<Instant> {
        matches!(self.policy, Policy::Shed(_)).then(self.reading.now)
    }

    fn serve_in(&self, state: &mut State<T>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(next) = state.waiters.front()
            && self.fits(state, next.weight_bytes)
            && let Some(waiter) = state.waiters.pop_front()
        {
            state.push(waiter.value, Mark::Plain);
            wakers.push(waiter.waker);
        }
        wakers
    }
}

/// The consumer.
pub(super) struct LockedConsumer<'a, T> {
    locked: &'a Locked<T>,
    _claimed: Claimed<'a>,
}

// Never inlined: these lie beside the FIFO's in one `match`, which is on everybody's way.
impl<T> LockedConsumer<'_, T> {
    /// Lets `look` see the next message, which stays the next one; if `look` panics it is dropped.
    #[inline(never)]
    #[allow(unsafe_code)]
    pub(super) fn look<R>(&mut self, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut value = self.pop()?;
        let looked = look(&mut value);
        // SAFETY: we are the consumer.
        unsafe { self.locked.next.put(value) };
        Some(looked)
    }

    /// Where the message lies that was looked at, and is the caller's now. It stays there until the next look.
    #[inline(never)]
    #[allow(unsafe_code)]
    pub(super) fn pass(&mut self) -> Option<NonNull<T>> {
        // SAFETY: we are the consumer.
        unsafe { self.locked.next.pass() }
    }

    #[inline(never)]
    #[allow(unsafe_code)]
    pub(super) fn pop(&mut self) -> Option<T> {
        if let Some(at) = self.pass() {
            // SAFETY: it is ours, and read once.
            return Some(unsafe { at.read() });
        }
        let locked = self.locked;
        let now = locked.now();
        let (value, is_shed, wakers) = {
            let mut state = lock(&locked.state);
            let (value, is_shed) = state.pop(now)?;
            if is_shed {
                state.shed.add((locked.reading.criticality_of)(&value));
            }
            let wakers = if locked.half_free(&state) {
                locked.serve_in(&mut state)
            } else {
                Vec::new()
            };
            (value, is_shed, wakers)
        };
        wake_all(wakers);
        Some(if is_shed {
            locked.sentenced(value)
        } else {
            value
        })
    }

    /// Moves as many waiting messages into the queue as there is room for.
    #[inline(never)]
    pub(super) fn publish(&mut self) {
        let wakers = self.locked.serve_in(&mut lock(&self.locked.state));
        wake_all(wakers);
    }

    #[inline(never)]
    pub(super) fn park(&mut self) -> bool {
        self.publish();
        let Locked { parked, state, .. } = self.locked;
        let state = lock(state);
        let empty = state.line.is_empty();
        // Under the lock: whoever pushes a message after this look sees the flag.
        parked.swap(empty, AcqRel);
        drop(state);
        empty
    }

    /// A sender that misses this only wakes in vain.
    pub(super) fn unpark(&mut self) {
        let parked = &self.locked.parked;
        if parked.load(Relaxed) {
            parked.swap(false, AcqRel);
        }
    }

    pub(super) fn trim(&mut self) {
        let mut state = lock(&self.locked.state);
        if state.line.is_empty() {
            state.line.trim();
        }
        state.waiters.trim();
    }
}

impl<T> State<T> {
    fn push(&mut self, message: Weighed<T>, mark: Mark) {
        self.ordinary += 1;
        self.weight_bytes += message.weight_bytes;
        self.line.push(message, mark);
    }

    /// The next message, and whether it is to be discarded.
    fn pop(&mut self, now: Option<Instant>) -> Option<(T, bool)> {
        let (message, is_shed) = match self.line.pop(now)? {
            Leaving::Served(message) => (message, false),
            Leaving::Shed(message) => (message, true),
            Leaving::Reserved(value) => return Some((value, false)),
        };
        self.ordinary -= 1;
        self.weight_bytes -= message.weight_bytes;
        Some((message.value, is_shed))
    }
}
