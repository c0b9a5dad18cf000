//! Models for loom: every schedule (up to a number of preemptions) and every outcome that the memory model allows.
//!
//! Blocks have three slots here. A consumer that sleeps for ever or a sender that waits for ever is a deadlock, which loom
//! reports. Values are counted, so a leaked or twice dropped one fails its model.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::answer::{Answer, Right, channel};
use super::signal::Signal;
use super::*;

/// A message that knows how many of its kind are alive.
struct Counted {
    value: u32,
    alive: Arc<AtomicUsize>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A queue that is checked for leaks at the end of its model.
#[derive(Clone)]
struct Model {
    queue: Arc<Queue<Counted>>,
    alive: Arc<AtomicUsize>,
}

impl Model {
    fn new(mailbox: &Mailbox) -> Self {
        let config = mailbox.queue_config::<Counted, Counted>(|value| value, Reading::plain());
        let queue = Queue::new(config.expect("weighs Counted"));
        Self {
            queue: Arc::new(queue),
            alive: Arc::new(AtomicUsize::new(0)),
        }
    }

    fn message(&self, value: u32) -> Counted {
        self.alive.fetch_add(1, Ordering::Relaxed);
        Counted {
            value,
            alive: self.alive.clone(),
        }
    }

    fn try_push(&self, value: u32) -> bool {
        self.queue.try_push(self.message(value)).is_ok()
    }

    /// Waits for room. `false`: closed.
    fn push(&self, value: u32) -> bool {
        let message = match self.queue.try_push(self.message(value)) {
            Ok(_) => return true,
            Err(Rejected::Full(message)) => message,
            Err(_) => return false,
        };
        let (mut message, mut key) = (Some(message), None);
        block_on(poll_fn(|cx| {
            if let Some(message) = message.take() {
                match self.queue.join_wait(message, cx.waker()) {
                    Ok(Joined::Queued) => return Poll::Ready(true),
                    Ok(Joined::Waiting(joined)) => key = Some(joined),
                    Err(_) => return Poll::Ready(false),
                }
            }
            let key = key.as_ref().expect("in line");
            self.queue
                .poll_wait(key, cx.waker())
                .map(|sent| sent.is_ok())
        }))
    }

    /// As a run loop does: takes messages into `taken` until there are `count`.
    fn poll_take(&self, cx: &mut Context<'_>, count: usize, taken: &mut Vec<u32>) -> Poll<()> {
        self.queue.signal().register(cx.waker());
        let mut consumer = self.queue.consume().expect("no other consumer");
        consumer.unpark();
        while taken.len() < count {
            match consumer.pop() {
                Some(message) => taken.push(message.value),
                None if consumer.park() => return Poll::Pending,
                None => {}
            }
        }
        consumer.publish();
        Poll::Ready(())
    }

    fn take(&self, count: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        block_on(poll_fn(|cx| self.poll_take(cx, count, &mut taken)));
        taken
    }

    fn take_what_is_there(&self) -> Vec<u32> {
        let mut consumer = self.queue.consume().expect("no other consumer");
        std::iter::from_fn(|| consumer.pop())
            .map(|message| message.value)
            .collect()
    }

    fn spawn(&self, f: impl FnOnce(Model) + 'static) -> thread::JoinHandle<()> {
        let model = self.clone();
        thread::spawn(move || f(model))
    }

    fn end(self) {
        let Self { queue, alive } = self;
        drop(Arc::try_unwrap(queue).ok().expect("all threads have ended"));
        assert_eq!(alive.load(Ordering::Relaxed), 0, "messages leaked");
    }
}

fn check(
    preemptions: usize,
    mailboxes: &[Mailbox],
    model: impl Fn(Model) + Send + Sync + Copy + 'static,
) {
    for mailbox in mailboxes {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 20_000;
        let mailbox = mailbox.clone();
        builder.check(move || model(Model::new(&mailbox)));
    }
}

fn both(capacity: usize) -> [Mailbox; 2] {
    let bounded = Mailbox::bounded(capacity);
    [bounded.clone(), bounded.weigh(usize::MAX, |_: &Counted| 1)]
}

fn join_all(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("a model thread panicked");
    }
}

