//! How an incarnation ends, and who hears of it.
#![allow(missing_docs)]

mod common;

use std::sync::Arc;

use common::{Log, Msg, Puppet, describe, soon, system};
use tokio::sync::Notify;
use treewarden_runtime::{
    Actor, ActorRef, AddressState, Context, ExitReason, Failure, Mailbox, MonitorEvent,
    SpawnOptions, TellError,
};

type Act = fn(&ActorRef<Msg>);

#[tokio::test(start_paused = true)]
async fn each_way_to_end_has_its_reason_and_its_clean_up() {
    let cases: [(&str, Act, &str, &[&str]); 7] = [
        (
            "stop from outside",
            |a| a.stop(),
            "normal",
            &["started 1", "stopped normal", "dropped"],
        ),
        (
            "stop from inside",
            |a| a.try_tell(Msg::Stop).unwrap(),
            "normal",
            &["started 1", "stopped normal", "dropped"],
        ),
        (
            "drain",
            |a| {
                a.try_tell(Msg::Note(1)).unwrap();
                a.try_tell(Msg::Note(2)).unwrap();
                a.drain();
            },
            "normal",
            &["started 1", "note 1", "note 2", "stopped normal", "dropped"],
        ),
        (
            "an error",
            |a| a.try_tell(Msg::Fail("no")).unwrap(),
            "failed: no",
            &["started 1", "stopped failed", "dropped"],
        ),
        (
            "a panic",
            |a| a.try_tell(Msg::PanicWith("ouch")).unwrap(),
            "panicked: ouch",
            &["started 1", "dropped"],
        ),
        (
            "a kill while idle",
            |a| a.try_tell(Msg::Note(1)).unwrap(),
            "killed",
            &["started 1", "note 1", "dropped"],
        ),
        (
            "a kill in a handler",
            |a| a.try_tell(Msg::Wait(Arc::new(Notify::new()))).unwrap(),
            "killed",
            &["started 1", "waiting", "dropped"],
        ),
    ];
    for (what, act, reason, lines) in cases {
        let log = Log::default();
        let actor = system().spawn(Puppet::logging(&log));
        act(&actor);
        if what.starts_with("a kill") {
            while log.lines().len() < 2 {
                tokio::task::yield_now().await;
            }
            actor.kill();
        }
        assert_eq!(soon(actor.closed()).await.to_string(), reason, "{what}");
        assert_eq!(log.lines(), lines, "{what}");
        assert_eq!(actor.state(), AddressState::Gone, "{what}");
        assert!(
            matches!(actor.try_tell(Msg::Add(1)), Err(TellError::Gone(_))),
            "{what}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_overtakes_what_is_queued_and_a_drain_refuses_what_comes_after_it() {
    let log = Log::default();
    let actor = system().spawn(Puppet::logging(&log));
    for n in 0..10 {
        actor.try_tell(Msg::Note(n)).unwrap();
    }
    actor.stop();
    soon(actor.closed()).await;
    assert_eq!(log.lines(), ["started 1", "stopped normal", "dropped"]);

    let log = Log::default();
    let actor = system().spawn(Puppet::logging(&log));
    actor.try_tell(Msg::Drain).unwrap();
    actor.try_tell(Msg::Note(1)).unwrap();
    tokio::task::yield_now().await;
    assert!(matches!(
        actor.try_tell(Msg::Note(2)),
        Err(TellError::Stopped(_) | TellError::Gone(_))
    ));
    soon(actor.closed()).await;
    assert_eq!(
        log.lines(),
        ["started 1", "note 1", "stopped normal", "dropped"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_clean_up_or_in_the_destructor_is_the_reason_of_an_orderly_exit() {
    let cases: [(Puppet, Act, &str); 3] = [
        (
            Puppet::that(|p| p.panic_in_stopped = true),
            |a| a.stop(),
            "panicked: in stopped",
        ),
        (
            Puppet::that(|p| p.panic_in_drop = true),
            |a| a.stop(),
            "panicked: in drop",
        ),
        (
            Puppet::that(|p| p.panic_in_drop = true),
            |a| a.try_tell(Msg::Fail("first")).unwrap(),
            "failed: first",
        ),
    ];
    for (puppet, act, reason) in cases {
        let actor = system().spawn(puppet);
        act(&actor);
        assert_eq!(soon(actor.closed()).await.to_string(), reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_ends_the_address_with_its_reason() {
    let actor = system().spawn(Puppet::that(|p| p.fail_start = Some("no database")));
    assert_eq!(
        soon(actor.closed()).await.to_string(),
        "failed: no database"
    );
}

#[tokio::test(start_paused = true)]
async fn a_monitor_hears_of_the_end_once_also_when_it_comes_late() {
    let actor = system().spawn(Puppet::default());
    let mut early = actor.monitor();
    actor.kill();
    let event = soon(early.next()).await.unwrap();
    assert_eq!(describe(&event), "gone killed missed:0");
    assert!(soon(early.next()).await.is_none());
    let mut late = actor.monitor();
    let event = soon(late.next()).await.unwrap();
    assert_eq!(describe(&event), "gone killed missed:0");
}

#[tokio::test(start_paused = true)]
async fn a_monitoring_actor_hears_of_the_end_after_what_the_subject_had_sent() {
    /// Sends three notes to its listener and fails.
    struct Subject(ActorRef<Msg>);
    impl Actor for Subject {
        type Msg = ();
        type Error = Failure;
        async fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<(), Failure> {
            for n in 1..=3 {
                self.0.tell(Msg::Note(n)).await?;
            }
            Err(Failure::msg("done"))
        }
    }
    /// Spawns a subject and monitors it.
    struct Listener(Puppet);
    impl Actor for Listener {
        type Msg = Msg;
        type Error = Failure;
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
            let subject = cx.system().spawn(Subject(cx.myself()));
            cx.monitor(&subject, Msg::Seen);
            subject.tell(()).await?;
            Ok(())
        }
        async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
            match msg {
                Msg::Note(n) => self.0.log.push(format!("note {n}")),
                Msg::Seen(event) => {
                    self.0.log.push(format!("seen {}", describe(&event)));
                    cx.stop();
                }
                _ => {}
            }
            Ok(())
        }
    }
    let log = Log::default();
    // One slot: the last notes and the monitor's message could not all be queued without the reserved one.
    let options = SpawnOptions::new().mailbox(Mailbox::bounded(1));
    let listener = system()
        .spawn_with(options, Listener(Puppet::logging(&log)))
        .unwrap();
    soon(listener.closed()).await;
    assert_eq!(
        log.lines(),
        [
            "note 1",
            "note 2",
            "note 3",
            "seen gone failed missed:0",
            "dropped"
        ]
    );
}

#[test]
fn dropping_the_runtime_ends_what_it_ran_and_says_so() {
    let system = system();
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (actor, mut monitor) = runtime.block_on(async {
        let actor = system.spawn(Puppet::logging(&log));
        actor.tell(Msg::Wait(Arc::default())).await.unwrap();
        tokio::task::yield_now().await;
        actor.tell(Msg::Note(1)).await.unwrap();
        let monitor = actor.monitor();
        (actor, monitor)
    });
    drop(runtime);
    assert!(actor.is_gone());
    assert_eq!(log.lines(), ["started 1", "waiting", "dropped"]);
    assert_eq!(system.dead_letters().total(), 1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let event = runtime.block_on(monitor.next()).unwrap();
    assert!(matches!(
        event,
        MonitorEvent::Gone {
            reason: ExitReason::Killed,
            ..
        }
    ));
}

#[test]
fn an_actor_whose_task_was_never_polled_ends_with_its_runtime() {
    let system = system();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let actor = {
        let _entered = runtime.enter();
        system.spawn_named("never", Puppet::default()).unwrap()
    };
    actor.try_tell(Msg::Note(1)).unwrap();
    drop(runtime);
    assert!(actor.is_gone());
    assert_eq!(system.dead_letters().total(), 1);
    assert!(system.registry().names().is_empty());
}
