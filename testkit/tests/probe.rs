//! Probes, ends and dead letters: what they see, and what they say when it does not come.
#![allow(missing_docs)]

use std::{future::Future, time::Duration};

use tokio::time::Instant;
use treewarden_runtime::{
    Actor, Context, DeadLetterReason, ExitReason, Failure, Mailbox, Overflow, Reply, SpawnOptions,
    System,
};
use treewarden_testkit::{DeadLetterProbe, Probe, expect_end, settle};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The text with which the future panics.
async fn failure(future: impl Future<Output: Send> + Send + 'static) -> String {
    let Err(error) = tokio::spawn(async move { drop(future.await) }).await else {
        panic!("it was to fail")
    };
    *error.into_panic().downcast::<String>().expect("a text")
}

#[tokio::test(start_paused = true)]
async fn a_probe_hands_out_what_it_is_sent() {
    let system = System::new("test");
    let mut probe = Probe::spawn(&system, "probe");
    let sender = probe.actor_ref();
    sender.tell_all(1..=7).await.unwrap();
    assert_eq!(probe.expect(SECOND).await, 1);
    assert_eq!(probe.expect_where(SECOND, |n| n % 3 == 0).await, 3);
    let half = probe.expect_map(SECOND, |n| if n % 2 == 0 { Ok(n / 2) } else { Err(n) });
    assert_eq!(half.await, 2);
    probe.expect_in_order(SECOND, [5, 6]).await;
    assert_eq!((probe.take(), probe.take()), (Some(7), None));
    assert_eq!(&*sender.path(), "/probe");
}

#[derive(Debug, PartialEq)]
struct Wrapped(u8);

impl From<u8> for Wrapped {
    fn from(n: u8) -> Self {
        Wrapped(n)
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_can_be_a_recipient() {
    let mut probe = Probe::<Wrapped>::nameless(&System::new("test"));
    probe.recipient::<u8>().tell(3).await.unwrap();
    probe.expect_in_order(SECOND, [Wrapped(3)]).await;
}

#[tokio::test(start_paused = true)]
async fn an_ask_is_answered_by_the_test() {
    let mut probe = Probe::nameless(&System::new("test"));
    let service = probe.actor_ref();
    let asking = tokio::spawn(async move { service.ask(|reply: Reply<u8>| reply).await });
    probe.expect(SECOND).await.send(3);
    assert_eq!(asking.await.unwrap(), Ok(3));
}

#[tokio::test(start_paused = true)]
async fn waiting_takes_the_time_of_the_test_and_no_other() {
    let (real, began) = (std::time::Instant::now(), Instant::now());
    let mut probe = Probe::nameless(&System::new("test"));
    probe.expect_nothing(HOUR).await;
    let late = probe.actor_ref();
    tokio::spawn(async move {
        tokio::time::sleep(HOUR).await;
        late.tell("late").await
    });
    assert_eq!(probe.expect(2 * HOUR).await, "late");
    assert_eq!(began.elapsed(), 2 * HOUR);
    assert!(real.elapsed() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_met_says_where_and_what_came_instead() {
    let system = System::new("test");
    let probe = |name: &str| {
        let probe = Probe::spawn(&system, name);
        for n in [1, 2] {
            probe.actor_ref().try_tell(n).unwrap();
        }
        probe
    };

    let mut silent = Probe::<u8>::spawn(&system, "silent");
    let line = line!() + 1;
    let text = failure(async move { silent.expect(SECOND).await }).await;
    let place = format!("testkit/tests/probe.rs:{line}:");
    assert!(text.starts_with(&place), "{text}");
    assert!(
        text.ends_with("the probe /silent got no message within 1s\n  nothing came instead"),
        "{text}"
    );

    let mut one = probe("where");
    let text = failure(async move { one.expect_where(SECOND, |n| *n == 3).await }).await;
    assert!(
        text.ends_with("got no message that fits within 1s\n  instead came:\n    1\n    2"),
        "{text}"
    );

    let mut one = probe("order");
    let text = failure(async move { one.expect_in_order(SECOND, [1, 3]).await }).await;
    assert!(
        text.contains("got something else than 3 as message 2 of a series"),
        "{text}"
    );
    assert!(text.ends_with("instead came:\n    1\n    2"), "{text}");

    let mut one = probe("nothing");
    let text = failure(async move { one.expect_nothing(SECOND).await }).await;
    assert!(
        text.ends_with("got a message where none was expected\n  instead came:\n    1"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_to_a_probe_that_was_dropped_hears_of_it() {
    let probe = Probe::<u8>::nameless(&System::new("test"));
    let sender = probe.actor_ref();
    drop(probe);
    let end = expect_end(&sender, SECOND);
    sender.tell(1).await.unwrap();
    assert!(matches!(end.await, ExitReason::Normal));
    sender.tell(2).await.unwrap_err();
}

/// Fails, panics or waits.
struct Puppet;

impl Actor for Puppet {
    type Msg = &'static str;
    type Error = Failure;

    async fn handle(&mut self, what: &'static str, _: &mut Context<Self>) -> Result<(), Failure> {
        match what {
            "fail" => Err(Failure::msg("told to")),
            "panic" => panic!("told to"),
            _ => {
                tokio::time::sleep(HOUR).await;
                Ok(())
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_told_with_its_reason_also_when_it_came_before() {
    let system = System::new("test");
    let puppet = system.spawn(Puppet);
    let end = expect_end(&puppet, SECOND);
    puppet.tell("fail").await.unwrap();
    assert_eq!(end.await.to_string(), "failed: told to");
    let puppet = system.spawn(Puppet);
    puppet.tell("panic").await.unwrap();
    settle().await;
    assert!(puppet.is_gone());
    let end = expect_end(&puppet, SECOND).await;
    assert_eq!(end.to_string(), "panicked: told to");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_does_not_come_says_how_the_actor_is() {
    let puppet = System::new("test").spawn(Puppet);
    for _ in 0..3 {
        puppet.tell("wait").await.unwrap();
    }
    let text = failure(expect_end(&puppet, SECOND)).await;
    assert!(
        text.contains("did not end within 1s; it is running, with 2 messages queued"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_seen_with_their_reason() {
    let system = System::new("test");
    let mut dead = DeadLetterProbe::new(&system);
    dead.expect_nothing(SECOND).await;
    let mailbox = Mailbox::bounded(1).overflow(Overflow::DropNewest);
    let options = SpawnOptions::new().name("puppet").mailbox(mailbox);
    let puppet = system.spawn_with(options, Puppet).unwrap();
    for _ in 0..3 {
        puppet.tell("wait").await.unwrap();
    }
    let letter = dead.expect(SECOND, DeadLetterReason::DroppedNewest).await;
    assert_eq!(&*letter.path, "/puppet");
    puppet.kill();
    let text = failure(async move { dead.expect(SECOND, DeadLetterReason::Expired).await }).await;
    assert!(
        text.contains("no dead letter with the reason expired within 1s\n  instead came:"),
        "{text}"
    );
    assert!(text.contains("Gone"), "{text}");
}
