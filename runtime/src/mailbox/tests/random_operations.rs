//! Random sequences of operations, each compared with a model that is a plain deque.
//!
//! `TREEWARDEN_SEED=n` runs one seed alone; a failure names its seed.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use super::*;

/// What the queue has to be.
struct Model {
    capacity: usize,
    queued: VecDeque<u64>,
    waiting: VecDeque<(WaitKey, u64)>,
    returned: Vec<(WaitKey, u64)>,
    closed: bool,
    /// Messages queued without need of room: they take room in a FIFO and none in a locked queue.
    reserved_take_room: bool,
    reserved: VecDeque<u64>,
}

impl Model {
    fn occupied(&self) -> usize {
        self.queued.len()
            - if self.reserved_take_room {
                0
            } else {
                self.reserved.len()
            }
    }

    /// Moves waiting messages over; returns the keys that are served.
    fn serve(&mut self) -> Vec<WaitKey> {
        let mut served = Vec::new();
        while self.occupied() < self.capacity
            && let Some((key, value)) = self.waiting.pop_front()
        {
            self.queued.push_back(value);
            served.push(key);
        }
        served
    }

    fn pop(&mut self) -> Option<u64> {
        let value = self.queued.pop_front()?;
        if self.reserved.front() == Some(&value) {
            self.reserved.pop_front();
        }
        Some(value)
    }
}

