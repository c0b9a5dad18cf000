//! How long one poll of a run loop goes on: up to [`SLICE_MESSAGES_MAX`] messages or [`SLICE_TIME_MAX_US`] microseconds, whichever ends first.

use std::{
    future::Future,
    num::NonZeroU32,
    pin::Pin,
    sync::OnceLock,
    task::{Context as TaskContext, Poll},
    time::Instant,
};

/// How many messages one poll handles at most.
pub(super) const SLICE_MESSAGES_MAX: u8 = 128;
/// How many messages lie between two looks at the clock, for an actor that is known to be fast.
const SLICE_MESSAGES_PER_LOOK: u8 = 32;
/// How long one poll goes on, at the granularity of the looks.
const SLICE_TIME_MAX_US: u32 = 1000;
/// After how many polls an actor tries whether there are more messages, if it is new or had several of late. Else it takes 255.
const POLLS_TO_TRY_SOON: u8 = 16;
/// How often in a row others go first before the actor sleeps all the same.
const YIELDS_MAX: u8 = 16;

/// What one poll may still do.
///
/// How often it looks at the clock depends on what it has seen: after each message when the actor is new or was slow, and
/// half as often after each look that found it fast, so that a fast actor pays for one look in
/// [`SLICE_MESSAGES_PER_LOOK`] messages, and one that holds its worker for long gives way after each message.
pub(super) struct Slice {
    messages: u8,
    messages_max: u8,
    /// A power of two.
    messages_per_look: u8,
    /// How many polls with a single message are left until it [tries](Slice::expects_more) whether there are more.
    polls_to_try: u8,
    /// How often in a row others may still go first.
    yields_left: u8,
    /// When its first message was begun, or the clock was looked at first; see [`micros_now`].
    began_us: Option<NonZeroU32>,
}

impl Slice {
    /// The first of an incarnation.
    pub(super) fn first(messages_max: u8) -> Self {
        Self {
            messages: 0,
            messages_max,
            messages_per_look: 1,
            polls_to_try: POLLS_TO_TRY_SOON,
            yields_left: YIELDS_MAX,
            began_us: None,
        }
    }

    /// The next, after this one was spent: there is more to do than one poll can, and sleeping costs little beside it.
    #[inline]
    pub(super) fn next_of_many(self) -> Self {
        Self {
            yields_left: 0,
            ..self.next()
        }
    }

    /// The next, at the beginning of a poll.
    #[inline]
    pub(super) fn next(self) -> Self {
        Self {
            messages: 0,
            began_us: None,
            ..self
        }
    }

    /// A message is about to be handled. Whoever is looked at after each is looked at before the first as well.
    #[inline]
    pub(super) fn begin_message(&mut self) {
        if self.messages == 0 && self.messages_per_look == 1 {
            self.began_us.get_or_insert_with(micros_now);
        }
    }

    /// Counts a message.
    #[inline]
    pub(super) fn is_spent(&mut self) -> bool {
        self.messages += 1;
        self.messages & (self.messages_per_look - 1) == 0 && self.is_spent_by_the_clock()
    }

    /// The queue is empty: whether others of this worker are likely to send if they get their turn before the actor sleeps.
    ///
    /// Where the scheduler runs a woken task next, as tokio's workers do, each of many askers would wake the actor for its own
    /// question alone. So whoever had several messages in this poll lets others go first, and everybody else tries that now
    /// and then. Not for ever, nor for a stream of messages that fills whole polls: sleeping has the advantage that whoever
    /// wakes the actor takes it to its own worker, and two workers that chase each other through a mailbox are slower than
    /// one.
    #[inline]
    pub(super) fn expects_more(&mut self) -> bool {
        if self.messages > 1 {
            self.polls_to_try = POLLS_TO_TRY_SOON;
            let expects = self.yields_left > 0;
            self.yields_left = match expects {
                true => self.yields_left - 1,
                false => YIELDS_MAX,
            };
            return expects;
        }
        self.yields_left = YIELDS_MAX;
        self.polls_to_try -= 1;
        let tries = self.polls_to_try == 0;
        if tries {
            self.polls_to_try = u8::MAX;
        }
        tries
    }

    #[cold]
    fn is_spent_by_the_clock(&mut self) -> bool {
        let now_us = micros_now();
        let began_us = *self.began_us.get_or_insert(now_us);
        let elapsed_us = now_us.get().wrapping_sub(began_us.get());
        let is_slow = elapsed_us >= SLICE_TIME_MAX_US;
        self.messages_per_look = match is_slow {
            true => 1,
            false => (2 * self.messages_per_look)
                .min(SLICE_MESSAGES_PER_LOOK)
                .min(self.messages_max),
        };
        is_slow || self.messages >= self.messages_max
    }
}

/// Microseconds on a clock that wraps every 71 minutes. Real time on purpose: this is about the worker thread, not about
/// what the application calls time.
fn micros_now() -> NonZeroU32 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    let micros = EPOCH.get_or_init(Instant::now).elapsed().as_micros() as u32;
    // One microsecond in 71 minutes is counted as the one after it.
    NonZeroU32::new(micros).unwrap_or(NonZeroU32::MIN)
}

/// Lets the others of this worker have their turn.
#[derive(Default)]
pub(super) struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll_with(slice: &mut Slice, messages: u8) -> bool {
        slice.messages = messages;
        slice.expects_more()
    }

    /// After how many polls with a single message it lets others go first.
    fn polls_to_try(slice: &mut Slice) -> usize {
        1 + (0..).take_while(|_| !poll_with(slice, 1)).count()
    }

    #[test]
    fn who_had_several_messages_lets_others_go_first_and_then_sleeps() {
        let mut slice = Slice::first(SLICE_MESSAGES_MAX);
        for _ in 0..300 {
            assert!(poll_with(&mut slice, 2));
            assert!(!poll_with(&mut slice, 0), "nobody had anything for it");
        }
    }

    #[test]
    fn nobody_lets_others_go_first_for_ever() {
        let mut slice = Slice::first(SLICE_MESSAGES_MAX);
        for _ in 0..10 {
            for _ in 0..YIELDS_MAX {
                assert!(poll_with(&mut slice, 64));
            }
            assert!(!poll_with(&mut slice, 64));
        }
    }

    #[test]
    fn who_had_more_messages_than_a_poll_handles_sleeps_at_once() {
        let slice = Slice::first(SLICE_MESSAGES_MAX);
        let mut slice = slice.next_of_many();
        assert!(!poll_with(&mut slice, 64));
        assert!(poll_with(&mut slice, 64));
    }

    #[test]
    fn who_has_one_message_at_a_time_tries_it_now_and_then() {
        let mut slice = Slice::first(SLICE_MESSAGES_MAX);
        assert_eq!(polls_to_try(&mut slice), 16);
        assert_eq!(polls_to_try(&mut slice), 255, "it was in vain");
        assert_eq!(polls_to_try(&mut slice), 255);
        assert!(poll_with(&mut slice, 64));
        assert_eq!(polls_to_try(&mut slice), 16, "there were more");
    }
}
