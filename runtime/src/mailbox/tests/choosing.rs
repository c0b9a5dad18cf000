//! The queues that choose: shedding by waiting time and class, and turns for keys.
//!
//! Time is a number that the test sets. `TREEWARDEN_SEED=n` runs one seed of a property alone.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;
use crate::dead_letter::DeadLetterReason;
use crate::envelope::Criticality::{self, Critical, Default as Ordinary, Sheddable};

#[derive(Debug, PartialEq, Eq)]
struct Letter {
    number: u32,
    class: Criticality,
    key: u64,
    weight_bytes: usize,
    sentence: Option<DeadLetterReason>,
}

fn letter(number: u32, class: Criticality) -> Letter {
    Letter {
        number,
        class,
        key: 0,
        weight_bytes: 0,
        sentence: None,
    }
}

fn keyed(number: u32, key: u64) -> Letter {
    Letter {
        key,
        ..letter(number, Ordinary)
    }
}

thread_local! {
    static BEGIN: Instant = Instant::now();
    static MS: Cell<u64> = const { Cell::new(0) };
}

fn at_ms(ms: u64) {
    MS.set(ms);
}

fn queue(mailbox: &Mailbox) -> Queue<Letter> {
    at_ms(0);
    let reading = Reading {
        now: || BEGIN.with(|begin| *begin + Duration::from_millis(MS.get())),
        criticality_of: |letter: &Letter| letter.class,
        sentence: |letter, reason| letter.sentence = Some(reason),
    };
    let config = mailbox.queue_config::<Letter, Letter>(|letter| letter, reading);
    Queue::new(config.expect("these are its messages"))
}

fn adaptive(capacity: usize) -> Queue<Letter> {
    queue(&Mailbox::bounded(capacity).shed(Shedding::adaptive()))
}

fn fair(capacity: usize) -> Queue<Letter> {
    queue(&Mailbox::bounded(capacity).fair_by(|letter: &Letter| letter.key))
}

fn pop(queue: &Queue<Letter>) -> Option<Letter> {
    queue.consume().expect("no other consumer").pop()
}

/// The numbers that come out, the shed ones negative.
fn drain(queue: &Queue<Letter>) -> Vec<i64> {
    std::iter::from_fn(|| pop(queue))
        .map(|letter| match letter.sentence {
            None => i64::from(letter.number),
            Some(_) => -i64::from(letter.number),
        })
        .collect()
}

fn push_all(queue: &Queue<Letter>, letters: impl IntoIterator<Item = Letter>) {
    for letter in letters {
        assert!(matches!(queue.try_push(letter), Ok(Pushed::Queued)));
    }
}

/// Two requests of this class, and looks at them until their line stands: for an interval above the target.
fn make_stand(queue: &Queue<Letter>, class: Criticality) {
    at_ms(0);
    push_all(queue, [letter(1, class), letter(2, class)]);
    at_ms(104);
    push_all(queue, [letter(3, Critical), letter(4, class)]);
    at_ms(105);
    let first = pop(queue).expect("something is queued");
    assert_ne!(first.sentence, None, "the oldest had waited for too long");
}

#[test]
fn a_calm_mailbox_serves_the_critical_first_and_each_class_in_order() {
    let queue = adaptive(10);
    push_all(
        &queue,
        [
            letter(1, Sheddable),
            letter(2, Ordinary),
            letter(3, Critical),
            letter(4, Ordinary),
            letter(5, Critical),
            letter(6, Sheddable),
        ],
    );
    assert_eq!(drain(&queue), [3, 5, 2, 4, 1, 6]);
}

#[test]
fn a_line_that_stands_sheds_what_is_too_old_and_serves_the_newest_first() {
    let queue = adaptive(10);
    make_stand(&queue, Ordinary);
    assert_eq!(drain(&queue), [-2, 3, 4]);
    at_ms(0);
    push_all(&queue, [letter(1, Ordinary)]);
    at_ms(60);
    push_all(&queue, (2..5).map(|number| letter(number, Ordinary)));
    at_ms(110);
    push_all(&queue, (5..7).map(|number| letter(number, Ordinary)));
    assert_eq!(drain(&queue), [-1, 6, 5, 4, 3, 2]);
}

