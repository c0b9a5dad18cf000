//! Setting messages aside until the actor is ready for them.
//!
//! A state machine that cannot handle a message yet stashes it, and unstashes all when its state has changed: they are then handled in the
//! order in which they had come, before anything that waits in the mailbox. What is stashed lies with the address and not in the instance,
//! so that its fate at a restart can be chosen. The mailbox does not count it; the stash has a bound of its own.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;

use crate::actor::Actor;
use crate::cell::{Cell, order};
use crate::context::Context;
use crate::dead_letter::DeadLetterReason;
use crate::envelope::Envelope;
use crate::scope;

/// How many messages a stash holds, unless said otherwise.
const CAPACITY: usize = 1024;

/// What a stash is like; see [`Context::set_stash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stash {
    capacity: usize,
    is_kept: bool,
}

impl Stash {
    /// One that holds so many messages. When its incarnation fails, they become dead letters.
    #[must_use]
    pub fn bounded(capacity: usize) -> Self {
        Self {
            capacity,
            is_kept: false,
        }
    }

    /// When the incarnation ends they are kept, and handled by the next one before anything else. A message of the stash that crashes
    /// the handler is gone, like any other.
    #[must_use]
    pub fn kept_across_restarts(mut self) -> Self {
        self.is_kept = true;
        self
    }
}

impl Default for Stash {
    /// 1024 messages, not kept.
    fn default() -> Self {
        Self::bounded(CAPACITY)
    }
}

/// The stash is full. The message is handed back; its reply, if it has one, is still open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StashFull<M> {
    /// The message.
    pub message: M,
    /// How many it holds.
    pub capacity: usize,
}

impl<M> fmt::Debug for StashFull<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StashFull")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl<M> fmt::Display for StashFull<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the stash is full with {} messages; the message was not stashed",
            self.capacity
        )
    }
}

impl<M> std::error::Error for StashFull<M> {}

impl<A: Actor> Context<A> {
    /// Says what this actor's stash is like: in [`Actor::started`], usually. What is in it stays, also beyond a smaller bound.
    pub fn set_stash(&mut self, stash: Stash) {
        if !scope::is_given_up() {
            self.cell.with_stash(|stashed| stashed.config = stash);
        }
    }

    /// Sets the message that is being handled aside. What travelled with it (deadline, receipt) waits with it: it can expire, and
    /// it counts as handled when it has been handled.
    ///
    /// ```
    /// use treewarden_runtime::{Actor, Context, Failure};
    ///
    /// /// Writes when it is connected, and keeps what it is to write until then.
    /// struct Writer {
    ///     is_connected: bool,
    /// }
    ///
    /// enum WriterMsg {
    ///     Connected,
    ///     Write(String),
    /// }
    ///
    /// impl Actor for Writer {
    ///     type Msg = WriterMsg;
    ///     type Error = Failure;
    ///
    ///     async fn handle(&mut self, msg: WriterMsg, cx: &mut Context<Self>) -> Result<(), Failure> {
    ///         match msg {
    ///             WriterMsg::Connected => {
    ///                 self.is_connected = true;
    ///                 cx.unstash();
    ///             }
    ///             early @ WriterMsg::Write(_) if !self.is_connected => cx.stash(early)?,
    ///             WriterMsg::Write(text) => println!("{text}"),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StashFull`] hands it back.
    pub fn stash(&mut self, message: A::Msg) -> Result<(), StashFull<A::Msg>> {
        if scope::is_given_up() {
            let context = self.message.take();
            self.cell
                .discard(Envelope { message, context }, DeadLetterReason::Stale);
            return Ok(());
        }
        let context = &mut self.message;
        self.cell.with_stash(|stashed| {
            if stashed.waiting.len() >= stashed.config.capacity {
                return Err(StashFull {
                    message,
                    capacity: stashed.config.capacity,
                });
            }
            let context = context.take();
            stashed.waiting.push_back(Envelope { message, context });
            Ok(())
        })
    }

    /// Handles everything that is in the stash, in order, after this message and before any other. One that is stashed again comes after
    /// those.
    pub fn unstash(&mut self) {
        if self.stashed() > 0 && !scope::is_given_up() {
            self.cell.with_stash(|stashed| {
                let mut waiting = std::mem::take(&mut stashed.waiting);
                stashed.replay.append(&mut waiting);
            });
            self.cell.core.give_order(order::REPLAY);
        }
    }

    /// How many messages are in the stash.
    #[must_use]
    pub fn stashed(&self) -> usize {
        match self.cell.core.has_stash() {
            true => self.cell.with_stash(|stashed| stashed.waiting.len()),
            false => 0,
        }
    }
}

/// What an address has stashed.
struct Stashed<M> {
    config: Stash,
    waiting: VecDeque<Envelope<M>>,
    /// To be handled before the mailbox.
    replay: VecDeque<Envelope<M>>,
}

impl<M: Send + 'static> Cell<M> {
    fn with_stash<R>(&self, with: impl FnOnce(&mut Stashed<M>) -> R) -> R {
        let mut stash = self.core.stash();
        let stash = stash.get_or_insert_with(|| {
            let stashed: Stashed<M> = Stashed {
                config: Stash::default(),
                waiting: VecDeque::new(),
                replay: VecDeque::new(),
            };
            let stashed: Box<dyn Any + Send> = Box::new(stashed);
            stashed
        });
        let stashed = stash.downcast_mut();
        with(stashed.expect("an address has messages of one type"))
    }

    /// The next message that was unstashed.
    #[cold]
    pub(crate) fn next_replayed(&self) -> Option<Envelope<M>> {
        let (next, is_last) = self.with_stash(|stashed| {
            let next = stashed.replay.pop_front();
            (next, stashed.replay.is_empty())
        });
        if is_last {
            self.core.take_orders(order::REPLAY);
        }
        next
    }

    /// The incarnation has ended: what becomes of the stash.
    pub(crate) fn settle_stash(&self) {
        if !self.core.has_stash() {
            return;
        }
        let is_kept = self.with_stash(|stashed| {
            // What was stashed again had come before what is still to be replayed.
            let mut all = std::mem::take(&mut stashed.waiting);
            all.append(&mut stashed.replay);
            stashed.replay = all;
            stashed.config.is_kept
        });
        match is_kept {
            true => self.core.give_order(order::REPLAY),
            false => self.discard_stash(DeadLetterReason::Stashed),
        }
    }

    /// Makes dead letters of all that is stashed.
    pub(crate) fn discard_stash(&self, reason: DeadLetterReason) {
        if !self.core.has_stash() {
            return;
        }
        let discarded = self.with_stash(|stashed| {
            let mut all = std::mem::take(&mut stashed.waiting);
            all.append(&mut stashed.replay);
            all
        });
        self.core.take_orders(order::REPLAY);
        for envelope in discarded {
            self.discard(envelope, reason);
        }
    }
}
