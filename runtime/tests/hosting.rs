//! Addresses whose incarnations are started by order: what a restart keeps, and what the orders do.
#![allow(missing_docs)]

mod common;

use std::sync::{Arc, Mutex};

use common::{Events, Log, Msg, Puppet, describe, events, life, soon, system};
use futures_util::poll;
use tokio::sync::{Notify, mpsc::UnboundedReceiver};
use treewarden_runtime::{
    ActorRef, AddressState, AskError, DeadLetterReason, Failure, Init, System, TellError,
    host::{HostHandle, HostSpec, Life},
};

struct Hosted {
    system: System,
    actor: ActorRef<Msg>,
    handle: HostHandle,
    life: UnboundedReceiver<Life>,
    log: Log,
}

impl Hosted {
    fn with<F, Fut>(factory: F) -> Self
    where
        F: Fn(Init<Msg>, Log) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<Puppet>, Failure>> + Send + 'static,
    {
        let system = system();
        let log = Log::default();
        let (observer, life): (Arc<Events>, _) = events();
        let for_factory = log.clone();
        let (actor, handle) = system
            .host(
                HostSpec::new("/app/puppet"),
                move |init| factory(init, for_factory.clone()),
                observer,
            )
            .unwrap();
        Self {
            system,
            actor,
            handle,
            life,
            log,
        }
    }

    fn puppet() -> Self {
        Self::with(|_, log| async move { Ok(Some(Puppet::logging(&log))) })
    }

    async fn next(&mut self) -> String {
        life(&soon(self.life.recv()).await.unwrap())
    }

