//! What the launcher makes of what it hears.

use super::*;
use crate::wordcount::{
    cuts::CUT_TIME_MIN,
    pulse::{STALL_TIME_MAX, START_TIME_MAX},
    tally::count_chunk,
};

type Written = Progress<Vec<u8>>;

fn progress() -> Written {
    let story = Story::new(Vec::new(), false, std::time::Instant::now());
    Progress::new(story, 3, 300)
}

fn member(name: &str, standing: Standing) -> Event {
    Event::Member {
        name: name.into(),
        standing,
    }
}

fn feed(progress: &mut Written, node: usize, event: Event) {
    assert_eq!(progress.on_event(node, event), Ok(Order::Nothing));
}

fn finish(progress: &mut Written) {
    let counted = Event::Counted {
        chunks: 3,
        redeliveries: 1,
        taken_over: 0,
        bytes: 300,
    };
    feed(progress, 0, counted);
    feed(progress, 0, Event::Done);
}

#[tokio::test(start_paused = true)]
async fn the_job_is_complete_when_the_result_is_there_and_all_survivors_know_of_the_death() {
    let mut progress = progress();
    feed(
        &mut progress,
        0,
        Event::Begun {
            workers: 6,
            found: None,
        },
    );
    let kill = Event::Kill {
        name: "node-3".into(),
        chunks: 4,
    };
    let order = progress.on_event(0, kill);
    assert_eq!(order, Ok(Order::Kill { node: 2, chunks: 4 }));
    progress.on_kill(2, 4711, 4, Instant::now());
    assert_eq!(progress.on_end(2, None), Ok(()));
    tokio::time::advance(Duration::from_millis(500)).await;
    feed(&mut progress, 1, member("node-3", Standing::Unreachable));
    tokio::time::advance(Duration::from_millis(250)).await;
    feed(&mut progress, 1, member("node-3", Standing::Down));
    finish(&mut progress);
    assert!(!progress.is_complete());
    tokio::time::advance(Duration::from_millis(250)).await;
    feed(&mut progress, 0, member("node-3", Standing::Down));
    assert!(progress.is_complete());
    let victim = &progress.victims()[0];
    let ms = |after: Option<Duration>| after.unwrap().as_millis();
    assert_eq!(
        (ms(victim.unreachable_after), ms(victim.down_after)),
        (500, 750)
    );
}

