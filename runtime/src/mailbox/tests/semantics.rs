//! The semantics of every kind of queue, as a table.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::task::{Poll, Waker};

use super::*;

fn queue(mailbox: Mailbox) -> Queue<u32> {
    queue_of(&mailbox)
}

/// Every mailbox in which senders wait, all with room for `capacity` messages.
fn waiting_queues(capacity: usize) -> Vec<Queue<u32>> {
    vec![
        queue(Mailbox::bounded(capacity)),
        queue(Mailbox::bounded(capacity).weigh(usize::MAX, |_: &u32| 1)),
    ]
}

fn drain(queue: &Queue<u32>) -> Vec<u32> {
    let mut consumer = queue.consume().expect("no other consumer");
    std::iter::from_fn(|| consumer.pop()).collect()
}

fn fill(queue: &Queue<u32>, values: impl IntoIterator<Item = u32>) {
    for value in values {
        assert_eq!(queue.try_push(value), Ok(Pushed::Queued));
    }
}

fn wait(queue: &Queue<u32>, value: u32) -> WaitKey {
    match queue.join_wait(value, Waker::noop()) {
        Ok(Joined::Waiting(key)) => key,
        other => panic!("expected to wait, got {other:?}"),
    }
}

fn poll(queue: &Queue<u32>, key: &WaitKey) -> Poll<Result<(), u32>> {
    queue.poll_wait(key, Waker::noop())
}

#[test]
fn messages_leave_in_the_order_in_which_they_came() {
    for queue in waiting_queues(1000) {
        fill(&queue, 0..1000);
        assert_eq!(queue.len(), 1000);
        assert_eq!(drain(&queue), (0..1000).collect::<Vec<_>>());
        assert_eq!(queue.len(), 0);
    }
}

#[test]
fn a_message_that_was_looked_at_is_the_next_to_leave_unless_the_sight_of_it_was_too_much() {
    for queue in waiting_queues(100) {
        fill(&queue, 0..100);
        let mut consumer = queue.consume().expect("no other consumer");
        for round in 0..50 {
            let (first, second) = (2 * round, 2 * round + 1);
            assert_eq!(consumer.look(|value| *value), Some(first));
            assert_eq!(consumer.look(|value| *value), Some(first), "it stays");
            assert_eq!(consumer.pop(), Some(first));
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                consumer.look(|value| panic_any(*value));
            }));
            let seen = panicked.expect_err("it panics").downcast::<u32>();
            assert_eq!(*seen.expect("the value"), second);
        }
        assert_eq!(consumer.look(|value| *value), None);
        assert_eq!(consumer.pop(), None);
    }
}

#[test]
fn capacity_is_never_exceeded_and_comes_back_when_the_consumer_parks() {
    for capacity in [1, 2, 3, 31, 63, 64, 100] {
        for queue in waiting_queues(capacity) {
            for lap in 0..3 {
                fill(&queue, 0..capacity as u32);
                assert_eq!(
                    queue.try_push(99),
                    Err(Rejected::Full(99)),
                    "capacity {capacity}, lap {lap}"
                );
                assert_eq!(drain(&queue).len(), capacity);
                assert!(queue.consume().expect("no other consumer").park());
            }
        }
    }
}

#[test]
fn a_closed_queue_takes_nothing_and_keeps_what_it_has() {
    for queue in waiting_queues(2) {
        fill(&queue, [1, 2]);
        let key = wait(&queue, 3);
        queue.close();
        assert!(queue.is_closed());
        assert_eq!(queue.try_push(4), Err(Rejected::Closed(4)));
        assert_eq!(queue.force_push(4), Err(4));
        assert_eq!(queue.join_wait(4, Waker::noop()), Err(Rejected::Closed(4)));
        assert_eq!(poll(&queue, &key), Poll::Ready(Err(3)));
        assert_eq!(drain(&queue), [1, 2]);
        queue.reopen();
        assert!(queue.consume().expect("no other consumer").park());
        fill(&queue, [5]);
        assert_eq!(drain(&queue), [5]);
    }
}

#[test]
fn waiting_senders_are_served_in_order_and_late_senders_cannot_overtake() {
    for queue in waiting_queues(2) {
        fill(&queue, [0, 1]);
        let keys: Vec<_> = (2..5).map(|value| wait(&queue, value)).collect();
        assert_eq!(poll(&queue, &keys[0]), Poll::Pending);
        let mut consumer = queue.consume().expect("no other consumer");
        assert_eq!(consumer.pop(), Some(0));
        consumer.publish();
        assert_eq!(poll(&queue, &keys[0]), Poll::Ready(Ok(())));
        assert_eq!(poll(&queue, &keys[1]), Poll::Pending);
        assert_eq!(consumer.pop(), Some(1));
        assert_eq!(queue.try_push(9), Err(Rejected::Full(9)), "others wait");
        consumer.publish();
        assert!(!consumer.park());
        assert_eq!(consumer.pop(), Some(2));
        consumer.publish();
        drop(consumer);
        assert_eq!(poll(&queue, &keys[2]), Poll::Ready(Ok(())));
        assert_eq!(drain(&queue), [3, 4]);
    }
}

#[test]
fn a_cancelled_sender_gets_its_message_back_and_leaves_no_hole() {
    for queue in waiting_queues(1) {
        fill(&queue, [0]);
        let keys: Vec<_> = (1..5).map(|value| wait(&queue, value)).collect();
        assert_eq!(queue.cancel_wait(&keys[1]), Some(2));
        assert_eq!(queue.cancel_wait(&keys[0]), Some(1));
        let mut seen = drain(&queue);
        let mut consumer = queue.consume().expect("no other consumer");
        while !consumer.park() {
            seen.extend(consumer.pop());
        }
        assert_eq!(seen, [0, 3, 4]);
        assert_eq!(queue.cancel_wait(&keys[3]), None, "it had been queued");
    }
}