    async fn start(&mut self) {
        self.handle.start();
        assert!(self.next().await.starts_with("started"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_the_address_and_the_queue_but_not_the_message_that_crashed() {
    let mut hosted = Hosted::puppet();
    hosted.start().await;
    let mut monitor = hosted.actor.monitor();
    for msg in [Msg::Note(1), Msg::PanicWith("ouch"), Msg::Note(2)] {
        hosted.actor.tell(msg).await.unwrap();
    }
    assert_eq!(
        hosted.next().await,
        "exited 1: panicked: ouch, suspect #2 PanicWith"
    );
    hosted.handle.mark(AddressState::Restarting);
    assert_eq!(hosted.actor.state(), AddressState::Restarting);
    assert_eq!(
        describe(&soon(monitor.next()).await.unwrap()),
        "down 1 panicked restart:true missed:0"
    );
    // Between two incarnations messages wait.
    hosted.actor.tell(Msg::Note(3)).await.unwrap();
    hosted.start().await;
    assert_eq!(soon(hosted.actor.ask(Msg::Incarnation)).await, Ok(2));
    assert_eq!(
        hosted.log.lines(),
        [
            "started 1",
            "note 1",
            "dropped",
            "started 2",
            "note 2",
            "note 3"
        ]
    );
    assert_eq!(hosted.actor.incarnation(), 2);
    assert_eq!(hosted.system.dead_letters().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_is_queued_during_a_crash_is_answered_by_the_next_incarnation() {
    let mut hosted = Hosted::puppet();
    hosted.start().await;
    let actor = hosted.actor.clone();
    actor.tell(Msg::PanicWith("ouch")).await.unwrap();
    let ask = actor.ask(Msg::Incarnation);
    tokio::pin!(ask);
    assert!(poll!(&mut ask).is_pending());
    hosted.next().await;
    hosted.handle.mark(AddressState::Restarting);
    hosted.handle.start();
    assert_eq!(soon(ask).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_a_group_restart_is_discarded_and_its_askers_may_retry() {
    let mut hosted = Hosted::puppet();
    hosted.start().await;
    hosted.actor.tell(Msg::PanicWith("ouch")).await.unwrap();
    let actor = hosted.actor.clone();
    actor.tell(Msg::Note(1)).await.unwrap();
    let ask = actor.ask(Msg::Total);
    tokio::pin!(ask);
    assert!(poll!(&mut ask).is_pending());
    hosted.next().await;
    hosted.handle.mark(AddressState::Restarting);
    hosted.handle.discard_queue(DeadLetterReason::GroupRestart);
    hosted.start().await;
    assert_eq!(soon(ask).await, Err(AskError::CrashedBeforeHandling));
    assert_eq!(
        hosted
            .system
            .dead_letters()
            .count(DeadLetterReason::GroupRestart),
        2
    );
    assert_eq!(soon(actor.ask(Msg::Total)).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_address_refuses_messages_and_opens_again_with_the_next_start() {
    let mut hosted = Hosted::puppet();
    hosted.start().await;
    hosted.actor.tell(Msg::Wait(Arc::default())).await.unwrap();
    tokio::task::yield_now().await;
    hosted.actor.tell(Msg::Note(1)).await.unwrap();
    hosted.handle.kill();
    assert_eq!(hosted.next().await, "exited 1: killed, suspect #1 Wait");
    hosted.handle.mark(AddressState::Stopped);
    let refused = hosted.actor.tell(Msg::Note(2)).await;
    assert!(matches!(refused, Err(TellError::Stopped(Msg::Note(2)))));
    assert_eq!(hosted.actor.ask(Msg::Total).await, Err(AskError::Dead));
    tokio::task::yield_now().await;
    assert_eq!(
        hosted
            .system
            .dead_letters()
            .count(DeadLetterReason::Stopped),
        1
    );
    hosted.start().await;
    assert_eq!(soon(hosted.actor.ask(Msg::Incarnation)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn an_orderly_stop_is_a_shutdown_with_or_without_the_queue() {
    for (drain, lines) in [
        (
            false,
            &[
                "started 1",
                "waiting",
                "waited",
                "stopped shutdown",
                "dropped",
            ][..],
        ),
        (
            true,
            &[
                "started 1",
                "waiting",
                "waited",
                "note 1",
                "stopped shutdown",
                "dropped",
            ][..],
        ),
    ] {
        let mut hosted = Hosted::puppet();
        hosted.start().await;
        let release = Arc::new(Notify::new());
        hosted.actor.tell(Msg::Wait(release.clone())).await.unwrap();
        tokio::task::yield_now().await;
        hosted.actor.tell(Msg::Note(1)).await.unwrap();
        hosted.handle.stop(drain);
        release.notify_one();
        assert_eq!(hosted.next().await, "exited 1: shutdown");
        assert_eq!(hosted.log.lines(), lines, "drain: {drain}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_interrupts_a_slow_start() {
    let mut hosted = Hosted::with(|_, _| async { std::future::pending().await });
    hosted.handle.start();
    tokio::task::yield_now().await;
    hosted.handle.kill();
    assert_eq!(hosted.next().await, "start failed 1: killed");
}

#[tokio::test(start_paused = true)]
async fn a_start_can_fail_panic_or_be_ignored_and_watchers_see_it() {
    type Outcome = fn() -> Result<Option<Puppet>, Failure>;
    let cases: [(Outcome, &str); 3] = [
        (
            || Err(Failure::msg("no port")),
            "start failed 1: failed: no port",
        ),
        (|| panic!("oops"), "start failed 1: panicked: oops"),
        (|| Ok(None), "ignored 1"),
    ];
    for (outcome, expected) in cases {
        let mut hosted = Hosted::with(move |_, _| async move { outcome() });
        let mut monitor = hosted.actor.monitor();
        hosted.handle.start();
        assert_eq!(hosted.next().await, expected);
        hosted.handle.mark(AddressState::Stopped);
        if expected.starts_with("start failed") {
            let event = soon(monitor.next()).await.unwrap();
            assert!(describe(&event).starts_with("down 1"), "{event:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_factory_knows_which_incarnation_it_makes_and_how_the_last_one_ended() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let for_factory = told.clone();
    let mut hosted = Hosted::with(move |init, log| {
        let last = init.last_exit().map(|reason| reason.kind());
        for_factory.lock().unwrap().push((init.incarnation(), last));
        async move { Ok(Some(Puppet::logging(&log))) }
    });
    hosted.start().await;
    hosted.actor.tell(Msg::Fail("x")).await.unwrap();
    hosted.next().await;
    hosted.handle.mark(AddressState::Restarting);
    hosted.start().await;
    assert_eq!(*told.lock().unwrap(), [(1, None), (2, Some("failed"))]);
}

#[tokio::test(start_paused = true)]
async fn the_old_instance_is_cleaned_up_before_its_exit_is_reported() {
    let mut hosted = Hosted::puppet();
    hosted.start().await;
    hosted.actor.tell(Msg::Fail("x")).await.unwrap();
    hosted.next().await;
    assert_eq!(
        hosted.log.lines(),
        ["started 1", "stopped failed", "dropped"]
    );
}

#[tokio::test(start_paused = true)]
async fn orders_of_an_earlier_incarnation_do_not_reach_the_next() {
    let mut hosted = Hosted::puppet();
    hosted.start().await;
    hosted.actor.tell(Msg::Fail("x")).await.unwrap();
    hosted.next().await;
    hosted.handle.stop(false);
    hosted.handle.kill();
    hosted.handle.mark(AddressState::Restarting);
    hosted.start().await;
    assert_eq!(soon(hosted.actor.ask(Msg::Incarnation)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn events_that_nobody_takes_are_merged_and_counted() {
    let mut hosted = Hosted::puppet();
    let mut monitor = hosted.actor.monitor();
    for _ in 0..3 {
        hosted.start().await;
        hosted.actor.tell(Msg::Fail("x")).await.unwrap();
        hosted.next().await;
        hosted.handle.mark(AddressState::Restarting);
    }
    let event = soon(monitor.next()).await.unwrap();
    assert_eq!(describe(&event), "down 3 failed restart:true missed:2");
    hosted.handle.retire();
    let event = soon(monitor.next()).await.unwrap();
    assert_eq!(describe(&event), "gone failed missed:0");
    assert!(hosted.actor.is_gone());
}

#[tokio::test(start_paused = true)]
async fn a_monitoring_actor_hears_of_each_end_also_when_nothing_else_reaches_it() {
    struct Listener(ActorRef<Msg>, Log);
    impl treewarden_runtime::Actor for Listener {
        type Msg = treewarden_runtime::MonitorEvent;
        type Error = Failure;
        async fn started(
            &mut self,
            cx: &mut treewarden_runtime::Context<Self>,
        ) -> Result<(), Failure> {
            cx.monitor(&self.0, |event| event);
            Ok(())
        }
        async fn handle(
            &mut self,
            event: Self::Msg,
            _: &mut treewarden_runtime::Context<Self>,
        ) -> Result<(), Failure> {
            self.1.push(describe(&event));
            Ok(())
        }
    }
    let mut hosted = Hosted::puppet();
    hosted.start().await;
    let log = Log::default();
    hosted
        .system
        .spawn(Listener(hosted.actor.clone(), log.clone()));
    tokio::task::yield_now().await;
    for _ in 0..3 {
        hosted.actor.tell(Msg::Fail("told to")).await.unwrap();
        hosted.next().await;
        hosted.handle.mark(AddressState::Restarting);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        hosted.start().await;
    }
    assert_eq!(
        log.lines(),
        [
            "down 1 failed restart:true missed:0",
            "down 2 failed restart:true missed:0",
            "down 3 failed restart:true missed:0"
        ]
    );
}