#[tokio::test(start_paused = true)]
async fn a_survivor_that_has_nothing_to_tell_is_not_waited_for_much_longer() {
    let mut progress = progress();
    feed(
        &mut progress,
        0,
        Event::Begun {
            workers: 6,
            found: None,
        },
    );
    progress.on_kill(2, 4711, 4, Instant::now());
    tokio::time::advance(Duration::from_secs(1)).await;
    feed(&mut progress, 1, member("node-3", Standing::Down));
    finish(&mut progress);
    assert!(!progress.is_complete());
    assert_eq!(progress.deadline() - Instant::now(), AGREEMENT_TIME_MAX);
    tokio::time::advance(AGREEMENT_TIME_MAX).await;
    assert!(progress.is_complete());
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_its_deadline() {
    let mut progress = progress();
    let check = |progress: &Written, left: Duration, what: &str| {
        assert_eq!(progress.deadline() - Instant::now(), left);
        assert!(progress.overdue().to_string().contains(what));
    };
    check(&progress, START_TIME_MAX, "find each other within 30 s");
    feed(
        &mut progress,
        0,
        Event::Begun {
            workers: 6,
            found: None,
        },
    );
    tokio::time::advance(Duration::from_secs(10)).await;
    check(
        &progress,
        STALL_TIME_MAX - Duration::from_secs(10),
        "no chunk",
    );
    feed(&mut progress, 0, Event::Progress { bytes: 100 });
    check(&progress, STALL_TIME_MAX, "no chunk");
    finish(&mut progress);
    check(&progress, DETECTION_TIME_MAX, "did not notice");
}

#[tokio::test]
async fn the_end_of_a_node_is_the_end_of_the_job_before_the_work_begins_or_when_none_is_left() {
    let mut progress = progress();
    assert!(progress.on_end(1, None).is_err(), "the work has not begun");
    let mut progress = self::progress();
    feed(
        &mut progress,
        0,
        Event::Begun {
            workers: 6,
            found: None,
        },
    );
    assert_eq!(progress.on_end(1, None), Ok(()));
    assert_eq!(progress.on_end(0, None), Ok(()), "another one coordinates");
    assert!(progress.on_end(2, None).is_err());
}

#[tokio::test]
async fn a_result_counts_when_it_is_whole_and_only_the_first() {
    let mut progress = progress();
    let begun = |found| Event::Begun { workers: 6, found };
    let counted = |chunks| Event::Counted {
        chunks,
        redeliveries: 0,
        taken_over: 0,
        bytes: 300,
    };
    let result = |text: &[u8]| Event::Result(count_chunk(text).into());
    feed(&mut progress, 0, begun(None));
    feed(&mut progress, 0, counted(1));
    feed(&mut progress, 0, result(b"half"));
    // It dies before it is done, and another one follows; the third does not know that it is late.
    feed(&mut progress, 1, begun(Some(5)));
    for node in [1, 2] {
        feed(&mut progress, node, counted(10 + node as u64));
        feed(&mut progress, node, result(b"a b"));
        feed(&mut progress, node, result(b"a"));
    }
    assert!(!progress.is_complete());
    feed(&mut progress, 1, Event::Done);
    feed(&mut progress, 2, Event::Done);
    assert!(progress.is_complete());
    let tally = progress.tally();
    assert_eq!((tally.words(), tally.count(b"a")), (3, 2));
    assert_eq!(progress.totals().unwrap().chunks, 11);
    assert_eq!(progress.coordinators(), 2);
}

#[tokio::test]
async fn a_node_that_fails_says_why() {
    let failed = Event::Failed("the port is in use".into());
    let error = progress().on_event(1, failed).unwrap_err();
    assert_eq!(error.to_string(), "node-2 failed: the port is in use");
}

#[tokio::test]
async fn restarts_are_counted_and_told() {
    let mut progress = progress();
    let restarted = Event::Restarted {
        worker: "worker-2".into(),
        incarnation: 2,
        reason: "panicked: chaos".into(),
    };
    feed(&mut progress, 1, restarted);
    assert_eq!(progress.restarts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_cut_off_is_healed_when_that_was_noticed_and_waited_for_until_it_is_back() {
    let mut progress = progress();
    for node in 0..3u16 {
        let address = ([127, 0, 0, 1], 7001 + node).into();
        let _ = progress.on_event(node.into(), Event::Listening(address));
    }
    feed(
        &mut progress,
        0,
        Event::Begun {
            workers: 6,
            found: None,
        },
    );
    let cut = Event::Cut {
        name: "node-3".into(),
        chunks: 4,
    };
    let order = progress.on_event(0, cut);
    assert_eq!(order, Ok(Order::Cut { node: 2, chunks: 4 }));
    let address = |port: u16| ([127, 0, 0, 1], port).into();
    let expected = vec![
        (0, Control::Cut(vec![address(7003)])),
        (1, Control::Cut(vec![address(7003)])),
        (2, Control::Cut(vec![address(7001), address(7002)])),
    ];
    assert_eq!(progress.on_cut(2, 4), expected);
    finish(&mut progress);
    tokio::time::advance(CUT_TIME_MIN).await;
    assert_eq!(progress.heal(), None, "nobody has noticed");
    feed(&mut progress, 1, member("node-3", Standing::Unreachable));
    assert!(progress.deadline() <= Instant::now());
    assert_eq!(progress.heal(), Some(vec![0, 1, 2]));
    assert_eq!(progress.heal(), None, "once");
    assert!(!progress.is_complete());
    feed(&mut progress, 2, member("node-1", Standing::Back));
    assert!(!progress.is_complete(), "it says so itself");
    feed(&mut progress, 1, member("node-3", Standing::Joined));
    assert!(progress.is_complete());
    assert_eq!(progress.partitions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_may_take_long_as_long_as_something_of_it_comes() {
    let mut progress = progress();
    let begun = Event::Begun {
        workers: 6,
        found: None,
    };
    feed(&mut progress, 0, begun);
    tokio::time::advance(STALL_TIME_MAX / 2).await;
    let counted = Event::Counted {
        chunks: 3,
        redeliveries: 0,
        taken_over: 0,
        bytes: 300,
    };
    feed(&mut progress, 0, counted);
    for _ in 0..10 {
        assert_eq!(progress.deadline() - Instant::now(), STALL_TIME_MAX);
        tokio::time::advance(STALL_TIME_MAX / 2).await;
        feed(&mut progress, 0, Event::Result(count_chunk(b"a b").into()));
    }
    let overdue = progress.overdue().to_string();
    assert!(overdue.contains("nothing more of the result"), "{overdue}");
    feed(&mut progress, 0, Event::Done);
    assert!(progress.is_complete());
    assert_eq!(progress.tally().count(b"a"), 10);
}
