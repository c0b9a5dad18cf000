use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use treewarden_cluster::remote::{
    ExposeError, LinkConfig, LinkCount, OpenRefusal, RemoteAskError, RemoteMessage, RemoteTellError,
};
use treewarden_runtime::{
    AskError, Init, Mailbox, Overflow, Reply, SpawnOptions, System,
    host::{HostSpec, Life, Observer},
};

use crate::support::*;

#[tokio::test]
async fn a_message_is_told_and_an_ask_is_answered() {
    let (_a, _b, r) = pair().await;
    soon(r.tell(Msg::Note(7))).await.unwrap();
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![7]));
    assert_eq!(
        soon(r.ask(|reply| Msg::Echo("hello".into(), reply))).await,
        Ok("hello".into())
    );
}

#[tokio::test]
async fn both_nodes_can_call_each_other_at_once() {
    let (a, b, to_b) = pair().await;
    a.expose("r", Recorder::default());
    let to_a = b.remote(&a, "r");
    let (there, back) = soon(async {
        tokio::join!(
            to_b.ask(|reply| Msg::Echo("there".into(), reply))
                .into_future(),
            to_a.ask(|reply| Msg::Echo("back".into(), reply))
                .into_future(),
        )
    })
    .await;
    assert_eq!((there, back), (Ok("there".into()), Ok("back".into())));
}