#[test]
fn a_line_that_has_emptied_is_served_in_order_again() {
    let queue = adaptive(10);
    make_stand(&queue, Ordinary);
    drain(&queue);
    push_all(&queue, (10..15).map(|number| letter(number, Ordinary)));
    assert_eq!(drain(&queue), [10, 11, 12, 13, 14]);
}

#[test]
fn a_less_critical_newcomer_is_refused_while_a_more_critical_line_stands() {
    let queue = adaptive(10);
    make_stand(&queue, Ordinary);
    let refused = queue.try_push(letter(9, Sheddable));
    assert_eq!(refused, Err(Rejected::Refused(letter(9, Sheddable))));
    push_all(&queue, [letter(10, Ordinary), letter(11, Critical)]);
    assert_eq!(queue.load().refused.sheddable, 1);
    drain(&queue);
    assert_eq!(pop(&queue), None, "the look that ends it");
    push_all(&queue, [letter(12, Sheddable)]);
}

#[test]
fn a_full_mailbox_gives_up_its_oldest_of_the_least_critical_class() {
    let queue = adaptive(3);
    push_all(
        &queue,
        [
            letter(1, Sheddable),
            letter(2, Ordinary),
            letter(3, Sheddable),
        ],
    );
    let displaced = |pushed| match pushed {
        Ok(Pushed::Displaced(letters)) => letters
            .iter()
            .map(|letter: &Letter| (letter.number, letter.sentence))
            .collect::<Vec<_>>(),
        other => panic!("expected to displace, got {other:?}"),
    };
    let shed = Some(DeadLetterReason::Shed);
    assert_eq!(displaced(queue.try_push(letter(4, Critical))), [(1, shed)]);
    assert_eq!(displaced(queue.try_push(letter(5, Ordinary))), [(3, shed)]);
    assert_eq!(
        queue.try_push(letter(6, Ordinary)),
        Err(Rejected::Refused(letter(6, Ordinary))),
        "nothing below it is left"
    );
    assert_eq!(displaced(queue.try_push(letter(7, Critical))), [(2, shed)]);
    assert_eq!(drain(&queue), [4, 7, 5]);
    let load = queue.load();
    assert_eq!((load.shed.sheddable, load.shed.default), (2, 1));
    assert_eq!((load.shed.critical, load.refused.default), (0, 1));
}

#[test]
fn a_newcomer_that_would_not_fit_even_then_displaces_nobody() {
    let by_weight = Mailbox::bounded(10)
        .weigh(100, |letter: &Letter| letter.weight_bytes)
        .shed(Shedding::adaptive());
    let queue = queue(&by_weight);
    let weighing = |number, class, weight_bytes| Letter {
        weight_bytes,
        ..letter(number, class)
    };
    push_all(
        &queue,
        [weighing(1, Sheddable, 30), weighing(2, Critical, 60)],
    );
    let refused = queue.try_push(weighing(3, Ordinary, 50));
    assert!(matches!(refused, Err(Rejected::Refused(_))));
    let displacing = queue.try_push(weighing(4, Ordinary, 40));
    assert!(matches!(displacing, Ok(Pushed::Displaced(_))));
    assert_eq!(drain(&queue), [2, 4]);
}

#[test]
fn codel_sheds_in_order_once_everything_has_waited_for_an_interval() {
    let queue = queue(&Mailbox::bounded(1000).shed(Shedding::codel()));
    push_all(&queue, (0..300).map(|number| letter(number, Ordinary)));
    let mut shed = Vec::new();
    for ms in 6..300 {
        at_ms(ms);
        let letter = pop(&queue).expect("more than a message for each millisecond");
        assert_eq!(letter.number, ms as u32 - 6, "in the order of arrival");
        if letter.sentence == Some(DeadLetterReason::Shed) {
            shed.push(ms);
        }
    }
    assert_eq!(shed, [106, 206, 277]);
}

