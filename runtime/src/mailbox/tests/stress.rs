//! Real threads: nothing lost, nothing twice, order kept, capacity kept, nobody sleeps for ever.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::*;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Sends, waiting for room; sometimes gives up while waiting and starts again, as a dropped future does.
fn send(queue: &Queue<Counted>, message: Counted, random: &mut Random) -> bool {
    let mut message = match queue.try_push(message) {
        Ok(_) => return true,
        Err(Rejected::Full(message)) => Some(message),
        Err(_) => return false,
    };
    let mut key = None;
    block_on(poll_fn(|cx| {
        loop {
            if let Some(unsent) = message.take() {
                match queue.join_wait(unsent, cx.waker()) {
                    Ok(Joined::Queued) => return Poll::Ready(true),
                    Ok(Joined::Waiting(joined)) => key = Some(joined),
                    Err(_) => return Poll::Ready(false),
                }
            }
            let waiting = key.as_ref().expect("in line");
            if random.below(8) == 0 {
                message = queue.cancel_wait(waiting);
                match message {
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

/// Consumes as a run loop does, a budget for each poll, until `until` says that all is over and the queue is empty.
fn consume(queue: &Queue<Counted>, mut each: impl FnMut(Counted), until: impl Fn() -> bool) {
    let mut random = Random::new(7);
    block_on(poll_fn(|cx| {
        queue.signal().register(cx.waker());
        let mut consumer = queue.consume().expect("no other consumer");
        consumer.unpark();
        for _ in 0..128 {
            match consumer.pop() {
                Some(message) => each(message),
                None => {
                    if random.below(4) == 0 {
                        consumer.trim();
                    }
                    let over = until();
                    if consumer.park() {
                        return if over { Poll::Ready(()) } else { Poll::Pending };
                    }
                }
            }
        }
        consumer.publish();
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
}

fn stress(mailbox: &Mailbox, senders: u64, for_each: u64) {
    let seed = seed(1);
    println!("seed {seed}, {senders} senders, {mailbox:?}");
    let alive = Arc::new(AtomicI64::new(0));
    let queue = Arc::new(queue_of::<Counted>(mailbox));
    let done = AtomicU64::new(0);
    let mut last = vec![None; senders as usize];
    let mut count = 0;
    thread::scope(|scope| {
        for sender in 0..senders {
            let (queue, alive, done) = (&queue, &alive, &done);
            scope.spawn(move || {
                let mut random = Random::new(seed + sender);
                for sequence in 0..for_each {
                    assert!(send(
                        queue,
                        Counted::new(sender << 32 | sequence, alive),
                        &mut random
                    ));
                }
                done.fetch_add(1, Ordering::SeqCst);
                queue.signal().wake();
            });
        }
        let capacity = mailbox.capacity().unwrap_or(usize::MAX);
        let each = |message: Counted| {
            let (sender, sequence) = ((message.value >> 32) as usize, message.value & 0xFFFF_FFFF);
            assert_eq!(
                sequence,
                last[sender].map_or(0, |last: u64| last + 1),
                "order of sender {sender}"
            );
            last[sender] = Some(sequence);
            count += 1;
            // What is queued, the one in hand, and one in the hand of each sender.
            let live = alive.load(Ordering::Relaxed) as usize;
            assert!(
                live <= capacity.saturating_add(1 + senders as usize),
                "{live} alive"
            );
        };
        consume(&queue, each, || done.load(Ordering::SeqCst) == senders);
    });
    assert_eq!(count, senders * for_each);
    assert_eq!(queue.len(), 0);
    drop(queue);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "leaked");
}

#[test]
fn threads_lose_nothing_and_keep_order_and_capacity() {
    for capacity in [1, 3, 31, 64, 500] {
        for senders in [1, 4] {
            let mailbox = Mailbox::bounded(capacity);
            stress(&mailbox, senders, scaled(20_000));
            stress(
                &mailbox.weigh(usize::MAX, |_: &Counted| 1),
                senders,
                scaled(10_000),
            );
        }
    }
    stress(&Mailbox::unbounded(), 4, scaled(50_000));
}

#[test]
fn closing_and_reopening_under_load_accounts_for_every_message() {
    let seed = seed(2);
    println!("seed {seed}");
    for mailbox in [Mailbox::bounded(2), Mailbox::bounded(100)] {
        for mailbox in [mailbox.clone(), mailbox.weigh(usize::MAX, |_: &Counted| 1)] {
            let (senders, for_each) = (3, scaled(20_000));
            let alive = Arc::new(AtomicI64::new(0));
            let queue = Arc::new(queue_of::<Counted>(&mailbox));
            let (done, sent) = (AtomicU64::new(0), AtomicU64::new(0));
            let mut taken = 0;
            thread::scope(|scope| {
                for sender in 0..senders {
                    let (queue, alive, done, sent) = (&queue, &alive, &done, &sent);
                    scope.spawn(move || {
                        let mut random = Random::new(seed + sender);
                        for value in 0..for_each {
                            let queued = send(queue, Counted::new(value, alive), &mut random);
                            sent.fetch_add(u64::from(queued), Ordering::SeqCst);
                        }
                        done.fetch_add(1, Ordering::SeqCst);
                        queue.signal().wake();
                    });
                }
                let (queue_, done) = (&queue, &done);
                scope.spawn(move || {
                    while done.load(Ordering::SeqCst) < senders {
                        queue_.close();
                        thread::yield_now();
                        queue_.reopen();
                        thread::yield_now();
                    }
                });
                consume(
                    &queue,
                    |_| taken += 1,
                    || done.load(Ordering::SeqCst) == senders,
                );
            });
            assert_eq!(taken, sent.load(Ordering::SeqCst), "{mailbox:?}");
            drop(queue);
            assert_eq!(alive.load(Ordering::Relaxed), 0, "leaked");
        }
    }
}

#[test]
fn idle_queues_are_trimmed_by_others_while_senders_send() {
    let alive = Arc::new(AtomicI64::new(0));
    let queue = Arc::new(queue_of::<Counted>(&Mailbox::unbounded()));
    let (done, taken) = (AtomicU64::new(0), AtomicU64::new(0));
    let for_each = scaled(50_000);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for value in 0..for_each {
                    assert!(queue.try_push(Counted::new(value, &alive)).is_ok());
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while done.load(Ordering::SeqCst) < 2 || !queue.is_empty() {
                    let Some(mut consumer) = queue.consume() else {
                        continue;
                    };
                    while consumer.pop().is_some() {
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                    consumer.trim();
                }
            });
        }
    });
    assert_eq!(taken.load(Ordering::Relaxed), 2 * for_each);
    drop(queue);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "leaked");
}

#[test]
fn drop_oldest_under_load_hands_back_every_displaced_message() {
    let alive = Arc::new(AtomicI64::new(0));
    let queue = Arc::new(queue_of::<Counted>(
        &Mailbox::bounded(8).overflow(Overflow::DropOldest),
    ));
    let (done, displaced) = (AtomicU64::new(0), AtomicU64::new(0));
    let (senders, for_each) = (3, scaled(20_000));
    let mut taken = 0;
    thread::scope(|scope| {
        for _ in 0..senders {
            scope.spawn(|| {
                for value in 0..for_each {
                    match queue.try_push(Counted::new(value, &alive)) {
                        Ok(Pushed::Queued) => {}
                        Ok(Pushed::Displaced(gone)) => {
                            displaced.fetch_add(gone.len() as u64, Ordering::SeqCst);
                        }
                        Err(other) => panic!("drop oldest always takes the new one: {other:?}"),
                    }
                }
                done.fetch_add(1, Ordering::SeqCst);
                queue.signal().wake();
            });
        }
        consume(
            &queue,
            |_| taken += 1,
            || done.load(Ordering::SeqCst) == senders,
        );
    });
    assert_eq!(taken + displaced.load(Ordering::SeqCst), senders * for_each);
    drop(queue);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "leaked");
}
