use std::time::Duration;

use treewarden_cluster::remote::{Location, RemoteMonitor, UnknownTarget};
use treewarden_runtime::{ExitReason, MonitorEvent};

use crate::support::*;

/// The next event in short: what, and why.
async fn next(monitor: &mut RemoteMonitor) -> (&'static str, String) {
    match soon(monitor.next()).await {
        Some(MonitorEvent::Down { reason, .. }) => ("down", reason.to_string()),
        Some(MonitorEvent::Gone { reason, .. }) => ("gone", reason.to_string()),
        Some(_) => ("?", String::new()),
        None => ("end", String::new()),
    }
}

#[tokio::test]
async fn a_monitor_tells_how_an_actor_on_another_node_ended() {
    let (a, b, _) = pair().await;
    let check = |name: &'static str, message: Msg, why: &'static str| {
        b.expose(name, Recorder::default());
        let r = a.remote(&b, name);
        async move {
            let mut monitor = r.monitor();
            soon(r.tell(message)).await.unwrap();
            assert_eq!(next(&mut monitor).await, ("gone", why.into()));
            assert_eq!(next(&mut monitor).await.0, "end");
        }
    };
    check("stops", Msg::Stop, "normal").await;
    check("fails", Msg::Fail, "failed: asked to fail").await;
    check(
        "panics",
        Msg::Crash(treewarden_runtime::Reply::from_fn(drop)),
        "panicked: asked to crash",
    )
    .await;
}

#[tokio::test]
async fn a_monitor_of_an_unknown_name_says_so() {
    let (a, b, _) = pair().await;
    let mut monitor = a.remote(&b, "nobody").monitor();
    let Some(MonitorEvent::Gone {
        reason: ExitReason::Failed(failure),
        ..
    }) = soon(monitor.next()).await
    else {
        panic!("it is not gone");
    };
    let unknown = failure.downcast_ref::<UnknownTarget>().unwrap();
    assert_eq!(&*unknown.target, "nobody");
    assert_eq!(unknown.node, b.id);
}

#[tokio::test]
async fn a_monitor_tells_once_that_the_link_was_cut_and_goes_on_when_there_is_a_new_one() {
    let (_a, b, r) = pair().await;
    let wire = Wire::to(&b).await;
    let mut monitor = r.monitor();
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    wire.cut();
    assert_eq!(next(&mut monitor).await, ("down", "unreachable".into()));
    let told_again = tokio::time::timeout(Duration::from_millis(200), monitor.next()).await;
    assert!(told_again.is_err(), "{told_again:?}");
    wire.mend();
    let stopping = tokio::spawn(async move {
        // At most once: a message that meets the end of the wire is lost.
        while soon(r.ask(Msg::Noted)).await.is_err() {}
        soon(r.tell(Msg::Stop)).await.unwrap();
    });
    let end = next(&mut monitor).await;
    soon(stopping).await.unwrap();
    // Whether the new monitor or the stop arrived first is open.
    assert!(
        end == ("gone", "normal".into()) || end.1.contains("nothing is exposed"),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_monitor_tells_that_the_node_is_down() {
    let (a, b, r) = pair().await;
    let mut monitor = r.monitor();
    let mut idle = r.monitor();
    assert_eq!(soon(r.ask(Msg::Noted)).await, Ok(vec![]));
    a.links.node_unreachable(&b.id);
    assert_eq!(next(&mut monitor).await, ("down", "unreachable".into()));
    a.world.place(&b.id, Location::Down);
    a.links.node_down(&b.id);
    assert_eq!(next(&mut monitor).await, ("gone", "node down".into()));
    assert_eq!(next(&mut monitor).await.0, "end");
    // One that did not take the first event learns of it as missed.
    assert!(matches!(
        soon(idle.next()).await,
        Some(MonitorEvent::Gone {
            reason: ExitReason::NodeDown,
            missed: 1,
        })
    ));
    let mut late = r.monitor();
    assert_eq!(next(&mut late).await, ("gone", "node down".into()));
}
