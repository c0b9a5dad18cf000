use std::time::Duration;

use treewarden_cluster::remote::{
    LinkConfig, LinkCount, Location, RemoteAskError, RemoteTellError,
};
use treewarden_runtime::AskError;

use crate::support::*;

#[tokio::test]
async fn asks_in_flight_end_when_the_link_is_cut() {
    let (a, b, r) = pair().await;
    let wire = Wire::to(&b).await;
    let asking = tokio::spawn({
        let r = r.clone();
        async move { r.ask(Msg::Hold).await }
    });
    // Behind the first ask in the same mailbox.
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    wire.cut();
    assert_eq!(
        soon(asking).await.unwrap(),
        Err(AskError::Disconnected.into())
    );
    assert_eq!(a.count(LinkCount::LinksLost), 1);
}

#[tokio::test]
async fn a_link_that_was_lost_is_dialed_again_by_the_next_message() {
    let (a, b, r) = pair().await;
    let wire = Wire::to(&b).await;
    soon(r.tell(Msg::Note(1))).await.unwrap();
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![1]));
    wire.cut();
    until(|| a.count(LinkCount::LinksLost) == 1).await;
    let lost = soon(r.ask(Msg::Noted)).await;
    assert_eq!(lost, Err(AskError::Disconnected.into()));
    wire.mend();
    soon(r.tell(Msg::Note(2))).await.unwrap();
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![1, 2]));
}

#[tokio::test]
async fn messages_that_were_not_written_are_counted_and_those_that_waited_are_handed_back() {
    let world = World::default();
    let a = Node::start(&world, "a").await;
    let nowhere = id("nowhere", 1);
    let r = a.links.remote::<Msg>(&nowhere, "r");
    let mut queued = 0;
    while r.try_tell(Msg::Note(queued)).is_ok() {
        queued += 1;
    }
    let waited = soon(r.tell(Msg::Note(queued))).await;
    assert!(
        matches!(waited, Err(RemoteTellError::Disconnected(Msg::Note(n))) if n == queued),
        "{waited:?}"
    );
    assert_eq!(a.count(LinkCount::MessagesUnsent), queued);
    assert_eq!(a.count(LinkCount::DialsFailed), 1);
}

#[tokio::test]
async fn a_link_that_falls_silent_is_given_up_by_both_sides() {
    let world = World::default();
    let impatient = || Spec {
        config: LinkConfig {
            ping_interval: Duration::from_millis(50),
            silence_max: Duration::from_millis(1500),
            ..Spec::default().config
        },
        ..Spec::default()
    };
    let a = Node::start_with(&world, id("a", 1), impatient()).await;
    let b = Node::start_with(&world, id("b", 1), impatient()).await;
    b.expose("r", Recorder::default());
    let wire = Wire::to(&b).await;
    let r = a.remote(&b, "r");
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    // Idle for longer than the silence that is allowed: pings keep it.
    tokio::time::sleep(Duration::from_millis(2000)).await;
    assert_eq!(a.count(LinkCount::LinksLost), 0);
    wire.freeze();
    assert_eq!(
        soon(r.ask(Msg::Noted)).await,
        Err(AskError::Disconnected.into())
    );
    until(|| b.count(LinkCount::LinksLost) == 1).await;
}

#[tokio::test]
async fn a_message_for_an_earlier_boot_never_reaches_a_later_one() {
    let (a, b, r) = pair().await;
    soon(r.tell(Msg::Note(1))).await.unwrap();
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![1]));
    soon(b.links.shutdown()).await;
    let later = Node::start_with(&b.world, id("b", 2), Spec::default()).await;
    later.expose("r", Recorder::default());
    // The directory still believes that the earlier boot is at this address.
    a.world.place(&b.id, Location::At(later.links.local_addr()));
    until(|| {
        let _ = r.try_tell(Msg::Note(2));
        later
            .links
            .counters()
            .refused(treewarden_cluster::remote::Refusal::WrongNode)
            > 0
    })
    .await;
    let to_later = a.remote(&later, "r");
    assert_eq!(soon(to_later.ask(Msg::Noted)).await, Ok(vec![]));
}

#[tokio::test]
async fn a_node_that_is_down_is_an_error_for_everything_at_once_and_for_ever() {
    let (a, b, r) = pair().await;
    let asking = tokio::spawn({
        let r = r.clone();
        async move { r.ask(Msg::Hold).await }
    });
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    a.world.place(&b.id, Location::Down);
    a.links.node_down(&b.id);
    assert_eq!(
        soon(asking).await.unwrap(),
        Err(AskError::Disconnected.into())
    );
    assert!(matches!(
        r.try_tell(Msg::Note(1)),
        Err(RemoteTellError::NodeDown(Msg::Note(1)))
    ));
    assert_eq!(soon(r.ask(Msg::Noted)).await, Err(RemoteAskError::NodeDown));
    // A new reference learns it when it dials.
    let again = a.remote(&b, "r");
    assert_eq!(
        soon(again.ask(Msg::Noted)).await,
        Err(AskError::Disconnected.into())
    );
    assert_eq!(
        soon(again.ask(Msg::Noted)).await,
        Err(RemoteAskError::NodeDown)
    );
}

#[tokio::test]
async fn a_shutdown_writes_what_is_queued_and_ends_everything() {
    let (a, b, r) = pair().await;
    for number in 0..100 {
        soon(r.tell(Msg::Note(number))).await.unwrap();
    }
    let hold = tokio::spawn({
        let r = r.clone();
        async move { r.ask(Msg::Hold).await }
    });
    assert_eq!(soon(r.ask(Msg::Noted)).await.unwrap().len(), 100);
    for number in 100..110 {
        soon(r.tell(Msg::Note(number))).await.unwrap();
    }
    soon(a.links.shutdown()).await;
    assert_eq!(
        soon(hold).await.unwrap(),
        Err(AskError::Disconnected.into())
    );
    assert!(matches!(
        r.try_tell(Msg::Note(1)),
        Err(RemoteTellError::ShutDown(_))
    ));
    let local = Node::start(&a.world, "c").await;
    let r = local.remote(&b, "r");
    soon(async {
        while r.ask(Msg::Noted).await.unwrap().len() < 110 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(b.count(LinkCount::LinksLost), 0, "the goodbye was heard");
}
