//! The breaker itself.
//!
//! Rules of its shared state:
//! - `word` decides about calls. It is loaded by every call, and changed to another *state* only under the lock of `round`.
//! - Without the lock a permit of the current round is taken or returned, by compare-and-swap on the whole word; this fails if the
//!   generation has changed. A change of state may overwrite such a permit: it belonged to the generation that ends.
//! - The window is cleared before the word says closed, so that no call is counted on top of the old ones.
//! - Listeners are called after the lock is released.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::padded::Padded;
use super::permit::{Permit, Role};
use super::sync::atomic::{AtomicU64, Ordering};
use super::sync::{Mutex, lock};
use super::window::{Counts, Outcome, Window};
use super::word::Word;
use super::{BreakerConfig, Cause, State, Transition};

/// A circuit breaker, shared by reference. Built by [`BreakerConfig::build`].
#[derive(Debug)]
pub struct Breaker {
    word: Padded<AtomicU64>,
    config: BreakerConfig,
    window: Window,
    /// The first `now` that was needed; times in the word count from here.
    epoch: OnceLock<Instant>,
    round: Mutex<Round>,
}

/// What only changes of state need.
#[derive(Debug, Default)]
struct Round {
    transitions: u64,
    /// Times opened since it was closed.
    opened_in_a_row: u32,
    probes: Counts,
}