#[test]
fn messages_in_reserved_slots_come_first_and_are_never_shed() {
    for queue in [adaptive(1), fair(1)] {
        push_all(&queue, [letter(1, Critical)]);
        assert_eq!(queue.force_push(letter(2, Sheddable)), Ok(()));
        at_ms(1000);
        assert_eq!(queue.len(), 2);
        assert_eq!(pop(&queue).map(|letter| letter.number), Some(2));
    }
}

#[test]
fn keys_take_turns_and_each_keeps_its_order() {
    let queue = fair(100);
    push_all(&queue, (0..50).map(|number| keyed(number, 1)));
    push_all(&queue, [keyed(100, 2), keyed(101, 2), keyed(200, 3)]);
    assert_eq!(drain(&queue)[..7], [0, 100, 200, 1, 101, 2, 3]);
}

#[test]
fn the_longest_key_gives_way_and_refuses_itself() {
    let queue = fair(4);
    push_all(&queue, (0..4).map(|number| keyed(number, 1)));
    assert_eq!(
        queue.try_push(keyed(4, 1)),
        Err(Rejected::Refused(keyed(4, 1)))
    );
    for (number, key, displaced) in [(10, 2, 3), (20, 3, 2)] {
        match queue.try_push(keyed(number, key)) {
            Ok(Pushed::Displaced(letters)) => {
                assert_eq!(letters[0].number, displaced);
                assert_eq!(letters[0].sentence, Some(DeadLetterReason::OverShare));
            }
            other => panic!("expected to displace, got {other:?}"),
        }
    }
    // 2, 1 and 1 are queued now: one more of another key would make that as long as the longest.
    let displaces = queue.try_push(keyed(30, 4));
    assert!(matches!(displaces, Ok(Pushed::Displaced(_))));
    let refused = queue.try_push(keyed(31, 5));
    assert!(matches!(refused, Err(Rejected::Refused(_))), "all have one");
    assert_eq!(drain(&queue).len(), 4);
}

#[test]
fn heavy_messages_take_as_many_bytes_as_light_ones() {
    let by_weight = Mailbox::bounded(10_000)
        .weigh(64 * 1000, |letter: &Letter| letter.weight_bytes)
        .fair_by(|letter: &Letter| letter.key);
    let queue = queue(&by_weight);
    let weighing = |number, key, weight_bytes| Letter {
        weight_bytes,
        ..keyed(number, key)
    };
    push_all(&queue, (0..20).map(|number| weighing(number, 1, 1500)));
    push_all(&queue, (0..300).map(|number| weighing(number, 2, 100)));
    let mut bytes: BTreeMap<u64, usize> = BTreeMap::new();
    for _ in 0..160 {
        let letter = pop(&queue).expect("there are more");
        *bytes.entry(letter.key).or_default() += letter.weight_bytes;
    }
    let difference = bytes[&1].abs_diff(bytes[&2]);
    assert!(difference <= 2500, "a quantum and the heaviest: {bytes:?}");
}

fn seeds() -> Vec<u64> {
    match std::env::var_os("TREEWARDEN_SEED") {
        Some(_) => vec![seed(0)],
        None if cfg!(miri) => vec![0],
        None => (0..30).collect(),
    }
}

