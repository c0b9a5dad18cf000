//! How an ask ends.
#![allow(missing_docs)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Msg, Puppet, soon, system};
use futures_util::poll;
use tokio::sync::Notify;
use treewarden_runtime::{AskError, DeadLetterReason, Mailbox, Overflow, Reply, SpawnOptions};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_answer_comes_after_everything_the_asker_sent_before() {
    let actor = system().spawn(Puppet::default());
    actor.tell(Msg::Add(2)).await.unwrap();
    actor.tell(Msg::Add(3)).await.unwrap();
    assert_eq!(soon(actor.ask(Msg::Total)).await, Ok(5));
    assert_eq!(actor.ask(Msg::Total).timeout(SECOND).await, Ok(5));
}

#[tokio::test(start_paused = true)]
async fn what_the_handler_does_decides_how_an_ask_ends() {
    type Question = fn(Reply<u64>) -> Msg;
    let cases: [(&str, Question, AskError); 4] = [
        ("drops the reply", Msg::Ignore, AskError::NoReply),
        (
            "drops the reply and fails",
            Msg::IgnoreAndFail,
            AskError::CrashedWhileHandling,
        ),
        ("panics", Msg::AskedToPanic, AskError::CrashedWhileHandling),
        (
            "is killed",
            |reply| Msg::AskedToWait(Arc::default(), reply),
            AskError::CrashedWhileHandling,
        ),
    ];
    for (what, question, expected) in cases {
        let actor = system().spawn(Puppet::default());
        let ask = actor.ask(question);
        tokio::pin!(ask);
        assert!(poll!(&mut ask).is_pending());
        tokio::task::yield_now().await;
        if what == "is killed" {
            actor.kill();
        }
        assert_eq!(soon(ask).await, Err(expected), "a handler that {what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_is_queued_when_the_address_ends_was_not_handled() {
    let actor = system().spawn(Puppet::default());
    actor
        .tell(Msg::Wait(Arc::new(Notify::new())))
        .await
        .unwrap();
    let ask = actor.ask(Msg::Total);
    tokio::pin!(ask);
    assert!(poll!(&mut ask).is_pending());
    actor.kill();
    assert_eq!(soon(ask).await, Err(AskError::Dead));
    assert!(AskError::Dead.is_safe_to_retry());
    assert_eq!(actor.ask(Msg::Total).await, Err(AskError::Dead));
}

#[tokio::test(start_paused = true)]
async fn an_ask_times_out_at_its_deadline_and_its_request_expires_in_the_queue() {
    let system = system();
    let actor = system.spawn(Puppet::default());
    let release = Arc::new(Notify::new());
    actor.tell(Msg::Wait(release.clone())).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(
        actor.ask(Msg::Total).timeout(SECOND).await,
        Err(AskError::Timeout)
    );
    assert_eq!(began.elapsed(), SECOND);
    release.notify_one();
    assert_eq!(soon(actor.ask(Msg::Total)).await, Ok(0));
    assert_eq!(system.dead_letters().count(DeadLetterReason::Expired), 1);
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_is_not_queued_by_its_deadline_takes_its_request_back() {
    let system = system();
    let options = SpawnOptions::new().mailbox(Mailbox::bounded(1));
    let actor = system.spawn_with(options, Puppet::default()).unwrap();
    let release = Arc::new(Notify::new());
    actor.tell(Msg::Wait(release.clone())).await.unwrap();
    tokio::task::yield_now().await;
    actor.tell(Msg::Add(1)).await.unwrap();
    assert_eq!(
        actor.ask(Msg::Total).timeout(SECOND).await,
        Err(AskError::Expired)
    );
    release.notify_one();
    assert_eq!(soon(actor.ask(Msg::Total)).await, Ok(1));
    assert_eq!(system.dead_letters().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_mailbox_that_refuses_or_drops_refuses_an_ask() {
    for overflow in [Overflow::Refuse, Overflow::DropNewest] {
        let options = SpawnOptions::new().mailbox(Mailbox::bounded(1).overflow(overflow));
        let actor = system().spawn_with(options, Puppet::default()).unwrap();
        actor.tell(Msg::Wait(Arc::default())).await.unwrap();
        tokio::task::yield_now().await;
        actor.tell(Msg::Add(1)).await.unwrap();
        assert_eq!(
            soon(actor.ask(Msg::Total)).await,
            Err(AskError::Refused),
            "{overflow:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_is_dropped_leaves_its_request_to_be_handled_and_counts_the_reply() {
    let system = system();
    let actor = system.spawn(Puppet::default());
    {
        let ask = actor.ask(Msg::Total);
        tokio::pin!(ask);
        assert!(poll!(&mut ask).is_pending());
    }
    assert_eq!(soon(actor.ask(Msg::Total)).await, Ok(0));
    assert_eq!(
        system
            .dead_letters()
            .count(DeadLetterReason::ReplyDiscarded),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_expires_behind_its_asker_is_one_dead_letter_and_not_two() {
    let system = system();
    let actor = system.spawn(Puppet::default());
    let release = Arc::new(Notify::new());
    actor.tell(Msg::Wait(release.clone())).await.unwrap();
    let late = actor.ask(Msg::Total).timeout(Duration::from_millis(10));
    assert_eq!(soon(late).await, Err(AskError::Timeout));
    release.notify_one();
    assert_eq!(soon(actor.ask(Msg::Total)).await, Ok(0));
    let dead_letters = system.dead_letters();
    assert_eq!(dead_letters.count(DeadLetterReason::Expired), 1);
    assert_eq!(dead_letters.count(DeadLetterReason::ReplyDiscarded), 0);
}

#[tokio::test(start_paused = true)]
async fn an_ask_to_oneself_is_refused_at_once() {
    let actor = system().spawn(Puppet::default());
    let answer = soon(actor.ask(Msg::SelfAsk)).await.unwrap();
    assert_eq!(answer, "Err(SelfAsk)");
    // From another task that the handler spawned, or from another actor, it is no ask to oneself.
    assert_eq!(soon(actor.ask(Msg::Total)).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_reply_can_be_answered_later_from_anywhere() {
    let answer = Arc::new(std::sync::Mutex::new(None));
    let place = answer.clone();
    let reply = Reply::from_fn(move |result| *place.lock().unwrap() = Some(result));
    tokio::spawn(async move { reply.send(9) }).await.unwrap();
    assert_eq!(*answer.lock().unwrap(), Some(Ok(9)));
}
