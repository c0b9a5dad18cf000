use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::testing::{Xorshift, for_seeds, ms};

/// Three at once, ten bytes, four in line.
fn pool() -> Bulkhead {
    BulkheadConfig::new(3)
        .weight_max(10)
        .waiting_max(4)
        .build()
        .unwrap()
}

/// Counts how often it was woken.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll(acquire: &mut Acquire, alarm: &Arc<Alarm>) -> Poll<Result<Permit, Full>> {
    let waker = Waker::from(alarm.clone());
    Pin::new(acquire).poll(&mut Context::from_waker(&waker))
}

/// A caller in line.
fn in_line(pool: &Bulkhead, weight: u64) -> (Acquire, Arc<Alarm>) {
    let (mut acquire, alarm) = (pool.acquire(weight), Arc::default());
    assert!(poll(&mut acquire, &alarm).is_pending());
    (acquire, alarm)
}

#[track_caller]
fn check_got_in((mut acquire, alarm): (Acquire, Arc<Alarm>)) -> Permit {
    assert_eq!(alarm.0.load(Ordering::Relaxed), 1, "woken once");
    match poll(&mut acquire, &alarm) {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn permits_and_weight_both_bound_what_is_let_in_and_come_back_on_drop() {
    let pool = pool();
    let refused = |weight| pool.try_acquire(weight).map(drop).unwrap_err();
    let heavy = pool.try_acquire(8).unwrap();
    assert_eq!(refused(3), Full::NoRoom { waiting: 0 });
    let (light, none) = (pool.try_acquire(2).unwrap(), pool.try_acquire(0).unwrap());
    assert_eq!((pool.permits_left(), pool.weight_left()), (0, Some(0)));
    assert_eq!(refused(0), Full::NoRoom { waiting: 0 });
    drop((heavy, light, none));
    assert_eq!((pool.permits_left(), pool.weight_left()), (3, Some(10)));
    assert_eq!(
        refused(11),
        Full::TooHeavy {
            weight: 11,
            weight_max: 10
        }
    );
}

#[test]
fn a_pool_that_does_not_count_weight_ignores_it() {
    let pool = BulkheadConfig::new(1).build().unwrap();
    let permit = pool.try_acquire(u64::MAX).unwrap();
    assert_eq!((pool.permits_left(), pool.weight_left()), (0, None));
    drop(permit);
    assert_eq!(pool.permits_left(), 1);
}

#[test]
fn nobody_overtakes_not_even_somebody_light() {
    let pool = pool();
    let nine = pool.try_acquire(9).unwrap();
    let (heavy, light) = (in_line(&pool, 5), in_line(&pool, 1));
    assert_eq!(
        pool.try_acquire(0).map(drop),
        Err(Full::NoRoom { waiting: 2 })
    );
    drop(nine);
    let heavy = check_got_in(heavy);
    let light = check_got_in(light);
    assert_eq!(pool.weight_left(), Some(4));
    drop((heavy, light));
}

#[test]
fn the_line_is_bounded() {
    let pool = pool();
    let all = pool.try_acquire(10).unwrap();
    let line: Vec<_> = (0..4).map(|_| in_line(&pool, 1)).collect();
    let (mut one_too_many, alarm) = (pool.acquire(1), Arc::default());
    let refused = poll(&mut one_too_many, &alarm).map(|outcome| outcome.map(drop));
    assert_eq!(refused, Poll::Ready(Err(Full::NoRoom { waiting: 4 })));
    drop(line);
    assert_eq!(pool.waiting(), 0);
    drop(all);
}

#[test]
fn who_leaves_the_line_leaves_no_hole() {
    let pool = pool();
    let nine = pool.try_acquire(9).unwrap();
    let (heavy, light) = (in_line(&pool, 5), in_line(&pool, 1));
    drop(heavy);
    let light = check_got_in(light);
    assert_eq!((pool.waiting(), pool.weight_left()), (0, Some(0)));
    drop((nine, light));
}

#[test]
fn what_was_granted_to_a_dropped_future_goes_to_the_next() {
    let pool = pool();
    let all = pool.try_acquire(10).unwrap();
    let (first, second) = (in_line(&pool, 10), in_line(&pool, 10));
    drop(all);
    assert_eq!(first.1.0.load(Ordering::Relaxed), 1);
    drop(first);
    drop(check_got_in(second));
    assert_eq!((pool.permits_left(), pool.weight_left()), (3, Some(10)));
}

#[test]
fn a_future_that_is_never_polled_takes_no_place() {
    let pool = pool();
    drop(pool.acquire(5));
    assert_eq!((pool.permits_left(), pool.waiting()), (3, 0));
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let pool = pool();
    let all = pool.try_acquire(10).unwrap();
    let (mut acquire, old) = in_line(&pool, 1);
    let new = Arc::default();
    assert!(poll(&mut acquire, &new).is_pending());
    drop(all);
    assert_eq!(old.0.load(Ordering::Relaxed), 0);
    drop(check_got_in((acquire, new)));
}

/// Against a plain list: who is in, who waits, in which order they get in.
#[test]
fn random_callers_get_in_in_the_order_in_which_they_came() {
    for_seeds(400, |random| {
        let (permits, weight_max) = (1 + random.below(4), 1 + random.below(12));
        let waiting_max = random.below(6);
        let pool = BulkheadConfig::new(permits as u32).weight_max(weight_max);
        let pool = pool.waiting_max(waiting_max as u32).build().unwrap();
        let (mut inside, mut line) = (
            Vec::<(Permit, u64)>::new(),
            VecDeque::<(Acquire, u64)>::new(),
        );
        let alarm = Arc::default();
        for _ in 0..300 {
            match random.below(4) {
                0 | 1 => {
                    let weight = random.below(weight_max + 2);
                    let mut acquire = pool.acquire(weight);
                    let used: u64 = inside.iter().map(|(_, weight)| weight).sum();
                    let room = (inside.len() as u64) < permits && used + weight <= weight_max;
                    let expect_in = line.is_empty() && room;
                    let expect_line = !expect_in && (line.len() as u64) < waiting_max;
                    match poll(&mut acquire, &alarm) {
                        Poll::Ready(Ok(permit)) if expect_in => inside.push((permit, weight)),
                        Poll::Ready(Err(Full::TooHeavy { .. })) if weight > weight_max => {}
                        Poll::Ready(Err(Full::NoRoom { .. })) if !expect_in && !expect_line => {}
                        Poll::Pending if expect_line => line.push_back((acquire, weight)),
                        other => panic!("{other:?} for {weight}"),
                    }
                }
                2 if !inside.is_empty() => {
                    let leaves = random.below(inside.len() as u64) as usize;
                    drop(inside.swap_remove(leaves));
                }
                3 if !line.is_empty() => {
                    line.remove(random.below(line.len() as u64) as usize);
                }
                _ => {}
            }
            let mut still_waiting = false;
            line.retain_mut(|(acquire, weight)| match poll(acquire, &alarm) {
                Poll::Ready(Ok(permit)) => {
                    assert!(!still_waiting, "overtaken");
                    inside.push((permit, *weight));
                    false
                }
                Poll::Ready(Err(full)) => panic!("{full}"),
                Poll::Pending => {
                    still_waiting = true;
                    true
                }
            });
            let used: u64 = inside.iter().map(|(_, weight)| weight).sum();
            assert_eq!(
                u64::from(pool.permits_left()),
                permits - inside.len() as u64
            );
            assert_eq!(pool.weight_left(), Some(weight_max - used));
            assert_eq!(u64::from(pool.waiting()), line.len() as u64);
            if let Some((_, first)) = line.front() {
                let room = (inside.len() as u64) < permits && used + first <= weight_max;
                assert!(!room, "the first in line was forgotten");
            }
        }
        drop((inside, line));
        assert_eq!(
            (u64::from(pool.permits_left()), pool.weight_left()),
            (permits, Some(weight_max))
        );
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_on_all_threads_never_exceed_the_pool_and_none_is_forgotten() {
    let pool = BulkheadConfig::new(3)
        .weight_max(10)
        .waiting_max(1000)
        .build()
        .unwrap();
    let held = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (1..=40)
        .map(|seed| {
            let (pool, held) = (pool.clone(), held.clone());
            tokio::spawn(async move {
                let mut random = Xorshift::new(seed);
                for _ in 0..200 {
                    let weight = 1 + random.below(10);
                    let mut acquire = pool.acquire(weight);
                    if random.chance(0.3) {
                        // Gives up after one poll, granted or not.
                        let once = std::future::poll_fn(|context| {
                            let _ = Pin::new(&mut acquire).poll(context);
                            Poll::Ready(())
                        });
                        once.await;
                        tokio::task::yield_now().await;
                        continue;
                    }
                    let permit = acquire.await.unwrap();
                    assert!(held.fetch_add(weight, Ordering::SeqCst) + weight <= 10);
                    tokio::task::yield_now().await;
                    held.fetch_sub(weight, Ordering::SeqCst);
                    drop(permit);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        (pool.permits_left(), pool.weight_left(), pool.waiting()),
        (3, Some(10), 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_shell_leaves_the_line_when_its_time_is_over() {
    let pool = pool();
    let all = pool.try_acquire(10).unwrap();
    let begun = tokio::time::Instant::now();
    let outcome = pool.acquire_within(1, ms(50)).await.map(drop);
    assert_eq!((outcome, begun.elapsed()), (Err(Full::TimedOut), ms(50)));
    assert_eq!(pool.waiting(), 0);
    let later = tokio::spawn(async move {
        tokio::time::sleep(ms(20)).await;
        drop(all);
    });
    assert!(pool.acquire_within(1, ms(50)).await.is_ok());
    later.await.unwrap();
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let good = BulkheadConfig::new(1);
    let bad = [
        ("permits", BulkheadConfig::new(0)),
        ("permits", BulkheadConfig::new(1_000_001)),
        ("weight_max", good.weight_max(0)),
        ("waiting_max", good.waiting_max(1_000_001)),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field, "{config:?}");
    }
}
