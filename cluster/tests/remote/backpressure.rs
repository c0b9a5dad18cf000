use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinSet};
use treewarden_cluster::remote::{LinkConfig, RemoteAskError, RemoteTellError, Window};
use treewarden_runtime::{AskError, Mailbox, SpawnOptions};

use crate::support::*;

/// A node whose mailboxes hold 4 messages, and whose windows are the smallest.
async fn slow_pair() -> (Node, Node, Arc<Semaphore>) {
    let world = World::default();
    let config = LinkConfig {
        window: Window::INITIAL,
        ..Spec::default().config
    };
    let spec = || Spec {
        config: config.clone(),
        ..Spec::default()
    };
    let a = Node::start_with(&world, id("a", 1), spec()).await;
    let b = Node::start_with(&world, id("b", 1), spec()).await;
    let gate = Arc::new(Semaphore::new(0));
    let recorder = Recorder {
        gate: Some(gate.clone()),
        ..Recorder::default()
    };
    let options = SpawnOptions::new().mailbox(Mailbox::bounded(4));
    let slow = b.system.spawn_with(options, recorder).unwrap();
    b.links.expose("slow", &slow).unwrap();
    b.expose("quick", Recorder::default());
    (a, b, gate)
}

#[tokio::test]
async fn a_slow_actor_makes_its_senders_wait_and_takes_bounded_memory() {
    let (a, b, gate) = slow_pair().await;
    let slow = a.remote(&b, "slow");
    let mut accepted = 0;
    loop {
        let told = tokio::time::timeout(Duration::from_millis(300), slow.tell(Msg::Note(accepted)));
        match told.await {
            Ok(told) => told.unwrap(),
            Err(_waits) => break,
        }
        accepted += 1;
        assert!(accepted < 1000, "nothing holds the sender back");
    }
    // At most one in the handler, four in the mailbox, and one window on the way or in the backlog; at least the window,
    // however slow the machine is.
    let window = u64::from(Window::INITIAL.messages);
    assert!((window..=window + 5).contains(&accepted), "{accepted}");
    assert!(matches!(
        slow.try_tell(Msg::Note(0)),
        Err(RemoteTellError::Full(Msg::Note(0)))
    ));

    gate.add_permits(10_000);
    soon(slow.tell(Msg::Note(accepted))).await.unwrap();
    let notes = soon(slow.ask(Msg::Noted)).await.unwrap();
    assert_eq!(notes, (0..=accepted).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_senders_of_a_slow_actor_share_one_window_and_the_rest_wait() {
    const SENDERS: u64 = 64;
    const EACH: u64 = 10;
    let (a, b, gate) = slow_pair().await;
    let accepted = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (slow, accepted) = (a.remote(&b, "slow"), accepted.clone());
        senders.spawn(async move {
            for _ in 0..EACH {
                slow.tell(Msg::Blob(vec![0; 1000])).await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let window = u64::from(Window::INITIAL.messages);
    until(|| accepted.load(Ordering::SeqCst) >= window).await;
    // Whoever asks a neighbour so often over the same link has given everybody time to go on.
    let quick = a.remote(&b, "quick");
    for _ in 0..200 {
        assert_eq!(soon(quick.ask(Msg::Noted)).await, Ok(vec![]));
    }
    // One in the handler, four in the mailbox, and one window for all of them together.
    let accepted = accepted.load(Ordering::SeqCst);
    assert!((window..=window + 5).contains(&accepted), "{accepted}");
    gate.add_permits(10_000);
    soon(senders.join_all()).await;
    let slow = a.remote(&b, "slow");
    let notes = soon(slow.ask(Msg::Noted)).await.unwrap();
    assert_eq!(notes.len() as u64, SENDERS * EACH);
}

#[tokio::test]
async fn references_that_are_made_for_one_message_each_share_credit_and_order() {
    let (a, b, gate) = slow_pair().await;
    let mut sent = Vec::new();
    for number in 0..1000 {
        if a.remote(&b, "slow").try_tell(Msg::Note(number)).is_ok() {
            sent.push(number);
        }
        tokio::task::yield_now().await;
    }
    assert!(sent.len() < 200, "{}", sent.len());
    gate.add_permits(10_000);
    let slow = a.remote(&b, "slow");
    assert_eq!(soon(slow.ask(Msg::Noted)).await, Ok(sent));
}

#[tokio::test]
async fn channels_beyond_those_that_are_kept_are_closed_and_opened_again_in_order() {
    const NAMES: u64 = 1200;
    let (a, b, _) = slow_pair().await;
    let actor = b.expose("0", Recorder::default());
    for name in 1..NAMES {
        b.links.expose(&name.to_string(), &actor).unwrap();
    }
    for number in 0..3 * NAMES {
        let r = a.remote(&b, &(number % NAMES).to_string());
        soon(r.tell(Msg::Note(number))).await.unwrap();
    }
    // An ask on each channel is behind all that was told there.
    for name in 0..NAMES {
        let r = a.remote(&b, &name.to_string());
        soon(r.ask(|reply| Msg::Echo(String::new(), reply)))
            .await
            .unwrap();
    }
    let notes = soon(a.remote(&b, "0").ask(Msg::Noted)).await.unwrap();
    assert_eq!(notes.len() as u64, 3 * NAMES);
    for name in 0..NAMES {
        let of_name: Vec<_> = notes.iter().filter(|n| *n % NAMES == name).collect();
        assert!(of_name.is_sorted(), "{of_name:?}");
    }
}

#[tokio::test]
async fn large_messages_are_held_back_by_their_bytes() {
    let (a, b, _gate) = slow_pair().await;
    let slow = a.remote(&b, "slow");
    let mut accepted = 0;
    while let Ok(told) = tokio::time::timeout(
        Duration::from_millis(300),
        slow.tell(Msg::Blob(vec![0; 20_000])),
    )
    .await
    {
        told.unwrap();
        accepted += 1;
        assert!(accepted < 1000, "nothing holds the sender back");
    }
    // At most five with the actor; 64 KiB and one message on the way or in the backlog.
    assert!((4..=4 + 5).contains(&accepted), "{accepted}");
}

#[tokio::test]
async fn a_slow_actor_does_not_delay_its_neighbours() {
    let (a, b, gate) = slow_pair().await;
    let (slow, quick) = (a.remote(&b, "slow"), a.remote(&b, "quick"));
    while slow.try_tell(Msg::Note(0)).is_ok() {}
    let waiting = slow.tell(Msg::Note(1));
    for number in 0..1000 {
        soon(quick.tell(Msg::Note(number))).await.unwrap();
    }
    let notes = soon(quick.ask(Msg::Noted)).await.unwrap();
    assert_eq!(notes.len(), 1000);
    assert_eq!(
        format!("{waiting:?}"),
        "RemoteTell(waiting)",
        "the slow one still has no room"
    );
    gate.add_permits(10_000);
    soon(waiting).await.unwrap();
}

#[tokio::test]
async fn a_sender_that_gives_up_gets_its_message_back_and_keeps_nobody_waiting() {
    let (a, b, gate) = slow_pair().await;
    let slow = a.remote(&b, "slow");
    let mut sent = 0;
    while slow.try_tell(Msg::Note(0)).is_ok() {
        sent += 1;
    }
    let first = slow.tell(Msg::Note(1));
    let second = slow.tell(Msg::Note(2));
    let third = slow.tell(Msg::Note(3));
    assert!(matches!(first.cancel(), Some(Msg::Note(1))));
    drop(second);
    gate.add_permits(10_000);
    soon(third).await.unwrap();
    let notes = soon(slow.ask(Msg::Noted)).await.unwrap();
    assert_eq!(notes.len(), sent + 1);
    assert_eq!(notes.last(), Some(&3));
}

#[tokio::test]
async fn the_queue_of_a_link_is_bounded_while_there_is_no_link() {
    let world = World::default();
    let config = LinkConfig {
        queue_bytes_max: 10_000,
        ..Spec::default().config
    };
    let spec = Spec {
        config,
        ..Spec::default()
    };
    let a = Node::start_with(&world, id("a", 1), spec).await;
    let b = Node::start(&world, "b").await;
    b.expose("r", Recorder::default());
    b.expose("s", Recorder::default());
    // Nothing runs between these lines, so nothing is written.
    let (r, s) = (a.remote(&b, "r"), a.remote(&b, "s"));
    let mut queued = 0;
    while r.try_tell(Msg::Blob(vec![0; 1000])).is_ok() {
        queued += 1;
    }
    assert!((9..=10).contains(&queued), "{queued}");
    assert!(s.try_tell(Msg::Note(1)).is_err(), "the queue is one");
    soon(s.tell(Msg::Note(1))).await.unwrap();
    assert_eq!(soon(s.ask(Msg::Noted)).await, Ok(vec![1]));
    assert_eq!(soon(r.ask(Msg::Noted)).await.unwrap().len(), queued);
}

#[tokio::test]
async fn more_asks_than_are_allowed_are_refused() {
    let world = World::default();
    let config = LinkConfig {
        asks_max: 2,
        ..Spec::default().config
    };
    let spec = Spec {
        config,
        ..Spec::default()
    };
    let a = Node::start_with(&world, id("a", 1), spec).await;
    let b = Node::start(&world, "b").await;
    let actor = b.expose("r", Recorder::default());
    let r = a.remote(&b, "r");
    let mut first = r.ask(Msg::Hold).into_future();
    let mut second = r.ask(Msg::Hold).into_future();
    // Polled once, so that both are on their way.
    tokio::select! {
        biased;
        _ = &mut first => panic!("it is held"),
        _ = &mut second => panic!("it is held"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(
        soon(r.ask(Msg::Noted)).await,
        Err(RemoteAskError::TooManyAsks { asks_max: 2 })
    );
    drop(second);
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    actor.stop();
    assert_eq!(soon(first).await, Err(AskError::NoReply.into()));
}