fn run(mailbox: &Mailbox, reserved_take_room: bool, seed: u64, steps: u64) {
    let alive = Arc::new(AtomicI64::new(0));
    let queue = queue_of::<Counted>(mailbox);
    let mut model = Model {
        capacity: mailbox.capacity().unwrap_or(usize::MAX),
        queued: VecDeque::new(),
        waiting: VecDeque::new(),
        returned: Vec::new(),
        closed: false,
        reserved_take_room,
        reserved: VecDeque::new(),
    };
    let mut random = Random::new(seed);
    let mut next = 0;
    let mut fresh = || {
        next += 1;
        Counted::new(next, &alive)
    };
    for step in 0..steps {
        let at = format!("seed {seed}, step {step}, {mailbox:?}");
        match random.below(20) {
            // A push is refused or queued as the model says. The queue may show room late, but only until the consumer
            // publishes, which every other operation of this test that looks at room does first.
            0..=5 => {
                queue.consume().expect(&at).publish();
                assert_served(&queue, model.serve(), &at);
                let message = fresh();
                let value = message.value;
                match queue.try_push(message) {
                    Ok(Pushed::Queued) => {
                        assert!(!model.closed && model.waiting.is_empty(), "{at}");
                        assert!(model.occupied() < model.capacity, "{at}");
                        model.queued.push_back(value);
                    }
                    Err(Rejected::Closed(back)) => {
                        assert!(model.closed && back.value == value, "{at}")
                    }
                    Err(Rejected::Full(back)) => {
                        assert_eq!(back.value, value, "{at}");
                        assert!(
                            model.occupied() >= model.capacity || !model.waiting.is_empty(),
                            "{at}"
                        );
                    }
                    other => panic!("{at}: {other:?}"),
                }
            }
            6 => {
                let message = fresh();
                let value = message.value;
                match queue.force_push(message) {
                    Ok(()) => {
                        assert!(!model.closed, "{at}");
                        model.queued.push_back(value);
                        model.reserved.push_back(value);
                    }
                    Err(back) => assert!(model.closed && back.value == value, "{at}"),
                }
            }
            7 => {
                queue.consume().expect(&at).publish();
                assert_served(&queue, model.serve(), &at);
                let mut values: VecDeque<_> = (0..random.below(70)).map(|_| fresh()).collect();
                let asked: Vec<_> = values.iter().map(|message| message.value).collect();
                let batch = queue.push_all(&mut values);
                let room = match model.closed || !model.waiting.is_empty() {
                    true => 0,
                    false => model.capacity.saturating_sub(model.occupied()),
                };
                assert_eq!(batch.pushed, asked.len().min(room), "{at}");
                assert_eq!(batch.stop.is_none(), values.is_empty(), "{at}");
                model.queued.extend(&asked[..batch.pushed]);
            }
            8..=9 => {
                queue.consume().expect(&at).publish();
                assert_served(&queue, model.serve(), &at);
                let message = fresh();
                let value = message.value;
                match queue.join_wait(message, Waker::noop()) {
                    Ok(Joined::Queued) => {
                        assert!(
                            model.waiting.is_empty() && model.occupied() < model.capacity,
                            "{at}"
                        );
                        model.queued.push_back(value);
                    }
                    Ok(Joined::Waiting(key)) => {
                        assert!(
                            model.occupied() >= model.capacity || !model.waiting.is_empty(),
                            "{at}"
                        );
                        model.waiting.push_back((key, value));
                    }
                    Err(Rejected::Closed(back)) => {
                        assert!(model.closed && back.value == value, "{at}")
                    }
                    Err(other) => panic!("{at}: {other:?}"),
                }
            }
            10 if !model.waiting.is_empty() => {
                let index = random.below(model.waiting.len() as u64) as usize;
                let (key, value) = model.waiting.remove(index).expect("index is in range");
                assert!(queue.poll_wait(&key, Waker::noop()).is_pending(), "{at}");
                assert_eq!(
                    queue.cancel_wait(&key).map(|message| message.value),
                    Some(value),
                    "{at}"
                );
            }
            11 if !model.returned.is_empty() => {
                let index = random.below(model.returned.len() as u64) as usize;
                let (key, value) = model.returned.swap_remove(index);
                let back = match random.below(2) {
                    0 => queue.cancel_wait(&key),
                    _ => match queue.poll_wait(&key, Waker::noop()) {
                        Poll::Ready(Err(back)) => Some(back),
                        _ => None,
                    },
                };
                assert_eq!(back.map(|message| message.value), Some(value), "{at}");
            }
            12..=15 => {
                let mut consumer = queue.consume().expect(&at);
                for _ in 0..random.below(40) {
                    // Publishing first makes the moment at which waiters are served the same as the model's.
                    consumer.publish();
                    assert_served(&queue, model.serve(), &at);
                    let popped = consumer.pop().map(|message| message.value);
                    assert_eq!(popped, model.pop(), "{at}");
                }
                consumer.publish();
                assert_served(&queue, model.serve(), &at);
            }
            16 => {
                let parked = queue.consume().expect(&at).park();
                assert_served(&queue, model.serve(), &at);
                assert_eq!(parked, model.queued.is_empty(), "{at}");
            }
            17 => queue.consume().expect(&at).trim(),
            18 if random.below(4) == 0 => {
                queue.close();
                model.closed = true;
                model.returned.extend(model.waiting.drain(..));
            }
            19 => {
                queue.reopen();
                model.closed = false;
            }
            _ => {}
        }
        assert_eq!(queue.len(), model.queued.len(), "{at}");
        assert_eq!(queue.is_closed(), model.closed, "{at}");
        let held = model.queued.len() + model.waiting.len() + model.returned.len();
        assert_eq!(
            alive.load(Ordering::Relaxed),
            held as i64,
            "{at}: leaked or dropped twice"
        );
    }
    drop(queue);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "seed {seed}: leaked");
}

fn assert_served(queue: &Queue<Counted>, keys: Vec<WaitKey>, at: &str) {
    for key in keys {
        assert!(
            matches!(queue.poll_wait(&key, Waker::noop()), Poll::Ready(Ok(()))),
            "{at}"
        );
        assert!(queue.cancel_wait(&key).is_none(), "{at}: had been queued");
    }
}

#[test]
fn random_operations_match_the_model() {
    let seeds = match std::env::var_os("TREEWARDEN_SEED") {
        Some(_) => vec![seed(0)],
        None if cfg!(miri) => vec![0, 1],
        None => (0..40).collect(),
    };
    println!("seeds {seeds:?}");
    for &seed in &seeds {
        for capacity in [1, 2, 5, 31, 62, 64, 200] {
            let mailbox = Mailbox::bounded(capacity);
            run(&mailbox, true, seed, scaled(2_000));
            run(
                &mailbox.weigh(usize::MAX, |_: &Counted| 1),
                false,
                seed,
                scaled(2_000),
            );
        }
        run(&Mailbox::unbounded(), true, seed, scaled(2_000));
    }
}
