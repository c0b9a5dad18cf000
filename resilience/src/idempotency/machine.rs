//! The keys and their answers.
//!
//! Answers expire in the order in which operations ended, because all are kept for the same time; so each call forgets what has
//! expired from the front of one queue, and no task sweeps.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::{IdempotencyConfig, IdempotencyKey};
use crate::sync_ext::MutexExt;

/// A bounded memory of operations and their answers. Cheap to clone; clones share it. Built by [`IdempotencyConfig::build`].
///
/// An answer is cloned for each repetition, without a lock.
pub struct IdempotencyStore<A>(Arc<Shared<A>>);

struct Shared<A> {
    config: IdempotencyConfig,
    memory: Mutex<Memory<A>>,
}

struct Memory<A> {
    entries: HashMap<IdempotencyKey, Entry<A>>,
    /// Ended operations, oldest first, by key and run. An entry that was forgotten and begun again has another run.
    ended: VecDeque<(Instant, IdempotencyKey, u64)>,
    /// Interrupted since the last call that knew the time; they begin to age with the next.
    interrupted: Vec<(IdempotencyKey, u64)>,
    runs: u64,
}

struct Entry<A> {
    request: u64,
    run: u64,
    state: State<A>,
}

enum State<A> {
    UnderWay,
    Done(Arc<A>),
    Interrupted,
}

/// What is known of a key.
#[derive(Debug)]
pub enum Begin<A> {
    /// Nothing: do it, and say how it ended.
    New(Operation<A>),
    /// It was done; this came out.
    Done(A),
    /// It is being done. Come back later for the answer.
    UnderWay,
    /// It was begun, and nobody knows whether it was done.
    Interrupted,
    /// The key was used for another request. Nothing is done.
    Mismatch,
    /// No key can be remembered until one expires. Nothing is done; shed the request.
    Full,
}

impl<A: Clone> IdempotencyStore<A> {
    pub(super) fn new(config: IdempotencyConfig) -> Self {
        Self(Arc::new(Shared {
            config,
            memory: Mutex::new(Memory {
                entries: HashMap::new(),
                ended: VecDeque::new(),
                interrupted: Vec::new(),
                runs: 0,
            }),
        }))
    }

    /// What is known of `key` at `now`; if nothing is, it is under way from now on. `request` tells requests apart: a hash of all that
    /// matters in them.
    pub fn begin(&self, key: IdempotencyKey, request: u64, now: Instant) -> Begin<A> {
        let expired;
        let answer = {
            let mut memory = self.0.memory.locked();
            expired = memory.expire(&self.0.config, now);
            match memory.entries.get(&key) {
                Some(entry) if entry.request != request => return Begin::Mismatch,
                Some(entry) => match &entry.state {
                    State::UnderWay => return Begin::UnderWay,
                    State::Interrupted => return Begin::Interrupted,
                    State::Done(answer) => answer.clone(),
                },
                None if memory.entries.len() >= self.0.config.keys_max => return Begin::Full,
                None => {
                    memory.runs += 1;
                    let run = memory.runs;
                    let state = State::UnderWay;
                    memory.entries.insert(
                        key,
                        Entry {
                            request,
                            run,
                            state,
                        },
                    );
                    return Begin::New(Operation {
                        store: self.clone(),
                        key,
                        run,
                        ended: false,
                    });
                }
            }
        };
        drop(expired);
        Begin::Done(A::clone(&answer))
    }

    /// Forgets a key whatever became of it; true if it was known. For an operator who found out that an interrupted operation was not
    /// done. One that is under way goes on, and its answer is not remembered. Takes time with the number of keys.
    pub fn forget(&self, key: IdempotencyKey) -> bool {
        let mut memory = self.0.memory.locked();
        memory.ended.retain(|(_, ended, _)| *ended != key);
        memory
            .interrupted
            .retain(|(interrupted, _)| *interrupted != key);
        let entry = memory.entries.remove(&key);
        drop(memory);
        entry.is_some()
    }

    /// Keys remembered, those expired since the last call included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.memory.locked().entries.len()
    }

    /// True if no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<A> IdempotencyStore<A> {
    /// Ends a run: with an answer at some time, or by an interruption, which knows no time.
    fn end(&self, key: IdempotencyKey, run: u64, answer: Option<(Arc<A>, Instant)>) {
        let mut memory = self.0.memory.locked();
        let Some(entry) = memory
            .entries
            .get_mut(&key)
            .filter(|entry| entry.run == run)
        else {
            // Forgotten meanwhile. An answer is dropped after the lock, being an argument.
            return;
        };
        match answer {
            Some((answer, now)) => {
                entry.state = State::Done(answer);
                memory.ends(key, run, now);
            }
            None => {
                entry.state = State::Interrupted;
                memory.interrupted.push((key, run));
            }
        }
    }
}

impl<A> Memory<A> {
    /// From now on the entry ages.
    fn ends(&mut self, key: IdempotencyKey, run: u64, now: Instant) {
        // Two threads may end out of order by a hair; expiry relies on sorted order.
        let at = self.ended.back().map_or(now, |(last, ..)| now.max(*last));
        self.ended.push_back((at, key, run));
    }

    /// Takes out what has expired, to be dropped without the lock.
    fn expire(&mut self, config: &IdempotencyConfig, now: Instant) -> Vec<Entry<A>> {
        for (key, run) in std::mem::take(&mut self.interrupted) {
            self.ends(key, run, now);
        }
        let mut expired = Vec::new();
        while let Some(&(at, key, run)) = self.ended.front() {
            if now.saturating_duration_since(at) < config.keep {
                break;
            }
            self.ended.pop_front();
            if self.entries.get(&key).is_some_and(|entry| entry.run == run) {
                expired.extend(self.entries.remove(&key));
            }
        }
        expired
    }
}

impl<A> Clone for IdempotencyStore<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A> fmt::Debug for IdempotencyStore<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.memory.locked().entries.len();
        f.debug_struct("IdempotencyStore")
            .field("config", &self.0.config)
            .field("keys", &keys)
            .finish()
    }
}

/// An operation under way. End it with [`finish`](Operation::finish) or [`not_done`](Operation::not_done).
///
/// Dropped without either, as by a panic, it counts as interrupted.
#[must_use = "an operation that is dropped counts as interrupted"]
#[derive(Debug)]
pub struct Operation<A> {
    store: IdempotencyStore<A>,
    key: IdempotencyKey,
    run: u64,
    ended: bool,
}

impl<A> Operation<A> {
    /// It was done, and this is the answer for all repetitions: an error, too, if it is the final one.
    pub fn finish(mut self, answer: A, now: Instant) {
        self.ended = true;
        self.store
            .end(self.key, self.run, Some((Arc::new(answer), now)));
    }

    /// It was certainly not done: a repetition may run.
    pub fn not_done(mut self) {
        self.ended = true;
        let mut memory = self.store.0.memory.locked();
        let ours = memory
            .entries
            .get(&self.key)
            .is_some_and(|entry| entry.run == self.run);
        // Under way, it holds no answer whose drop would matter here.
        if ours {
            memory.entries.remove(&self.key);
        }
    }
}

impl<A> Drop for Operation<A> {
    fn drop(&mut self) {
        if !self.ended {
            self.store.end(self.key, self.run, None);
        }
    }
}