#[test]
fn loom_each_message_arrives_once_and_in_its_senders_order() {
    check(2, &both(8), |model| {
        let sender = model.spawn(|model| assert!(model.try_push(10) && model.try_push(11)));
        let other = model.spawn(|model| assert!(model.try_push(20)));
        let mut taken = model.take_what_is_there();
        join_all([sender, other]);
        taken.extend(model.take_what_is_there());
        let of = |tens: u32| {
            taken
                .iter()
                .copied()
                .filter(|v| v / 10 == tens)
                .collect::<Vec<_>>()
        };
        assert_eq!((of(1), of(2)), (vec![10, 11], vec![20]));
        model.end();
    });
}

#[test]
fn loom_senders_race_for_the_last_slot_of_a_block() {
    check(2, &[Mailbox::unbounded()], |model| {
        assert!(model.try_push(0) && model.try_push(1));
        let senders = [2, 3].map(|value| model.spawn(move |model| assert!(model.try_push(value))));
        let mut taken = model.take_what_is_there();
        join_all(senders);
        taken.extend(model.take_what_is_there());
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3]);
        model.end();
    });
}

#[test]
fn loom_a_consumer_parks_at_the_end_of_a_block() {
    check(3, &[Mailbox::unbounded()], |model| {
        assert!(model.try_push(0));
        assert_eq!(model.take_what_is_there(), [0]);
        let sender = model.spawn(|model| (1..4).for_each(|value| assert!(model.try_push(value))));
        assert_eq!(model.take(3), [1, 2, 3]);
        join_all([sender]);
        model.end();
    });
}

#[test]
fn loom_a_batch_crosses_blocks_and_stays_together_in_order() {
    check(2, &[Mailbox::bounded(5)], |model| {
        let sender = model.spawn(|model| {
            let mut values: VecDeque<_> = (0..4).map(|value| model.message(value)).collect();
            assert_eq!(model.queue.push_all(&mut values).pushed, 4);
        });
        assert!(model.try_push(9));
        let mut taken = model.take(5);
        taken.retain(|value| *value != 9);
        assert_eq!(taken, [0, 1, 2, 3]);
        join_all([sender]);
        model.end();
    });
}

#[test]
fn loom_a_parked_consumer_is_woken_by_the_next_message() {
    check(3, &both(4), |model| {
        let sender = model.spawn(|model| {
            assert!(model.try_push(1));
            assert!(model.try_push(2));
        });
        assert_eq!(model.take(2), [1, 2]);
        join_all([sender]);
        model.end();
    });
}

#[test]
fn loom_control_reaches_a_consumer_that_waits_for_messages() {
    check(3, &both(4), |model| {
        let stop = Arc::new(AtomicUsize::new(0));
        let control = {
            let stop = stop.clone();
            model.spawn(move |model| {
                stop.store(1, Ordering::SeqCst);
                model.queue.signal().wake();
            })
        };
        let mut taken = Vec::new();
        block_on(poll_fn(|cx| match model.poll_take(cx, 1, &mut taken) {
            Poll::Pending if stop.load(Ordering::SeqCst) == 1 => Poll::Ready(()),
            other => other,
        }));
        join_all([control]);
        model.end();
    });
}

#[test]
fn loom_control_reaches_a_consumer_that_is_polled_by_another_task_than_before() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let signal = Arc::new(Signal::new());
        let order = Arc::new(AtomicUsize::new(0));
        let control = {
            let (signal, order) = (signal.clone(), order.clone());
            thread::spawn(move || {
                order.store(1, Ordering::SeqCst);
                signal.wake();
            })
        };
        signal.register(Waker::noop());
        block_on(poll_fn(|cx| {
            signal.register(cx.waker());
            match order.load(Ordering::SeqCst) {
                1 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        }));
        join_all([control]);
    });
}

#[test]
fn loom_nothing_is_pushed_after_close_and_nothing_before_is_lost() {
    check(2, &both(8), |model| {
        let sent = Arc::new(AtomicUsize::new(0));
        let senders = [1, 2].map(|value| {
            let sent = sent.clone();
            model.spawn(move |model| {
                for _ in 0..2 {
                    sent.fetch_add(usize::from(model.try_push(value)), Ordering::SeqCst);
                }
            })
        });
        model.queue.close();
        let first = model.take_what_is_there().len();
        assert!(!model.try_push(9));
        join_all(senders);
        assert_eq!(model.take_what_is_there().len(), 0, "pushed after close");
        assert_eq!(sent.load(Ordering::SeqCst), first);
        model.end();
    });
}

#[test]
fn loom_a_waiting_sender_is_served_by_a_consumer_that_parks() {
    check(2, &both(1), |model| {
        let sender = model.spawn(|model| assert!(model.push(1) && model.push(2)));
        assert_eq!(model.take(2), [1, 2]);
        join_all([sender]);
        model.end();
    });
}

