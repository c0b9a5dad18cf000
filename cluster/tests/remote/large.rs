//! Lanes, and messages longer than a fragment.

use treewarden_cluster::remote::{Lane, LinkConfig, LinkCount, RemoteTellError};

use crate::support::*;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn long_messages_and_answers_arrive_whole_and_in_their_place() {
    let (_a, _b, r) = pair().await;
    soon(r.tell(Msg::Note(1))).await.unwrap();
    let sending = [
        r.tell(Msg::Blob(vec![0; 5 * MIB])),
        r.tell(Msg::Note(2)),
        r.tell(Msg::Blob(vec![0; 140_000])),
        r.tell(Msg::Note(3)),
    ];
    for told in sending {
        soon(told).await.unwrap();
    }
    let expected = vec![1, 5 * MIB as u64, 2, 140_000, 3];
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(expected));

    let text: String = ('a'..='z').cycle().take(3 * MIB).collect();
    let echo = soon(r.ask(|reply| Msg::Echo(text.clone(), reply))).await;
    assert!(echo.unwrap() == text, "it came back as it went");
}

#[tokio::test]
async fn a_lane_is_a_link_of_its_own_with_an_order_of_its_own() {
    let (a, b, r) = pair().await;
    let bulk = r.on(Lane::Bulk);
    assert_eq!((r.lane(), bulk.lane()), (Lane::Data, Lane::Bulk));
    for n in 0..100 {
        soon(r.tell(Msg::Note(2 * n))).await.unwrap();
        soon(bulk.tell(Msg::Note(2 * n + 1))).await.unwrap();
    }
    soon(r.ask(Msg::Noted)).await.unwrap();
    let noted = soon(bulk.ask(Msg::Noted)).await.unwrap();
    for lane in 0..2 {
        let of_lane: Vec<_> = noted.iter().filter(|n| *n % 2 == lane).collect();
        assert_eq!(of_lane.len(), 100);
        assert!(of_lane.is_sorted());
    }
    assert_eq!(b.count(LinkCount::LinksAccepted), 2);
    let mut monitor = r.monitor();
    soon(r.ask(Msg::Noted)).await.unwrap();
    until(|| b.count(LinkCount::LinksAccepted) == 3).await;
    let on_all_lanes = Lane::ALL.map(|lane| r.on(lane));
    a.links.node_down(&b.id);
    assert!(soon(monitor.next()).await.is_some());
    for on_lane in on_all_lanes {
        let refused = soon(on_lane.tell(Msg::Note(0))).await;
        assert!(
            matches!(refused, Err(RemoteTellError::NodeDown(_))),
            "{:?}",
            on_lane.lane()
        );
    }
}

#[tokio::test]
async fn a_long_message_whose_link_is_cut_is_counted_and_the_next_arrives() {
    let world = World::default();
    let config = LinkConfig {
        message_bytes_max: 256 * MIB,
        ..Spec::default().config
    };
    let spec = || Spec {
        config: config.clone(),
        ..Spec::default()
    };
    let a = Node::start_with(&world, id("a", 1), spec()).await;
    let b = Node::start_with(&world, id("b", 1), spec()).await;
    b.expose("r", Recorder::default());
    let wire = Wire::to(&b).await;
    let r = a.remote(&b, "r");
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    wire.freeze();
    // More than the buffers of the operating system hold, so that it cannot have gone.
    soon(r.tell(Msg::Blob(vec![0; 64 * MIB]))).await.unwrap();
    wire.cut();
    until(|| a.count(LinkCount::MessagesUnsent) == 1).await;
    wire.mend();
    soon(async { while r.tell(Msg::Blob(vec![0; MIB])).await.is_err() {} }).await;
    let noted = soon(async {
        loop {
            if let Ok(noted) = r.ask(Msg::Noted).await {
                return noted;
            }
        }
    })
    .await;
    assert_eq!(noted, [MIB as u64]);
}

#[tokio::test]
async fn a_long_message_to_an_unknown_name_leaves_the_link_alive() {
    let (a, b, r) = pair().await;
    let nobody = a.remote(&b, "nobody");
    soon(nobody.tell(Msg::Blob(vec![0; 30 * MIB])))
        .await
        .unwrap();
    until(|| a.count(LinkCount::MessagesNacked) == 1).await;
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    assert_eq!(a.count(LinkCount::LinksLost), 0);
    assert_eq!(b.count(LinkCount::MessagesMisdirected), 1);
}