/// Whatever happens, each message comes out once: served, shed, displaced or handed back; and the bounds hold.
#[test]
fn every_message_has_one_fate_and_the_bounds_hold() {
    let mailbox = Mailbox::bounded(20);
    let mailboxes = [
        mailbox.clone().shed(Shedding::adaptive()),
        mailbox.clone().shed(Shedding::codel()),
        mailbox.clone().fair_by(|letter: &Letter| letter.key),
        mailbox
            .clone()
            .weigh(100, |letter: &Letter| letter.weight_bytes)
            .shed(Shedding::adaptive()),
        mailbox
            .weigh(100, |letter: &Letter| letter.weight_bytes)
            .fair_by(|letter: &Letter| letter.key),
    ];
    for seed in seeds() {
        for mailbox in &mailboxes {
            let queue = queue(mailbox);
            let mut random = Random::new(seed);
            let mut fates = vec![0u8; 2000];
            let (mut ms, mut queued) = (0, 0usize);
            let (mut refused, mut shed) = (0, 0);
            for number in 0..2000 {
                let at = format!("seed {seed}, message {number}, {mailbox:?}");
                // Slow and fast times, so that lines stand and recover.
                ms += random.below(if (number / 300) % 2 == 0 { 30 } else { 3 });
                at_ms(ms);
                let class = [Sheddable, Ordinary, Critical][random.below(3) as usize];
                let sent = Letter {
                    key: random.below(4) * random.below(2),
                    weight_bytes: random.below(40) as usize,
                    ..letter(number, class)
                };
                match queue.try_push(sent) {
                    Ok(Pushed::Queued) => queued += 1,
                    Ok(Pushed::Displaced(letters)) => {
                        queued += 1;
                        queued -= letters.len();
                        for letter in letters {
                            assert!(letter.sentence.is_some(), "{at}");
                            fates[letter.number as usize] += 1;
                            shed += 1;
                        }
                    }
                    Err(Rejected::Refused(letter)) => {
                        assert_eq!(letter.number, number, "{at}");
                        fates[number as usize] += 1;
                        refused += 1;
                    }
                    other => panic!("{at}: {other:?}"),
                }
                for _ in 0..random.below(3) {
                    if let Some(letter) = pop(&queue) {
                        fates[letter.number as usize] += 1;
                        shed += u64::from(letter.sentence.is_some());
                        queued -= 1;
                    }
                }
                let load = queue.load();
                assert_eq!(queue.len(), queued, "{at}");
                assert!(
                    load.len <= 20 && load.weight_bytes <= load.weight_bytes_max,
                    "{at}"
                );
                assert_eq!(
                    (load.refused.total(), load.shed.total()),
                    (refused, shed),
                    "{at}"
                );
            }
            while let Some(letter) = pop(&queue) {
                fates[letter.number as usize] += 1;
            }
            assert_eq!(fates, vec![1; 2000], "seed {seed}, {mailbox:?}");
            assert_eq!(queue.load().weight_bytes, 0, "seed {seed}, {mailbox:?}");
        }
    }
}

/// However hard one key floods: a key that sends less than its share loses nothing, and waits for no more than one turn of
/// each key before each of its messages.
#[test]
fn a_flooding_key_neither_starves_nor_displaces_the_others() {
    for seed in seeds() {
        let queue = fair(100);
        let mut random = Random::new(seed);
        let modest_keys = 1 + random.below(8);
        let flood = 2 + random.below(50);
        let mut turns_waited: BTreeMap<u32, u64> = BTreeMap::new();
        let mut number = 0;
        for _ in 0..500 {
            for _ in 0..flood {
                number += 1;
                let _given_up = queue.try_push(keyed(number, 0));
            }
            // Each modest key has at most two messages queued, so at most 17 of the 100 places are theirs.
            let key = 1 + random.below(modest_keys);
            let own_queued = turns_waited
                .iter()
                .filter(|(n, _)| u64::from(**n) % 10 == key);
            if own_queued.count() < 2 {
                let own = (number + 1) * 10 + key as u32;
                match queue.try_push(keyed(own, key)) {
                    Ok(Pushed::Queued) => {}
                    Ok(Pushed::Displaced(letters)) => assert_eq!(letters[0].key, 0, "seed {seed}"),
                    other => panic!("seed {seed}: {other:?}"),
                }
                turns_waited.insert(own, 0);
            }
            for _ in 0..random.below(4) {
                let Some(letter) = pop(&queue) else { break };
                assert_eq!(letter.sentence, None, "seed {seed}");
                if letter.key != 0 {
                    let waited = turns_waited.remove(&letter.number).expect("it was queued");
                    assert!(
                        waited <= 2 * (modest_keys + 1),
                        "seed {seed}: {waited} turns"
                    );
                }
                for waited in turns_waited.values_mut() {
                    *waited += 1;
                }
            }
        }
    }
}
