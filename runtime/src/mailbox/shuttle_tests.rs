//! Models for shuttle: random schedules of more threads and messages than loom can exhaust.
//!
//! A failure prints the schedule, which `shuttle::replay` runs again. Blocks have three slots, as under loom. Shuttle knows
//! only sequential consistency: what weaker orders allow is loom's business.

use std::future::poll_fn;
use std::task::Poll;

use shuttle::future::block_on;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::{rand::Rng, thread};

use super::*;

const SCHEDULES: usize = 3_000;

fn push(queue: &Queue<u32>, value: u32) -> bool {
    let mut key = None;
    let mut joining = match queue.try_push(value) {
        Ok(_) => return true,
        Err(Rejected::Full(value)) => Some(value),
        Err(_) => return false,
    };
    block_on(poll_fn(|cx| {
        loop {
            if let Some(value) = joining.take() {
                match queue.join_wait(value, cx.waker()) {
                    Ok(Joined::Queued) => return Poll::Ready(true),
                    Ok(Joined::Waiting(joined)) => key = Some(joined),
                    Err(_) => return Poll::Ready(false),
                }
            }
            let waiting = key.as_ref().expect("in line");
            if shuttle::rand::thread_rng().gen_ratio(1, 4) {
                joining = queue.cancel_wait(waiting);
                match joining {
                    Some(_) => continue,
                    None => return Poll::Ready(true),
                }
            }
            return queue
                .poll_wait(waiting, cx.waker())
                .map(|sent| sent.is_ok());
        }
    }))
}

/// Three senders of five messages; the consumer trims at random. Returns what was sent and what was taken.
fn traffic(queue: &Arc<Queue<u32>>, closes: bool) -> (usize, Vec<u32>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicUsize::new(0));
    let mut threads: Vec<_> = (0..3)
        .map(|sender| {
            let (queue, sent, done) = (queue.clone(), sent.clone(), done.clone());
            thread::spawn(move || {
                for sequence in 0..5 {
                    let queued = push(&queue, sender * 10 + sequence);
                    sent.fetch_add(usize::from(queued), Ordering::SeqCst);
                }
                done.fetch_add(1, Ordering::SeqCst);
                queue.signal().wake();
            })
        })
        .collect();
    if closes {
        let queue = queue.clone();
        threads.push(thread::spawn(move || {
            queue.close();
            thread::yield_now();
            queue.reopen();
        }));
    }
    let mut taken = Vec::new();
    block_on(poll_fn(|cx| {
        queue.signal().register(cx.waker());
        let mut consumer = queue.consume().expect("no other consumer");
        consumer.unpark();
        loop {
            match consumer.pop() {
                Some(message) => taken.push(message),
                None => {
                    if shuttle::rand::thread_rng().gen_ratio(1, 3) {
                        consumer.trim();
                    }
                    let over = done.load(Ordering::SeqCst) == 3;
                    if consumer.park() {
                        return if over { Poll::Ready(()) } else { Poll::Pending };
                    }
                }
            }
        }
    }));
    for thread in threads {
        thread.join().expect("a model thread panicked");
    }
    (sent.load(Ordering::SeqCst), taken)
}

fn check(closes: bool) {
    for capacity in [1, 2, 4, 80] {
        for weighs in [false, true] {
            let mailbox = Mailbox::bounded(capacity);
            let mailbox = if weighs {
                mailbox.weigh(usize::MAX, |_: &u32| 1)
            } else {
                mailbox
            };
            let model = move || {
                let config = mailbox.queue_config::<u32, u32>(|value| value, Reading::plain());
                let queue = Arc::new(Queue::new(config.expect("weighs u32")));
                let (sent, taken) = traffic(&queue, closes);
                assert_eq!(sent, taken.len());
                for sender in 0..3 {
                    let own: Vec<_> = taken
                        .iter()
                        .filter(|value| **value / 10 == sender)
                        .collect();
                    assert!(own.is_sorted(), "{taken:?}");
                }
            };
            shuttle::check_random(model.clone(), SCHEDULES);
            shuttle::check_pct(model, SCHEDULES, 3);
        }
    }
}

#[test]
fn shuttle_traffic_keeps_every_message_and_its_order() {
    check(false);
}

#[test]
fn shuttle_traffic_accounts_for_every_message_when_the_queue_closes_and_reopens() {
    check(true);
}