#[test]
fn loom_two_waiting_senders_are_served_by_a_consumer_that_parks() {
    check(1, &both(1), |model| {
        let senders = [1, 2].map(|value| model.spawn(move |model| assert!(model.push(value))));
        let mut taken = model.take(2);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        join_all(senders);
        model.end();
    });
}

#[test]
fn loom_a_waiting_sender_is_served_by_a_consumer_that_pauses_with_room() {
    check(3, &both(2), |model| {
        assert!(model.try_push(0) && model.try_push(1));
        let sender = model.spawn(|model| assert!(model.push(2)));
        // One is taken, then the consumer pauses: the sender must get in without further ado.
        assert_eq!(model.take(1), [0]);
        join_all([sender]);
        assert_eq!(model.take_what_is_there(), [1, 2]);
        model.end();
    });
}

#[test]
fn loom_a_cancelled_sender_has_its_message_or_has_sent_it() {
    check(2, &both(1), |model| {
        assert!(model.try_push(0));
        let cancelled = Arc::new(AtomicUsize::new(0));
        let canceller = {
            let cancelled = cancelled.clone();
            model.spawn(move |model| {
                let waker = std::task::Waker::noop();
                match model.queue.join_wait(model.message(1), waker) {
                    Ok(Joined::Waiting(key)) => {
                        let back = model.queue.cancel_wait(&key);
                        cancelled.store(usize::from(back.is_some()), Ordering::SeqCst);
                    }
                    Ok(Joined::Queued) => {}
                    Err(_) => panic!("nobody closes"),
                }
            })
        };
        let patient = model.spawn(|model| assert!(model.push(2)));
        let mut taken = model.take(2);
        join_all([canceller, patient]);
        taken.extend(model.take_what_is_there());
        let expected = if cancelled.load(Ordering::SeqCst) == 1 {
            2
        } else {
            3
        };
        assert_eq!(taken.len(), expected);
        assert!(taken.contains(&2));
        model.end();
    });
}

#[test]
fn loom_close_hands_waiting_senders_their_messages_or_they_were_served() {
    check(2, &both(1), |model| {
        assert!(model.try_push(0));
        let sent = Arc::new(AtomicUsize::new(0));
        let sender = {
            let sent = sent.clone();
            model.spawn(move |model| {
                sent.store(usize::from(model.push(1)), Ordering::SeqCst);
            })
        };
        let closer = model.spawn(|model| model.queue.close());
        let mut taken = model.take_what_is_there();
        join_all([sender, closer]);
        taken.extend(model.take_what_is_there());
        assert_eq!(taken.len(), 1 + sent.load(Ordering::SeqCst));
        model.end();
    });
}

#[test]
fn loom_an_empty_block_is_given_back_while_others_send() {
    check(2, &[Mailbox::bounded(4)], |model| {
        assert!(model.try_push(0));
        let sender = model.spawn(|model| {
            assert!(model.try_push(1));
            assert!(model.try_push(2));
        });
        let mut taken = Vec::new();
        for _ in 0..2 {
            let mut consumer = model.queue.consume().expect("no other consumer");
            taken.extend(consumer.pop().map(|message| message.value));
            consumer.trim();
        }
        taken.extend(model.take(3 - taken.len()));
        assert_eq!(taken, [0, 1, 2]);
        join_all([sender]);
        model.end();
    });
}

#[test]
fn loom_skipped_slots_never_count_as_messages() {
    check(3, &[Mailbox::bounded(1)], |model| {
        assert!(model.try_push(0));
        assert_eq!(model.take(1), [0]);
        // The queue is empty and stays so but for this sender: it must never see it full.
        let sender = model.spawn(|model| assert!(model.try_push(1)));
        model.queue.consume().expect("no other consumer").trim();
        join_all([sender]);
        assert_eq!(model.take_what_is_there(), [1]);
        model.end();
    });
}

#[test]
fn loom_senders_race_to_install_the_first_block() {
    check(3, &[Mailbox::unbounded()], |model| {
        let sender = model.spawn(|model| assert!(model.try_push(1)));
        assert!(model.try_push(2));
        let mut taken = model.take_what_is_there();
        join_all([sender]);
        taken.extend(model.take_what_is_there());
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        model.end();
    });
}

