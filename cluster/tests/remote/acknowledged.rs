//! Messages that are sent until they are acknowledged.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;
use treewarden_cluster::remote::{DeliveryError, LinkCount, RemoteAskError};
use treewarden_runtime::{Actor, Context, Failure, Reply};

use crate::support::*;

#[tokio::test]
async fn a_delivery_ends_when_the_handler_has_returned_ok() {
    let world = World::default();
    let (a, b) = (
        Node::start(&world, "a").await,
        Node::start(&world, "b").await,
    );
    let gate = Arc::new(Semaphore::new(0));
    b.expose(
        "r",
        Recorder {
            gate: Some(gate.clone()),
            ..Recorder::default()
        },
    );
    let r = a.remote(&b, "r");
    let mut delivery = std::pin::pin!(r.deliver(Msg::Note(7)).into_future());
    let too_early = tokio::time::timeout(Duration::from_millis(50), &mut delivery).await;
    assert!(too_early.is_err(), "the handler has not returned");
    gate.add_permits(1);
    assert_eq!(soon(delivery).await, Ok(()));
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![7]));
}

/// Fails as often as it has to.
struct Flaky {
    failures_left: Arc<AtomicU32>,
    handled: Arc<AtomicU32>,
}

impl Actor for Flaky {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, _: Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        let left = self.failures_left.load(Ordering::SeqCst);
        if left > 0 {
            self.failures_left.store(left - 1, Ordering::SeqCst);
            return Err(Failure::msg("not yet"));
        }
        self.handled.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn it_is_sent_again_when_the_handler_fails_and_while_nobody_has_the_name() {
    let world = World::default();
    let (a, b) = (
        Node::start(&world, "a").await,
        Node::start(&world, "b").await,
    );
    let (failures_left, handled) = (Arc::new(AtomicU32::new(2)), Arc::new(AtomicU32::new(0)));
    let flaky = || Flaky {
        failures_left: failures_left.clone(),
        handled: handled.clone(),
    };
    let r = a.remote(&b, "flaky");
    let delivering = tokio::spawn(async move { r.deliver(Msg::Note(1)).await });
    until(|| a.count(LinkCount::MessagesNacked) >= 1).await;
    for _ in 0..2 {
        let actor = b.system.spawn(flaky());
        b.links.expose("flaky", &actor).unwrap();
        soon(actor.closed()).await;
    }
    b.links
        .expose("flaky", &b.system.spawn(flaky()))
        .expect("the name of an actor that is gone is free");
    assert_eq!(soon(delivering).await.unwrap(), Ok(()));
    assert_eq!(handled.load(Ordering::SeqCst), 1);
    assert_eq!(failures_left.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_message_whose_link_is_cut_while_it_is_handled_is_acknowledged_and_not_handled_again() {
    let world = World::default();
    let (a, b) = (
        Node::start(&world, "a").await,
        Node::start(&world, "b").await,
    );
    let gate = Arc::new(Semaphore::new(0));
    let recorder = b.expose(
        "r",
        Recorder {
            gate: Some(gate.clone()),
            ..Recorder::default()
        },
    );
    let wire = Wire::to(&b).await;
    let r = a.remote(&b, "r");
    let delivering = tokio::spawn(async move { r.deliver(Msg::Note(7)).await });
    until(|| b.count(LinkCount::LinksAccepted) == 1).await;
    wire.cut();
    until(|| a.count(LinkCount::LinksLost) == 1).await;
    wire.mend();
    until(|| b.count(LinkCount::DuplicatesDropped) >= 1 || delivering.is_finished()).await;
    gate.add_permits(10);
    assert_eq!(soon(delivering).await.unwrap(), Ok(()));
    assert_eq!(soon(recorder.ask(Msg::Noted)).await, Ok(vec![7]));
}

/// As a process does that was taken for dead: see `Event::Rejoined`.
#[tokio::test]
async fn a_message_whose_sender_goes_on_as_another_boot_is_acknowledged_and_not_handled_again() {
    let world = World::default();
    let (a, b) = (
        Node::start(&world, "a").await,
        Node::start(&world, "b").await,
    );
    let gate = Arc::new(Semaphore::new(0));
    let recorder = b.expose(
        "r",
        Recorder {
            gate: Some(gate.clone()),
            ..Recorder::default()
        },
    );
    let r = a.remote(&b, "r");
    let mut delivering = tokio::task::JoinSet::new();
    for n in 0..5 {
        let r = r.clone();
        delivering.spawn(async move { r.deliver(Msg::Note(n)).await });
    }
    until(|| recorder.queue_depth() == 4).await;
    a.links.begin_boot(id("a", 2));
    until(|| b.count(LinkCount::DuplicatesDropped) == 5 || recorder.queue_depth() > 4).await;
    gate.add_permits(10);
    while let Some(delivered) = soon(delivering.join_next()).await {
        assert_eq!(delivered.unwrap(), Ok(()));
    }
    let mut noted = soon(recorder.ask(Msg::Noted)).await.unwrap();
    noted.sort_unstable();
    assert_eq!(noted, [0, 1, 2, 3, 4], "once each");
}

#[tokio::test]
async fn each_of_many_deliveries_over_a_link_that_is_cut_again_and_again_is_handled_once() {
    const MESSAGES: u64 = 500;
    let world = World::default();
    let (a, b) = (
        Node::start(&world, "a").await,
        Node::start(&world, "b").await,
    );
    let recorder = b.expose("r", Recorder::default());
    let wire = Wire::to(&b).await;
    let r = a.remote(&b, "r");
    let mut delivering = tokio::task::JoinSet::new();
    for n in 0..MESSAGES {
        let r = r.clone();
        delivering.spawn(async move {
            tokio::time::sleep(Duration::from_millis(n / 5)).await;
            r.deliver(Msg::Note(n)).await
        });
    }
    let cutting = async {
        loop {
            tokio::time::sleep(Duration::from_millis(7)).await;
            wire.cut();
            tokio::time::sleep(Duration::from_millis(3)).await;
            wire.mend();
        }
    };
    let all = async {
        // Until most is done, so that the rest has a chance on a slow machine.
        while delivering.len() > MESSAGES as usize / 10 {
            delivering.join_next().await.unwrap().unwrap().unwrap();
        }
    };
    tokio::select! {
        () = cutting => {}
        () = soon(all) => {}
    }
    wire.mend();
    while let Some(delivered) = soon(delivering.join_next()).await {
        delivered.unwrap().unwrap();
    }
    let noted = soon(recorder.ask(Msg::Noted)).await.unwrap();
    let distinct: HashSet<_> = noted.iter().collect();
    assert_eq!((noted.len(), distinct.len()), (500, 500), "once each");
    assert!(a.count(LinkCount::LinksLost) > 0, "it was cut");
}

#[tokio::test]
async fn a_delivery_that_ends_otherwise_says_whether_it_may_have_been_handled() {
    let (a, b, r) = pair().await;
    let nobody = a.remote(&b, "nobody");
    let patience = Duration::from_millis(100);
    match soon(nobody.deliver(Msg::Note(1)).timeout(patience)).await {
        Err(error @ DeliveryError::NotHandled { attempts, .. }) => {
            assert!(attempts >= 2 && error.is_safe_to_retry(), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let has_reply = soon(async { r.deliver(Msg::Noted(Reply::from_fn(drop))).await });
    assert_eq!(has_reply.await, Err(DeliveryError::HasReply));

    let gate = Arc::new(Semaphore::new(0));
    b.expose(
        "slow",
        Recorder {
            gate: Some(gate),
            ..Recorder::default()
        },
    );
    let slow = a.remote(&b, "slow");
    let unknown = soon(slow.deliver(Msg::Note(1)).timeout(patience)).await;
    assert!(
        matches!(&unknown, Err(error @ DeliveryError::Unknown { .. }) if !error.is_safe_to_retry()),
        "{unknown:?}"
    );
    a.links.node_down(&b.id);
    let down = soon(slow.deliver(Msg::Note(2))).await;
    let reason = RemoteAskError::NodeDown;
    assert_eq!(
        down,
        Err(DeliveryError::NotHandled {
            attempts: 1,
            reason
        })
    );
}