/// The call was not made. It may be tried again after `retry_after`, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// Open, forced open, or half-open with all probes under way.
    pub state: State,
    /// When the breaker will admit a probe; `None` if that depends on others.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the breaker is {}: the call was not made", self.state)?;
        match self.retry_after {
            Some(wait) => write!(f, "; try again in {wait:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejected {}

impl Breaker {
    pub(super) fn new(config: BreakerConfig, window: Window) -> Self {
        Self {
            word: Padded(AtomicU64::new(Word::CLOSED.0)),
            config,
            window,
            epoch: OnceLock::new(),
            round: Mutex::new(Round::default()),
        }
    }

    /// The state. Open stays open until a call comes after the wait.
    #[must_use]
    pub fn state(&self) -> State {
        self.load().state()
    }

    /// What the window holds at `now`.
    #[must_use]
    pub fn counts(&self, now: Instant) -> Counts {
        self.window.counts(|| self.ms(now))
    }

    /// Leave to make one call at `now`, or the reason why not.
    #[inline]
    pub fn try_acquire(&self, now: Instant) -> Result<Permit<'_>, Rejected> {
        self.try_acquire_with(|| now)
    }

    /// As [`try_acquire`](Breaker::try_acquire); `now` is called only if the time is needed. A closed breaker that does not judge slow
    /// calls does not need it.
    #[inline]
    pub fn try_acquire_with(&self, now: impl Fn() -> Instant) -> Result<Permit<'_>, Rejected> {
        let word = self.load();
        match word.state() {
            State::Closed => Ok(self.permit(word, Role::Counted, &now)),
            _ => self.try_acquire_unless_closed(word, &now),
        }
    }

    /// Rejects all calls until [`release`](Breaker::release).
    pub fn force_open(&self, now: Instant) {
        self.force(State::ForcedOpen, now);
    }

    /// Admits all calls, and counts none, until [`release`](Breaker::release).
    pub fn force_closed(&self, now: Instant) {
        self.force(State::ForcedClosed, now);
    }

    /// Ends a forced state, or any other but closed, and begins anew: closed, nothing counted. A closed breaker keeps its counts.
    pub fn release(&self, now: Instant) {
        self.force(State::Closed, now);
    }

    fn try_acquire_unless_closed(
        &self,
        mut word: Word,
        now: &dyn Fn() -> Instant,
    ) -> Result<Permit<'_>, Rejected> {
        loop {
            match word.state() {
                State::Closed => return Ok(self.permit(word, Role::Counted, &now)),
                State::ForcedClosed => return Ok(self.permit(word, Role::Uncounted, &now)),
                State::ForcedOpen => return Err(rejected(word, None)),
                State::Open => {
                    let (now, until_ms) = (now(), word.time_ms());
                    let left_ms = until_ms.saturating_sub(self.ms(now));
                    if left_ms > 0 {
                        return Err(rejected(word, Some(Duration::from_millis(left_ms))));
                    }
                    self.begin_round(word, Cause::WaitOver, now);
                }
                State::HalfOpen if word.permits() > 0 => {
                    let taken = word.take_permit().0;
                    // Acquire: a probe sees what the thread that began the round saw.
                    let exchange = self.word.compare_exchange(
                        word.0,
                        taken,
                        Ordering::AcqRel,
                        Ordering::Acquire,
                    );
                    if exchange.is_ok() {
                        return Ok(self.permit(word, Role::Probe, &now));
                    }
                }
                State::HalfOpen => {
                    let now = now();
                    if self.ms(now) < word.time_ms() {
                        return Err(rejected(word, None));
                    }
                    self.begin_round(word, Cause::ProbesLost, now);
                }
            }
            word = self.load();
        }
    }

    #[inline]
    fn permit(&self, word: Word, role: Role, now: &impl Fn() -> Instant) -> Permit<'_> {
        Permit {
            breaker: self,
            generation: word.generation(),
            role,
            started: self.config.slow.map(|_| now()),
        }
    }

    pub(super) fn is_slow(&self, started: Instant, now: Instant) -> bool {
        let after = self.config.slow.map_or(Duration::MAX, |slow| slow.after);
        now.saturating_duration_since(started) >= after
    }

    /// Counts the outcome of a call admitted while closed.
    #[inline]
    pub(super) fn record(&self, generation: u16, outcome: Outcome, now: impl Fn() -> Instant) {
        if self.load().generation() != generation {
            return;
        }
        self.window.record(outcome, || self.ms(now()));
        if outcome.is_bad() {
            self.judge(generation, now());
        }
    }

    #[cold]
    fn judge(&self, generation: u16, now: Instant) {
        let counts = self.counts(now);
        if counts.calls < u64::from(self.config.min_calls) {
            return;
        }
        if let Some(cause) = self.too_bad(counts, counts.calls) {
            self.transition(now, |word, round| {
                (word.generation() == generation).then(|| self.open(word, round, cause, now))
            });
        }
    }

    /// Counts the outcome of a probe, and decides as soon as the others can no longer change it.
    pub(super) fn record_probe(&self, generation: u16, outcome: Outcome, now: Instant) {
        self.transition(now, |word, round| {
            if word.generation() != generation {
                return None;
            }
            round.probes.calls += 1;
            round.probes.failed += u64::from(outcome.failed);
            round.probes.slow += u64::from(outcome.slow);
            let probes = u64::from(self.config.probes);
            if self.too_bad(round.probes, probes).is_some() {
                return Some(self.open(word, round, Cause::ProbesFailed, now));
            }
            (round.probes.calls >= probes).then(|| {
                round.opened_in_a_row = 0;
                (word.next(State::Closed, 0, 0), Cause::ProbesPassed)
            })
        });
    }

    /// A probe was not made after all: another call may take its place.
    pub(super) fn return_probe(&self, generation: u16) {
        let give_back = |word: u64| {
            let word = Word(word);
            (word.generation() == generation).then(|| word.return_permit().0)
        };
        // An error means that the round is over.
        let _ = self
            .word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, give_back);
    }

    /// Why `counts`, as a share of `calls`, are bad enough to open.
    fn too_bad(&self, counts: Counts, calls: u64) -> Option<Cause> {
        let reaches = |bad: u64, ratio: f64| bad > 0 && bad as f64 >= ratio * calls as f64;
        let slow = self.config.slow;
        if reaches(counts.failed, self.config.failure_ratio) {
            Some(Cause::Failures)
        } else if slow.is_some_and(|slow| reaches(counts.slow, slow.ratio)) {
            Some(Cause::SlowCalls)
        } else {
            None
        }
    }

    fn open(&self, word: Word, round: &mut Round, cause: Cause, now: Instant) -> (Word, Cause) {
        let doublings = round.opened_in_a_row.min(31);
        round.opened_in_a_row = round.opened_in_a_row.saturating_add(1);
        let open_for = self.config.open_for.saturating_mul(1 << doublings);
        let until_ms = self.ms_after(now, open_for.min(self.config.open_for_max));
        (word.next(State::Open, 0, until_ms), cause)
    }

    /// From open, or from a round whose probes were lost, unless another thread was quicker.
    fn begin_round(&self, seen: Word, cause: Cause, now: Instant) {
        self.transition(now, |word, round| {
            (word.generation() == seen.generation()).then(|| {
                round.probes = Counts::default();
                let patience_ms = self.ms_after(now, self.config.probe_patience);
                (
                    word.next(State::HalfOpen, self.config.probes, patience_ms),
                    cause,
                )
            })
        });
    }

    fn force(&self, state: State, now: Instant) {
        self.transition(now, |word, round| {
            round.opened_in_a_row = 0;
            (word.state() != state).then(|| (word.next(state, 0, 0), Cause::Operator))
        });
    }

    /// Changes the state under the lock, if `change` wants to, and tells the listener afterwards.
    fn transition(
        &self,
        now: Instant,
        change: impl FnOnce(Word, &mut Round) -> Option<(Word, Cause)>,
    ) {
        let transition = {
            let mut round = lock(&self.round);
            let before = self.load();
            let Some((after, cause)) = change(before, &mut round) else {
                return;
            };
            if after.state() == State::Closed {
                self.window.clear();
            }
            // An exchange and not a store: it takes its place in one order with the exchanges of permits.
            self.word.swap(after.0, Ordering::AcqRel);
            round.transitions += 1;
            Transition {
                number: round.transitions,
                from: before.state(),
                to: after.state(),
                cause,
                at: now,
            }
        };
        if let Some(listener) = &self.config.listener {
            listener(transition);
        }
    }

    #[inline]
    fn load(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// Milliseconds since the epoch, rounded down.
    #[inline]
    fn ms(&self, now: Instant) -> u64 {
        let epoch = *self.epoch.get_or_init(|| now);
        // Not `as_millis`, which divides 128 bits: this is on the path of every rejected call.
        let since_epoch = now.saturating_duration_since(epoch);
        since_epoch.as_secs() * 1000 + u64::from(since_epoch.subsec_millis())
    }

    /// The first whole millisecond that lies `wait` after `now` or later: never early.
    fn ms_after(&self, now: Instant, wait: Duration) -> u64 {
        let epoch = *self.epoch.get_or_init(|| now);
        let since_epoch = now.saturating_duration_since(epoch).saturating_add(wait);
        u64::try_from(since_epoch.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

fn rejected(word: Word, retry_after: Option<Duration>) -> Rejected {
    Rejected {
        state: word.state(),
        retry_after,
    }
}
