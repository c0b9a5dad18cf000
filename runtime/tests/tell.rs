//! What becomes of a message that is told.
#![allow(missing_docs)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Log, Msg, PanicsInDrop, Puppet, soon, system};
use futures_util::poll;
use tokio::sync::Notify;
use treewarden_runtime::{
    Actor, ActorRef, Context, DeadLetterReason, Failure, Mailbox, MessageContext, Overflow,
    Receipt, SpawnOptions, System, TellError,
};

/// A puppet with this mailbox, suspended in a handler, so that its queue fills up.
async fn suspended(system: &System, mailbox: Mailbox) -> (ActorRef<Msg>, Log, Arc<Notify>) {
    let log = Log::default();
    let actor = system
        .spawn_with(SpawnOptions::new().mailbox(mailbox), Puppet::logging(&log))
        .unwrap();
    let release = Arc::new(Notify::new());
    actor.tell(Msg::Wait(release.clone())).await.unwrap();
    while !log.lines().contains(&"waiting".to_owned()) {
        tokio::task::yield_now().await;
    }
    log.take();
    (actor, log, release)
}

fn notes(log: &Log) -> Vec<String> {
    log.lines()
        .into_iter()
        .filter(|line| line.starts_with("note"))
        .collect()
}

/// Everything that was queued has been handled.
async fn settled(actor: &ActorRef<Msg>) {
    while actor.queue_depth() > 0 {
        tokio::task::yield_now().await;
    }
    soon(actor.ask(Msg::Total)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_a_sender_are_handled_in_order() {
    let log = Log::default();
    let actor = system().spawn(Puppet::logging(&log));
    for n in 0..5000 {
        actor.tell(Msg::Note(n)).await.unwrap();
    }
    settled(&actor).await;
    let expected: Vec<_> = (0..5000).map(|n| format!("note {n}")).collect();
    assert_eq!(notes(&log), expected);
}

#[tokio::test(start_paused = true)]
async fn tell_all_keeps_the_order_and_waits_for_room() {
    let (actor, log, release) = suspended(&system(), Mailbox::bounded(3)).await;
    let telling = actor.tell_all((0..100).map(Msg::Note));
    tokio::pin!(telling);
    assert!(poll!(&mut telling).is_pending());
    release.notify_one();
    soon(telling).await.unwrap();
    settled(&actor).await;
    let expected: Vec<_> = (0..100).map(|n| format!("note {n}")).collect();
    assert_eq!(notes(&log), expected);
}

#[tokio::test(start_paused = true)]
async fn tell_all_says_which_messages_were_not_accepted() {
    let mailbox = Mailbox::bounded(3).overflow(Overflow::Refuse);
    let (actor, log, release) = suspended(&system(), mailbox).await;
    let error = actor.tell_all((0..100).map(Msg::Note)).await.unwrap_err();
    assert!(matches!(error.error, TellError::Full(Msg::Note(3))));
    let rest: Vec<_> = error
        .rest
        .map(|msg| matches!(msg, Msg::Note(4..)))
        .collect();
    assert_eq!(rest, [true; 96]);
    release.notify_one();
    settled(&actor).await;
    assert_eq!(notes(&log), ["note 0", "note 1", "note 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_that_waits_hands_a_try_tell_back_and_makes_a_tell_wait() {
    let (actor, log, release) = suspended(&system(), Mailbox::bounded(2)).await;
    actor.try_tell(Msg::Note(1)).unwrap();
    actor.try_tell(Msg::Note(2)).unwrap();
    let refused = actor.try_tell(Msg::Note(3));
    assert!(matches!(refused, Err(TellError::Full(Msg::Note(3)))));
    let waiting = actor.tell(Msg::Note(4));
    tokio::pin!(waiting);
    assert!(poll!(&mut waiting).is_pending());
    release.notify_one();
    soon(waiting).await.unwrap();
    settled(&actor).await;
    assert_eq!(notes(&log), ["note 1", "note 2", "note 4"]);
}

#[tokio::test(start_paused = true)]
async fn a_tell_that_finds_room_queues_before_it_is_awaited() {
    let (actor, log, release) = suspended(&system(), Mailbox::bounded(2)).await;
    drop(actor.tell(Msg::Note(1)));
    release.notify_one();
    settled(&actor).await;
    assert_eq!(notes(&log), ["note 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_tell_that_is_cancelled_while_it_waits_gives_its_message_back() {
    let (actor, log, release) = suspended(&system(), Mailbox::bounded(1)).await;
    actor.try_tell(Msg::Note(1)).unwrap();
    let mut waiting = actor.tell(Msg::Note(2));
    assert!(poll!(&mut waiting).is_pending());
    let mut behind = actor.tell(Msg::Note(3));
    assert!(poll!(&mut behind).is_pending());
    assert!(matches!(waiting.cancel(), Some(Msg::Note(2))));
    release.notify_one();
    soon(behind).await.unwrap();
    settled(&actor).await;
    assert_eq!(notes(&log), ["note 1", "note 3"]);
}

#[tokio::test(start_paused = true)]
async fn the_overflow_policy_decides_what_a_full_mailbox_does() {
    struct Case {
        overflow: Overflow,
        tell_is_ok: bool,
        handled: &'static [&'static str],
        dead: Option<DeadLetterReason>,
    }
    let cases = [
        Case {
            overflow: Overflow::Refuse,
            tell_is_ok: false,
            handled: &["note 1", "note 2"],
            dead: None,
        },
        Case {
            overflow: Overflow::DropNewest,
            tell_is_ok: true,
            handled: &["note 1", "note 2"],
            dead: Some(DeadLetterReason::DroppedNewest),
        },
        Case {
            overflow: Overflow::DropOldest,
            tell_is_ok: true,
            handled: &["note 2", "note 3"],
            dead: Some(DeadLetterReason::DroppedOldest),
        },
    ];
    for case in cases {
        let system = system();
        let mailbox = Mailbox::bounded(2).overflow(case.overflow);
        let (actor, log, release) = suspended(&system, mailbox).await;
        actor.tell(Msg::Note(1)).await.unwrap();
        actor.tell(Msg::Note(2)).await.unwrap();
        let third = actor.tell(Msg::Note(3)).await;
        assert_eq!(third.is_ok(), case.tell_is_ok, "{:?}", case.overflow);
        release.notify_one();
        settled(&actor).await;
        assert_eq!(notes(&log), case.handled, "{:?}", case.overflow);
        assert_eq!(
            system.dead_letters().total(),
            u64::from(case.dead.is_some()),
            "{:?}",
            case.overflow
        );
        if let Some(reason) = case.dead {
            assert_eq!(system.dead_letters().count(reason), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_message_is_a_dead_letter_and_not_handled() {
    let system = system();
    let (actor, log, release) = suspended(&system, Mailbox::bounded(8)).await;
    let mut letters = system.dead_letters().subscribe();
    let now = tokio::time::Instant::now();
    let soon_over = MessageContext::new().with_deadline(now + Duration::from_millis(10));
    let later_over = MessageContext::new().with_deadline(now + Duration::from_secs(10));
    actor.tell_with(Msg::Note(1), soon_over).await.unwrap();
    actor.tell_with(Msg::Note(2), later_over).await.unwrap();
    tokio::time::advance(Duration::from_millis(20)).await;
    release.notify_one();
    settled(&actor).await;
    assert_eq!(notes(&log), ["note 2"]);
    assert_eq!(system.dead_letters().count(DeadLetterReason::Expired), 1);
    let letter = letters.recv().await.unwrap();
    assert_eq!(letter.reason, DeadLetterReason::Expired);
    assert_eq!(letter.path, actor.path());
    assert!(letter.context.unwrap().deadline().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_at_the_end_of_an_address_is_a_dead_letter_and_later_sends_are_handed_back()
{
    let system = system();
    let (actor, _, release) = suspended(&system, Mailbox::bounded(8)).await;
    actor.tell(Msg::Note(1)).await.unwrap();
    actor.tell(Msg::Note(2)).await.unwrap();
    actor.stop();
    release.notify_one();
    soon(actor.closed()).await;
    assert_eq!(system.dead_letters().count(DeadLetterReason::Gone), 2);
    let refused = actor.tell(Msg::Note(3)).await;
    assert!(matches!(refused, Err(TellError::Gone(Msg::Note(3)))));
    assert_eq!(system.dead_letters().total(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_when_the_address_ends_gets_its_message_back() {
    let (actor, _, _release) = suspended(&system(), Mailbox::bounded(1)).await;
    actor.try_tell(Msg::Note(1)).unwrap();
    let mut waiting = actor.tell(Msg::Note(2));
    assert!(poll!(&mut waiting).is_pending());
    actor.kill();
    let handed_back = soon(waiting).await;
    assert!(matches!(
        handed_back,
        Err(TellError::Gone(Msg::Note(2)) | TellError::Stopped(Msg::Note(2)))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_discarded_message_whose_drop_panics_does_no_harm() {
    let system = system();
    let (actor, _, _release) = suspended(&system, Mailbox::bounded(8)).await;
    actor.tell(Msg::Boom(PanicsInDrop)).await.unwrap();
    actor.tell(Msg::Note(1)).await.unwrap();
    actor.kill();
    soon(actor.closed()).await;
    assert_eq!(system.dead_letters().count(DeadLetterReason::Gone), 2);
}

#[tokio::test(start_paused = true)]
async fn a_recipient_takes_what_messages_are_made_from() {
    let log = Log::default();
    let actor = system().spawn(Puppet::logging(&log));
    let recipient = actor.recipient::<u64>();
    recipient.tell(1).await.unwrap();
    recipient.try_tell(2).unwrap();
    settled(&actor).await;
    assert_eq!(notes(&log), ["note 1", "note 2"]);
    assert_eq!(recipient, actor.clone().recipient());
    assert_eq!(recipient.path(), actor.path());
}

#[tokio::test(start_paused = true)]
async fn a_weak_reference_does_not_keep_an_ended_address() {
    let actor = system().spawn(Puppet::default());
    let weak = actor.downgrade();
    assert_eq!(weak.upgrade().as_ref(), Some(&actor));
    actor.stop();
    soon(actor.closed()).await;
    drop(actor);
    tokio::task::yield_now().await;
    assert!(weak.upgrade().is_none());
}

#[tokio::test]
async fn a_busy_actor_does_not_starve_others_of_its_worker() {
    // This test has one thread. The backlog is handled in slices, so the quiet one gets its turn.
    let system = system();
    let options = SpawnOptions::new().mailbox(Mailbox::unbounded());
    let busy = system.spawn_with(options, Puppet::default()).unwrap();
    let quiet = system.spawn(Puppet::default());
    for _ in 0..100_000 {
        busy.try_tell(Msg::Add(1)).unwrap();
    }
    quiet.ask(Msg::Total).await.unwrap();
    assert!(
        busy.queue_depth() > 0,
        "the quiet one did not wait for the backlog"
    );
}

#[tokio::test]
async fn an_actor_that_is_slow_gives_way_after_each_message() {
    /// Blocks its thread for longer than a slice.
    struct Blocks;
    impl Actor for Blocks {
        type Msg = ();
        type Error = Failure;
        async fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<(), Failure> {
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        }
    }
    let system = system();
    let slow = system.spawn(Blocks);
    let quiet = system.spawn(Puppet::default());
    for _ in 0..50 {
        slow.try_tell(()).unwrap();
    }
    // In a task, because tokio comes back to the test's own future only after many turns of tasks.
    let asking = tokio::spawn(async move {
        for _ in 0..3 {
            quiet.ask(Msg::Total).await.unwrap();
        }
        50 - slow.queue_depth()
    });
    let handled = asking.await.unwrap();
    assert!(handled <= 15, "{handled} went before three answers");
}

#[tokio::test]
async fn a_receipt_is_told_whether_its_message_was_handled() {
    struct Picky;

    impl Actor for Picky {
        type Msg = u64;
        type Error = Failure;

        async fn handle(&mut self, n: u64, cx: &mut Context<Self>) -> Result<(), Failure> {
            match n {
                0 => Ok(()),
                1 => Err(Failure::msg("not this one")),
                2 => panic!("nor this one"),
                _ => {
                    cx.stop();
                    Ok(())
                }
            }
        }
    }

    /// What the receipts of these messages are told, in order of the messages.
    async fn told(messages: &[u64]) -> Vec<bool> {
        let actor = System::new("test").spawn(Picky);
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        for (place, message) in messages.iter().enumerate() {
            let told = told.clone();
            let receipt = Receipt::new(move |handled| {
                let _ = told.send((place, handled));
            });
            let context = MessageContext::new().with_receipt(receipt);
            let _ = actor.try_tell_with(*message, context);
        }
        drop(told);
        let mut all = Vec::new();
        while let Some(one) = heard.recv().await {
            all.push(one);
        }
        all.sort_unstable();
        all.into_iter().map(|(_, handled)| handled).collect()
    }

    for (messages, expected) in [
        (&[0, 1, 0][..], &[true, false, false][..]),
        (&[0, 2, 0], &[true, false, false]),
        (&[0, 9, 0], &[true, true, false]),
    ] {
        assert_eq!(told(messages).await, expected, "{messages:?}");
    }
}