#[tokio::test]
async fn a_node_can_call_itself() {
    let (_, b, _) = pair().await;
    let r = b.remote(&b, "r");
    assert_eq!(
        soon(r.ask(|reply| Msg::Echo("me".into(), reply))).await,
        Ok("me".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_arrive_once_and_in_the_order_of_sending() {
    let (_a, _b, r) = pair().await;
    let again = r.clone();
    for number in 0..10_000 {
        // Two references to the same actor are one sender's same channel.
        let r = if number % 2 == 0 { &r } else { &again };
        soon(r.tell(Msg::Note(number))).await.unwrap();
    }
    assert_eq!(
        soon(r.ask(Msg::Noted)).await.unwrap(),
        (0..10_000).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn senders_that_do_not_wait_keep_their_order_too() {
    let (_a, _b, r) = pair().await;
    let mut sent = Vec::new();
    for number in 0..2000 {
        match r.try_tell(Msg::Note(number)) {
            Ok(()) => sent.push(number),
            Err(RemoteTellError::Full(Msg::Note(back))) => {
                assert_eq!(back, number);
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent.len() > 64, "{}", sent.len());
    assert_eq!(soon(r.ask(Msg::Noted)).await.unwrap(), sent);
}

#[tokio::test]
async fn a_reply_that_is_dropped_is_no_reply() {
    let (_a, _b, r) = pair().await;
    assert_eq!(
        soon(r.ask(Msg::Forget)).await,
        Err(AskError::NoReply.into())
    );
}

#[tokio::test]
async fn a_crash_in_the_handler_is_told_to_its_asker() {
    let (_a, _b, r) = pair().await;
    assert_eq!(
        soon(r.ask(Msg::Crash)).await,
        Err(AskError::CrashedWhileHandling.into())
    );
}

#[tokio::test]
async fn an_ask_ends_at_its_deadline() {
    let (a, _b, r) = pair().await;
    let ask = r.ask(Msg::Hold).timeout(Duration::from_millis(30));
    assert_eq!(soon(ask).await, Err(AskError::Timeout.into()));
    // The actor still holds the reply, and its end answers: too late.
    soon(r.tell(Msg::Stop)).await.unwrap();
    until(|| a.count(LinkCount::RepliesLate) == 1).await;
}

#[tokio::test]
async fn a_request_whose_deadline_passes_in_the_remote_mailbox_is_not_handled() {
    let (a, b, _) = pair().await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    b.expose(
        "slow",
        Recorder {
            gate: Some(gate.clone()),
            ..Recorder::default()
        },
    );
    let slow = a.remote(&b, "slow");
    soon(slow.tell(Msg::Note(1))).await.unwrap();
    let ask = slow.ask(Msg::Hold).timeout(Duration::from_millis(20));
    assert_eq!(soon(ask).await, Err(AskError::Timeout.into()));
    // It left with less than 20 ms to live, and more than that passes after its asker has given up.
    tokio::time::sleep(Duration::from_millis(40)).await;
    gate.add_permits(1);
    assert_eq!(soon(slow.ask(Msg::Noted)).await, Ok(vec![1]));
    let expired = treewarden_runtime::DeadLetterReason::Expired;
    assert_eq!(b.system.dead_letters().count(expired), 1);
}

#[tokio::test]
async fn an_unknown_name_is_an_error_for_asks_and_counted_for_tells() {
    let (a, b, r) = pair().await;
    let nobody = a.remote(&b, "nobody");
    soon(nobody.tell(Msg::Note(1))).await.unwrap();
    assert_eq!(
        soon(nobody.ask(Msg::Noted)).await,
        Err(RemoteAskError::NotOpened(OpenRefusal::UnknownTarget))
    );
    until(|| a.count(LinkCount::MessagesNacked) == 2).await;
    until(|| b.count(LinkCount::MessagesMisdirected) == 2).await;
    // The link lives.
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    assert_eq!(b.count(LinkCount::LinksAccepted), 1);
}

#[tokio::test]
async fn a_name_that_is_exposed_later_is_found_by_a_reference_that_failed_before() {
    let (a, b, _) = pair().await;
    let later = a.remote(&b, "later");
    assert!(soon(later.ask(Msg::Noted)).await.is_err());
    b.expose("later", Recorder::default());
    assert_eq!(soon(later.ask(Msg::Noted)).await, Ok(vec![]));
}

/// The same name as another type has, and a later version of it.
macro_rules! other_message {
    ($type:ident, $name:literal, $version:literal) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $type(u64, Reply<u64>);
        impl RemoteMessage for $type {
            const NAME: &'static str = $name;
            const VERSION: u32 = $version;
        }
    };
}
other_message!(OtherType, "test/other", 1);
other_message!(NextVersion, "test/msg", 2);
other_message!(Impostor, "test/msg", 1);

#[tokio::test]
async fn a_message_of_another_type_or_version_is_an_error_at_the_sender() {
    let (a, b, r) = pair().await;
    let other = a.links.remote::<OtherType>(&b.id, "r");
    assert_eq!(
        soon(other.ask(|reply| OtherType(1, reply))).await,
        Err(RemoteAskError::NotOpened(OpenRefusal::WrongType))
    );
    let next = a.links.remote::<NextVersion>(&b.id, "r");
    assert_eq!(
        soon(next.ask(|reply| NextVersion(1, reply))).await,
        Err(RemoteAskError::NotOpened(OpenRefusal::WrongVersion {
            takes: 1
        }))
    );
    until(|| b.count(LinkCount::MessagesMisdirected) == 2).await;
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_an_error_at_the_sender_and_the_link_lives() {
    let (a, b, r) = pair().await;
    let impostor = a.links.remote::<Impostor>(&b.id, "r");
    // As the other type this is the variant with the number 99, which there is not.
    assert_eq!(
        soon(impostor.ask(|reply| Impostor(99, reply))).await,
        Err(RemoteAskError::Undecodable)
    );
    assert_eq!(b.count(LinkCount::MessagesUndecodable), 1);
    assert_eq!(a.count(LinkCount::MessagesNacked), 1);
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
}

#[tokio::test]
async fn an_oversized_message_is_handed_back_and_never_leaves() {
    let world = World::default();
    let a = Node::start(&world, "a").await;
    let small = Spec {
        config: LinkConfig {
            message_bytes_max: 8192,
            ..Spec::default().config
        },
        ..Spec::default()
    };
    let b = Node::start_with(&world, id("b", 1), small).await;
    b.expose("r", Recorder::default());
    let r = a.remote(&b, "r");
    // The link tells how long a message its other end takes.
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    match soon(r.tell(Msg::Blob(vec![0; 9000]))).await {
        Err(RemoteTellError::TooLarge {
            message: Msg::Blob(bytes),
            bytes_max,
        }) => assert!(bytes.len() == 9000 && bytes_max == 8192),
        other => panic!("{other:?}"),
    }
    let text = "x".repeat(9000);
    let ask = soon(r.ask(|reply| Msg::Echo(text, reply))).await;
    assert!(
        matches!(ask, Err(RemoteAskError::TooLarge { .. })),
        "{ask:?}"
    );
    soon(r.tell(Msg::Blob(vec![0; 8000]))).await.unwrap();
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![8000]));
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_an_error_and_the_link_lives() {
    let world = World::default();
    let small = Spec {
        config: LinkConfig {
            message_bytes_max: 8192,
            ..Spec::default().config
        },
        ..Spec::default()
    };
    let a = Node::start_with(&world, id("a", 1), small).await;
    let b = Node::start(&world, "b").await;
    b.expose("r", Recorder::default());
    let r = a.remote(&b, "r");
    assert!(matches!(
        soon(r.ask(|reply| Msg::Big(9000, reply))).await,
        Err(RemoteAskError::AnswerTooLarge { bytes: 9002 })
    ));
    assert_eq!(b.count(LinkCount::RepliesUnsent), 1);
    let answer = soon(r.ask(|reply| Msg::Big(100, reply))).await.unwrap();
    assert_eq!(answer.len(), 100);
}

#[tokio::test]
async fn a_mailbox_that_refuses_is_an_error_for_asks_and_counted_for_tells() {
    let (a, b, _) = pair().await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let recorder = Recorder {
        gate: Some(gate.clone()),
        ..Recorder::default()
    };
    let options = SpawnOptions::new().mailbox(Mailbox::bounded(1).overflow(Overflow::Refuse));
    let actor = b.system.spawn_with(options, recorder).unwrap();
    b.links.expose("refuses", &actor).unwrap();
    let refuses = a.remote(&b, "refuses");
    // One lies in the handler, one in the mailbox.
    soon(refuses.tell(Msg::Note(1))).await.unwrap();
    until(|| actor.queue_depth() == 0).await;
    soon(refuses.tell(Msg::Note(2))).await.unwrap();
    soon(refuses.tell(Msg::Note(3))).await.unwrap();
    assert_eq!(
        soon(refuses.ask(Msg::Noted)).await,
        Err(AskError::Refused.into())
    );
    assert_eq!(a.count(LinkCount::MessagesNacked), 2);
    assert_eq!(b.count(LinkCount::MessagesRefused), 2);
    gate.add_permits(2);
}

#[tokio::test]
async fn an_actor_that_is_gone_is_dead_to_asks() {
    let (_a, _b, r) = pair().await;
    soon(r.tell(Msg::Stop)).await.unwrap();
    let asked = soon(async {
        loop {
            // The name is taken back when the address is gone; before that, the address itself says so.
            match r.ask(Msg::Noted).await {
                Err(error) if error.is_safe_to_retry() => return error,
                Err(_) | Ok(_) => {}
            }
        }
    })
    .await;
    assert!(
        matches!(
            asked,
            RemoteAskError::Ask(AskError::Dead)
                | RemoteAskError::NotOpened(OpenRefusal::UnknownTarget)
        ),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_restart_under_its_host_keeps_a_remote_reference_valid() {
    struct Restarts(tokio::sync::mpsc::UnboundedSender<Life>);
    impl Observer for Restarts {
        fn on_life(&self, event: Life) {
            let _ = self.0.send(event);
        }
    }
    let (a, b, _) = pair().await;
    let (lives, mut life) = tokio::sync::mpsc::unbounded_channel();
    let factory = |_: Init<Msg>| async { Ok(Some(Recorder::default())) };
    let (actor, host) = b
        .system
        .host::<Recorder, _, _>(HostSpec::new("/app/r"), factory, Arc::new(Restarts(lives)))
        .unwrap();
    b.links.expose("hosted", &actor).unwrap();
    host.start();
    let hosted = a.remote(&b, "hosted");
    soon(hosted.tell(Msg::Note(1))).await.unwrap();
    let crash = soon(hosted.ask(Msg::Crash)).await;
    assert_eq!(crash, Err(AskError::CrashedWhileHandling.into()));
    while !matches!(soon(life.recv()).await, Some(Life::Exited { .. })) {}
    host.mark(treewarden_runtime::AddressState::Restarting);
    // What is sent between two incarnations waits for the next one.
    soon(hosted.tell(Msg::Note(2))).await.unwrap();
    host.start();
    assert_eq!(soon(hosted.ask(Msg::Noted)).await, Ok(vec![2]));
    host.stop(false);
    host.retire();
}

#[tokio::test]
async fn a_reply_can_be_passed_on_to_another_node() {
    let world = World::default();
    let (a, b, c) = (
        Node::start(&world, "a").await,
        Node::start(&world, "b").await,
        Node::start(&world, "c").await,
    );
    c.expose("last", Recorder::default());
    struct PassOn(treewarden_cluster::remote::RemoteRef<Msg>);
    impl treewarden_runtime::Actor for PassOn {
        type Msg = Msg;
        type Error = treewarden_runtime::Failure;
        async fn handle(
            &mut self,
            msg: Msg,
            _: &mut treewarden_runtime::Context<Self>,
        ) -> Result<(), treewarden_runtime::Failure> {
            Ok(self.0.tell(msg).await?)
        }
    }
    let middle = b.system.spawn(PassOn(b.remote(&c, "last")));
    b.links.expose("middle", &middle).unwrap();
    let r = a.remote(&b, "middle");
    assert_eq!(
        soon(r.ask(|reply| Msg::Echo("around".into(), reply))).await,
        Ok("around".into())
    );
    assert_eq!(
        soon(r.ask(Msg::Forget)).await,
        Err(AskError::NoReply.into())
    );
}

#[tokio::test]
async fn a_name_belongs_to_one_actor_until_it_is_gone() {
    let (_, b, _) = pair().await;
    let other = b.system.spawn(Recorder::default());
    assert_eq!(
        b.links.expose("r", &other),
        Err(ExposeError::NameTaken { name: "r".into() })
    );
    assert_eq!(
        b.links.expose("", &other),
        Err(ExposeError::NameLength { bytes: 0 })
    );
    b.links.expose("other", &other).unwrap();
    b.links.expose("other", &other).unwrap();
    other.stop();
    soon(other.closed()).await;
    let third = System::new("third").spawn(Recorder::default());
    b.links.expose("other", &third).unwrap();
}

#[tokio::test]
async fn a_name_that_passes_to_another_actor_is_found_by_references_that_are_there_already() {
    let (a, b, _) = pair().await;
    let first = b.expose("s", Recorder::default());
    let s = a.remote(&b, "s");
    soon(s.tell(Msg::Note(1))).await.unwrap();
    soon(s.tell(Msg::Stop)).await.unwrap();
    soon(first.closed()).await;
    b.expose("s", Recorder::default());
    let noted = soon(async {
        loop {
            // The first to come finds that the old one is gone.
            if let Ok(noted) = s.ask(Msg::Noted).await {
                return noted;
            }
        }
    })
    .await;
    assert!(noted.is_empty());
}
