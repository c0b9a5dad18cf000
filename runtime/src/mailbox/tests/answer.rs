//! The slot of an answer, in one thread and in several. Also run under Miri, which finds a slot that is not freed.

use std::sync::mpsc;
use std::task::{Poll, Wake, Waker};
use std::thread;

use super::super::answer::{Answer, Right, channel};
use super::*;

/// Counts its wake-ups.
#[derive(Default)]
struct Alarm(AtomicI64);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Asker {
    answer: Answer<Counted>,
    alarm: Arc<Alarm>,
}

impl Asker {
    fn poll(&mut self) -> Poll<Option<u64>> {
        let waker = Waker::from(self.alarm.clone());
        let answer = self.answer.poll(&waker);
        answer.map(|answer| answer.map(|counted| counted.value))
    }

    fn woken(&self) -> i64 {
        self.alarm.0.load(Ordering::SeqCst)
    }
}

/// Runs both ends, and checks that the value and the wakers are dropped by then.
fn check(run: impl FnOnce(Right<Counted>, Asker, Counted)) {
    let alive = Arc::new(AtomicI64::new(0));
    let alarm = Arc::new(Alarm::default());
    let (right, answer) = channel();
    let asker = Asker {
        answer,
        alarm: alarm.clone(),
    };
    run(right, asker, Counted::new(7, &alive));
    assert_eq!(alive.load(Ordering::SeqCst), 0, "values alive");
    assert_eq!(Arc::strong_count(&alarm), 1, "wakers alive");
}

#[test]
fn an_answer_to_an_asker_that_gave_up_calls_its_note_and_a_refusal_does_not() {
    for (waits, refuses) in [(false, false), (true, false), (false, true), (true, true)] {
        check(|mut right, mut asker, value| {
            if waits {
                assert_eq!(asker.poll(), Poll::Pending);
            }
            let note = Arc::new(Alarm::default());
            let left = asker.answer.give_up(note.clone().into());
            assert!(left.is_pending());
            match refuses {
                true => right.refuse(value),
                false => right.answer(value),
            }
            assert_eq!(note.0.load(Ordering::SeqCst), i64::from(!refuses));
            assert_eq!(Arc::strong_count(&note), 1, "notes alive");
            assert_eq!(asker.alarm.0.load(Ordering::SeqCst), 0);
        });
    }
}

#[test]
fn who_gives_up_too_late_gets_the_answer() {
    check(|mut right, asker, value| {
        right.answer(value);
        let answer = asker.answer.give_up(Waker::noop().clone());
        assert_eq!(
            answer.map(|answer| answer.map(|counted| counted.value)),
            Poll::Ready(Some(7))
        );
    });
}

#[test]
fn an_answer_that_is_there_is_taken_once_and_wakes_nobody() {
    check(|mut right, mut asker, value| {
        right.answer(value);
        assert_eq!(asker.poll(), Poll::Ready(Some(7)));
        assert_eq!(asker.poll(), Poll::Ready(None));
        assert_eq!(asker.woken(), 0);
    });
}

#[test]
fn an_answer_wakes_the_asker_once() {
    check(|mut right, mut asker, value| {
        assert_eq!(asker.poll(), Poll::Pending);
        assert_eq!(asker.poll(), Poll::Pending);
        right.answer(value);
        assert_eq!(asker.woken(), 1);
        assert_eq!(asker.poll(), Poll::Ready(Some(7)));
    });
}

#[test]
fn the_last_waker_counts() {
    check(|mut right, mut asker, value| {
        assert_eq!(asker.poll(), Poll::Pending);
        let first = std::mem::take(&mut asker.alarm);
        assert_eq!(asker.poll(), Poll::Pending);
        assert_eq!(Arc::strong_count(&first), 2, "only ours and the check's");
        right.answer(value);
        assert_eq!((first.0.load(Ordering::SeqCst), asker.woken()), (0, 1));
    });
}

#[test]
fn a_right_that_is_dropped_says_that_there_is_no_answer() {
    check(|right, mut asker, _value| {
        assert_eq!(asker.poll(), Poll::Pending);
        drop(right);
        assert_eq!(asker.woken(), 1);
        assert_eq!(asker.poll(), Poll::Ready(None));
    });
}

#[test]
fn an_asker_that_goes_away_leaves_no_waker_behind() {
    check(|mut right, mut asker, value| {
        assert_eq!(asker.poll(), Poll::Pending);
        assert!(!right.is_abandoned());
        let alarm = asker.alarm.clone();
        drop(asker);
        assert_eq!(Arc::strong_count(&alarm), 2, "only ours and the check's");
        assert!(right.is_abandoned());
        right.answer(value);
    });
}

#[test]
fn an_answer_that_nobody_takes_is_dropped() {
    check(|mut right, asker, value| {
        right.answer(value);
        drop(asker);
    });
}

#[test]
fn a_right_is_taken_once() {
    check(|mut right, mut asker, value| {
        let mut taken = right.take();
        let mut again = right.take();
        assert!(right.is_used() && again.is_used() && !taken.is_used());
        assert!(!right.is_abandoned());
        let alive = value.alive.clone();
        again.answer(Counted::new(8, &alive));
        drop(right);
        assert_eq!(asker.poll(), Poll::Pending);
        taken.answer(value);
        assert_eq!(asker.poll(), Poll::Ready(Some(7)));
    });
}

#[test]
fn a_call_is_made_once_and_not_if_the_right_is_dropped() {
    let calls = Arc::new(AtomicI64::new(0));
    let calling = || {
        let calls = calls.clone();
        Right::calling(Box::new(move |n| {
            calls.fetch_add(n, Ordering::SeqCst);
        }))
    };
    let mut right = calling();
    assert!(!right.is_abandoned() && !right.is_used());
    right.answer(3);
    right.answer(100);
    drop(calling());
    calling().take().answer(4);
    assert_eq!(calls.load(Ordering::SeqCst), 7);
    assert_eq!(Arc::strong_count(&calls), 1);
}

#[test]
fn askers_and_repliers_on_two_threads_lose_nothing() {
    let rounds = if cfg!(miri) { 20 } else { 20_000 };
    let alive = Arc::new(AtomicI64::new(0));
    let (rights, received) = mpsc::channel::<(u64, Right<Counted>)>();
    let counter = alive.clone();
    let replier = thread::spawn(move || {
        for (number, mut right) in received {
            match number % 5 {
                0 => drop(right),
                _ => right.answer(Counted::new(number, &counter)),
            }
        }
    });
    let sleeper = Waker::from(Arc::new(Unpark(thread::current())));
    for number in 0..rounds {
        let (right, mut answer) = channel();
        rights.send((number, right)).expect("the replier lives");
        // With another waker first, which may find the answer already.
        let mut polled = match number % 3 {
            0 => answer.poll(Waker::noop()),
            _ => Poll::Pending,
        };
        if number % 7 == 0 {
            continue;
        }
        let answer = loop {
            match polled {
                Poll::Ready(answer) => break answer.map(|counted| counted.value),
                Poll::Pending => polled = answer.poll(&sleeper),
            }
            if polled.is_pending() {
                thread::park();
            }
        };
        assert_eq!(answer, (!number.is_multiple_of(5)).then_some(number));
    }
    drop(rights);
    replier.join().expect("the replier did not panic");
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
