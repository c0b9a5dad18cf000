//! The queue behind a lock: for what a plain FIFO cannot do.
//!
//! It serves drop oldest, capacity by weight, and custom policies; a send and a receive cost a lock and an unlock each.
//!
//! # Rules
//!
//! * All state is under one lock. Foreign code (policy, weighing, wakers, drops of messages) never runs under it.
//! * Messages pushed by [`force_push`](Locked::force_push) sit in slots reserved elsewhere: they count neither against
//!   capacity nor weight, and are never displaced.
//! * While senders wait in line, others are refused or join the end of the line.
//! * Senders are served when half the room is free, or when the consumer pauses.
//!
//! Messages leave in one place, [`pop`](LockedConsumer::pop): that is where a policy at the exit (waiting time) belongs.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use super::claim::{Claim, Claimed};
use super::config::{QueueConfig, Weigher};
use super::policy::{MailboxLoad, OnFull, Policy};
use super::queue::{Batch, Joined, Pushed, Rejected, Stop, wake_all};
use super::signal::Signal;
use super::sync::{Mutex, lock};
use super::wait::{WaitKey, WaitList};

/// See the [module](self).
pub(super) struct Locked<T> {
    signal: Signal,
    claim: Claim,
    capacity: usize,
    policy: Policy,
    weigher: Option<Weigher<T>>,
    state: Mutex<State<T>>,
}

struct State<T> {
    entries: VecDeque<Entry<T>>,
    /// How many entries are not in a reserved slot.
    ordinary: usize,
    /// Sum over the entries.
    weight_bytes: usize,
    closed: bool,
    waiters: WaitList<Weighed<T>>,
}

struct Entry<T> {
    message: Weighed<T>,
    reserved: bool,
}

struct Weighed<T> {
    value: T,
    weight_bytes: usize,
}

impl<T> Locked<T> {
    pub(super) fn holds_memory(&self) -> bool {
        lock(&self.state).entries.capacity() > 0
    }

    pub(super) fn new(config: QueueConfig<T>) -> Self {
        let QueueConfig {
            capacity,
            policy,
            weigher,
        } = config;
        let state = State {
            entries: VecDeque::new(),
            ordinary: 0,
            weight_bytes: 0,
            closed: false,
            waiters: WaitList::new(),
        };
        Self {
            signal: Signal::new(),
            claim: Claim::new(),
            capacity,
            policy,
            weigher,
            state: Mutex::new(state),
        }
    }

    pub(super) fn signal(&self) -> &Signal {
        &self.signal
    }

    // Senders.

    pub(super) fn try_push(&self, value: T) -> Result<Pushed<T>, Rejected<T>> {
        let pushed = self.push_if_room(value)?;
        self.signal.notify();
        Ok(pushed)
    }

    fn push_if_room(&self, value: T) -> Result<Pushed<T>, Rejected<T>> {
        let message = self.weighed(value)?;
        let mut decided = match &self.policy {
            Policy::BuiltIn(overflow) => Some(overflow.decision()),
            Policy::Custom(_) => None,
        };
        loop {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(Rejected::Closed(message.value));
            }
            if state.waiters.is_empty() && self.fits(&state, message.weight_bytes) {
                state.push(message);
                return Ok(Pushed::Queued);
            }
            let decision = match (decided, &self.policy) {
                (Some(decision), _) => decision,
                (None, Policy::BuiltIn(overflow)) => overflow.decision(),
                (None, Policy::Custom(policy)) => {
                    let load = self.load(&state);
                    drop(state);
                    decided = Some(policy.on_full(&load));
                    continue;
                }
            };
            return match decision {
                OnFull::DropOldest if state.waiters.is_empty() => {
                    let displaced = self.displace(&mut state, message.weight_bytes);
                    state.push(message);
                    drop(state);
                    Ok(Pushed::Displaced(displaced))
                }
                OnFull::Wait | OnFull::DropOldest => Err(Rejected::Full(message.value)),
                OnFull::Refuse => Err(Rejected::Refused(message.value)),
                OnFull::DropNewest => Err(Rejected::Dropped(message.value)),
            };
        }
    }

    pub(super) fn force_push(&self, value: T) -> Result<(), T> {
        let message = Weighed {
            value,
            weight_bytes: 0,
        };
        {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(message.value);
            }
            state.entries.push_back(Entry {
                message,
                reserved: true,
            });
        }
        self.signal.notify();
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
            state.push(message);
        }
        self.signal.notify();
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
            self.signal.notify();
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

    #[cfg(test)]
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.state).entries.len()
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
        }
    }

    fn displace(&self, state: &mut State<T>, weight_bytes: usize) -> Vec<T> {
        let mut displaced = Vec::with_capacity(1);
        while !self.fits(state, weight_bytes) {
            let oldest = state.entries.iter().position(|entry| !entry.reserved);
            let Some(entry) = oldest.and_then(|index| state.entries.remove(index)) else {
                break;
            };
            state.ordinary -= 1;
            state.weight_bytes -= entry.message.weight_bytes;
            displaced.push(entry.message.value);
        }
        displaced
    }

    fn serve_in(&self, state: &mut State<T>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(next) = state.waiters.front()
            && self.fits(state, next.weight_bytes)
            && let Some(waiter) = state.waiters.pop_front()
        {
            state.push(waiter.value);
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

impl<T> LockedConsumer<'_, T> {
    pub(super) fn pop(&mut self) -> Option<T> {
        let locked = self.locked;
        let (value, wakers) = {
            let mut state = lock(&locked.state);
            let Entry { message, reserved } = state.entries.pop_front()?;
            if !reserved {
                state.ordinary -= 1;
                state.weight_bytes -= message.weight_bytes;
            }
            let wakers = if locked.half_free(&state) {
                locked.serve_in(&mut state)
            } else {
                Vec::new()
            };
            (message.value, wakers)
        };
        wake_all(wakers);
        Some(value)
    }

    /// Moves as many waiting messages into the queue as there is room for.
    pub(super) fn publish(&mut self) {
        let wakers = self.locked.serve_in(&mut lock(&self.locked.state));
        wake_all(wakers);
    }

    pub(super) fn park(&mut self) -> bool {
        self.publish();
        let Locked { signal, state, .. } = self.locked;
        signal.park();
        let empty = lock(state).entries.is_empty();
        if !empty {
            signal.unpark();
        }
        empty
    }

    pub(super) fn trim(&mut self) {
        let mut state = lock(&self.locked.state);
        if state.entries.is_empty() {
            state.entries = VecDeque::new();
        }
        state.waiters.trim();
    }
}

impl<T> State<T> {
    fn push(&mut self, message: Weighed<T>) {
        self.ordinary += 1;
        self.weight_bytes += message.weight_bytes;
        self.entries.push_back(Entry {
            message,
            reserved: false,
        });
    }
}