#[test]
fn loom_the_first_message_wakes_its_consumer() {
    check(3, &[Mailbox::unbounded()], |model| {
        let sender = model.spawn(|model| assert!(model.try_push(1)));
        assert_eq!(model.take(1), [1]);
        join_all([sender]);
        model.end();
    });
}

#[test]
fn loom_a_queue_that_reopens_keeps_order_across_incarnations() {
    check(2, &both(4), |model| {
        let sender = model.spawn(|model| {
            model.try_push(1);
            model.try_push(2);
        });
        model.queue.close();
        let mut taken = model.take_what_is_there();
        model.queue.consume().expect("no other consumer").trim();
        model.queue.reopen();
        join_all([sender]);
        taken.extend(model.take_what_is_there());
        assert!(taken.is_sorted() && taken.len() <= 2, "{taken:?}");
        model.end();
    });
}

#[test]
fn loom_consumers_take_turns() {
    check(2, &both(4), |model| {
        assert!(model.try_push(1) && model.try_push(2));
        let other = model.spawn(|model| {
            if let Some(mut consumer) = model.queue.consume() {
                drop(consumer.pop());
            }
        });
        if let Some(mut consumer) = model.queue.consume() {
            drop(consumer.pop());
        }
        join_all([other]);
        assert!(model.take_what_is_there().len() <= 1);
        model.end();
    });
}

/// The two ends of an answer in each schedule, and a value for it; whatever is left at the end must be dropped, and the
/// slot freed.
fn check_answer(
    model: impl Fn(Right<Counted>, Answer<Counted>, Counted) + Send + Sync + Copy + 'static,
) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 20_000;
    builder.check(move || {
        let alive = Arc::new(AtomicUsize::new(1));
        let (right, answer) = channel();
        let value = Counted {
            value: 7,
            alive: alive.clone(),
        };
        model(right, answer, value);
        assert_eq!(alive.load(Ordering::Relaxed), 0, "values leaked");
    });
}

fn wait_for(answer: &mut Answer<Counted>) -> Option<u32> {
    let answer = block_on(poll_fn(|cx| answer.poll(cx.waker())));
    answer.map(|counted| counted.value)
}

#[test]
fn loom_an_answer_reaches_a_sleeping_asker() {
    check_answer(|mut right, mut answer, value| {
        let replier = thread::spawn(move || right.answer(value));
        assert_eq!(wait_for(&mut answer), Some(7));
        drop(answer);
        join_all([replier]);
    });
}

#[test]
fn loom_a_dropped_right_reaches_a_sleeping_asker() {
    check_answer(|right, mut answer, value| {
        let replier = thread::spawn(move || drop((right, value)));
        assert_eq!(wait_for(&mut answer), None);
        join_all([replier]);
    });
}

#[test]
fn loom_an_asker_with_another_waker_is_woken_by_that() {
    check_answer(|mut right, mut answer, value| {
        let replier = thread::spawn(move || right.answer(value));
        let first = answer.poll(Waker::noop());
        match first {
            Poll::Ready(answer) => assert_eq!(answer.map(|counted| counted.value), Some(7)),
            Poll::Pending => assert_eq!(wait_for(&mut answer), Some(7)),
        }
        join_all([replier]);
    });
}

#[test]
fn loom_an_answer_and_its_asker_pass_each_other() {
    check_answer(|mut right, mut answer, value| {
        let replier = thread::spawn(move || {
            if !right.is_abandoned() {
                right.answer(value);
            }
        });
        let _ = answer.poll(Waker::noop());
        drop(answer);
        join_all([replier]);
    });
}

/// An answer is either seen by its asker, or its note is called.
#[test]
fn loom_an_asker_gives_up_while_the_answer_comes() {
    struct Called(std::sync::atomic::AtomicBool);

    impl std::task::Wake for Called {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    check_answer(|mut right, mut answer, value| {
        let note = std::sync::Arc::new(Called(false.into()));
        let replier = thread::spawn(move || right.answer(value));
        let seen = answer.poll(Waker::noop()).is_ready() || {
            let left = answer.give_up(note.clone().into());
            left.is_ready()
        };
        join_all([replier]);
        let called = note.0.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(called, !seen);
    });
}

#[test]
fn loom_a_right_is_taken_once_while_others_look_at_it() {
    check_answer(|right, answer, value| {
        let right = Arc::new(right);
        let shared = right.clone();
        let taker = thread::spawn(move || shared.take().answer(value));
        let asker = thread::spawn(move || drop(answer));
        let _ = right.is_abandoned();
        drop(right.take());
        join_all([taker, asker]);
    });
}