#[test]
fn when_the_last_waiting_sender_gives_up_others_may_push_again() {
    for queue in waiting_queues(4) {
        fill(&queue, 0..4);
        let key = wait(&queue, 9);
        let mut consumer = queue.consume().expect("no other consumer");
        assert_eq!(consumer.pop(), Some(0));
        assert_eq!(queue.cancel_wait(&key), Some(9));
        fill(&queue, [4]);
    }
}

#[test]
fn a_sender_that_joins_the_line_too_late_is_queued() {
    for queue in waiting_queues(1) {
        fill(&queue, [0]);
        assert_eq!(drain(&queue), [0]);
        queue.consume().expect("no other consumer").publish();
        assert_eq!(queue.join_wait(1, Waker::noop()), Ok(Joined::Queued));
        assert_eq!(drain(&queue), [1]);
    }
}

#[test]
fn a_forced_message_needs_no_room_and_keeps_its_place() {
    for queue in waiting_queues(2) {
        fill(&queue, [0, 1]);
        assert_eq!(queue.force_push(2), Ok(()));
        assert_eq!(queue.try_push(3), Err(Rejected::Full(3)));
        assert_eq!(drain(&queue), [0, 1, 2]);
    }
}

#[test]
fn push_all_queues_what_there_is_room_for() {
    for queue in waiting_queues(100) {
        let mut values: VecDeque<u32> = (0..130).collect();
        let batch = queue.push_all(&mut values);
        assert_eq!((batch.pushed, batch.stop), (100, Some(Stop::Full)));
        assert_eq!(values, (100..130).collect::<VecDeque<_>>());
        assert_eq!(drain(&queue), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn each_policy_says_what_happens_to_a_message_that_finds_no_room() {
    let check = |overflow, expected, left: &[u32]| {
        let queue = queue(Mailbox::bounded(2).overflow(overflow));
        fill(&queue, [0, 1]);
        assert_eq!(queue.try_push(2), expected, "{overflow:?}");
        assert_eq!(drain(&queue), left, "{overflow:?}");
    };
    check(Overflow::Wait, Err(Rejected::Full(2)), &[0, 1]);
    check(Overflow::Refuse, Err(Rejected::Refused(2)), &[0, 1]);
    check(Overflow::DropNewest, Err(Rejected::Dropped(2)), &[0, 1]);
    check(
        Overflow::DropOldest,
        Ok(Pushed::Displaced(vec![0])),
        &[1, 2],
    );
}

#[test]
fn drop_oldest_spares_messages_in_reserved_slots() {
    let queue = queue(Mailbox::bounded(2).overflow(Overflow::DropOldest));
    assert_eq!(queue.force_push(7), Ok(()));
    fill(&queue, [0, 1]);
    assert_eq!(queue.try_push(2), Ok(Pushed::Displaced(vec![0])));
    assert_eq!(drain(&queue), [7, 1, 2]);
}

#[test]
fn a_custom_policy_sees_the_load_and_decides() {
    struct Custom;
    impl OverflowPolicy for Custom {
        fn on_full(&self, load: &MailboxLoad) -> OnFull {
            assert_eq!((load.len, load.capacity), (2, 2));
            if load.senders_waiting == 0 {
                OnFull::Wait
            } else {
                OnFull::DropNewest
            }
        }
    }
    let queue = queue(Mailbox::bounded(2).overflow_policy(Custom));
    fill(&queue, [0, 1]);
    assert_eq!(queue.try_push(2), Err(Rejected::Full(2)));
    let _key = wait(&queue, 2);
    assert_eq!(queue.try_push(3), Err(Rejected::Dropped(3)));
}

#[test]
fn weight_bounds_the_queue_and_too_heavy_messages_never_fit() {
    let weigh = |value: &u32| *value as usize;
    let queue = queue(Mailbox::unbounded().weigh(10, weigh));
    fill(&queue, [4, 6]);
    assert_eq!(queue.try_push(1), Err(Rejected::Full(1)));
    assert_eq!(queue.try_push(11), Err(Rejected::TooHeavy(11)));
    let key = wait(&queue, 9);
    let mut consumer = queue.consume().expect("no other consumer");
    assert_eq!(consumer.pop(), Some(4));
    assert_eq!(poll(&queue, &key), Poll::Pending);
    assert_eq!(consumer.pop(), Some(6));
    assert_eq!(poll(&queue, &key), Poll::Ready(Ok(())));
}

#[test]
fn drop_oldest_by_weight_displaces_as_many_as_needed() {
    let weigh = |value: &u32| *value as usize;
    let queue = queue(
        Mailbox::unbounded()
            .weigh(10, weigh)
            .overflow(Overflow::DropOldest),
    );
    fill(&queue, [2, 3, 4]);
    assert_eq!(queue.try_push(6), Ok(Pushed::Displaced(vec![2, 3])));
    assert_eq!(drain(&queue), [4, 6]);
}

#[test]
fn a_mailbox_that_weighs_other_messages_is_refused_with_both_names() {
    let mailbox = Mailbox::bounded(1).weigh(1, |_: &String| 1);
    let error = mailbox
        .queue_config::<u32, u32>(|value| value, Reading::plain())
        .err()
        .expect("a mismatch");
    assert_eq!(
        (error.weighed, error.received),
        ("alloc::string::String", "u32")
    );
}

#[test]
fn there_is_one_consumer_at_a_time() {
    for queue in waiting_queues(1) {
        let consumer = queue.consume();
        assert!(consumer.is_some());
        assert!(queue.consume().is_none());
        drop(consumer);
        assert!(queue.consume().is_some());
    }
}
