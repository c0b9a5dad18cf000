//! Mailboxes that shed or are fair, and what asks inherit.
#![allow(missing_docs)]

mod common;

use std::{
    future::poll_fn,
    num::NonZeroU64,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use common::{Log, Msg, Puppet, soon, system};
use futures_util::poll;
use tokio::{sync::Notify, time::Instant};
use treewarden_runtime::{
    Actor, ActorRef, AskError, Context, Criticality, DeadLetterReason, Failure, Mailbox,
    MessageContext, Reply, Shedding, SpawnOptions, System, TellError,
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

fn of(criticality: Criticality) -> MessageContext {
    MessageContext::new().with_criticality(criticality)
}

#[tokio::test(start_paused = true)]
async fn what_waited_too_long_is_shed_and_its_asker_may_retry() {
    let system = system();
    let mailbox = Mailbox::bounded(100).shed(Shedding::adaptive());
    let (actor, log, release) = suspended(&system, mailbox).await;
    let mut dead_letters = system.dead_letters().subscribe();
    let asking = actor.ask(Msg::Total).context(of(Criticality::Sheddable));
    tokio::pin!(asking);
    assert!(poll!(&mut asking).is_pending());
    tokio::time::sleep(Duration::from_millis(200)).await;
    for n in [1, 2] {
        actor.tell(Msg::Note(n)).await.unwrap();
    }
    release.notify_one();
    let error = soon(asking).await.unwrap_err();
    assert_eq!(error, AskError::Shed);
    assert!(error.is_safe_to_retry());

    let dead = dead_letters.recv().await.unwrap();
    assert_eq!(dead.reason, DeadLetterReason::Shed);
    let context = dead.context.unwrap();
    assert_eq!(context.criticality(), Criticality::Sheddable);
    let counted = |class| {
        system
            .dead_letters()
            .count_of(DeadLetterReason::Shed, class)
    };
    assert_eq!(counted(Criticality::Sheddable), 1);
    assert_eq!(counted(Criticality::Default), 0);
    assert_eq!(system.dead_letters().count(DeadLetterReason::Shed), 1);

    soon(actor.ask(Msg::Total)).await.unwrap();
    assert_eq!(log.lines(), ["waited", "note 1", "note 2"]);
    let snapshot = system.snapshot();
    let node = snapshot.find(&actor.path()).unwrap();
    assert_eq!(node.shed.sheddable, 1);
    assert!(snapshot.to_string().contains("1 shed (0 critical)"));
}

#[tokio::test(start_paused = true)]
async fn the_critical_are_served_first_and_displace_the_others() {
    let system = system();
    let mailbox = Mailbox::bounded(2).shed(Shedding::adaptive());
    let (actor, log, release) = suspended(&system, mailbox).await;
    let send = |n, class| actor.try_tell_with(Msg::Note(n), of(class));
    send(1, Criticality::Sheddable).unwrap();
    send(2, Criticality::Default).unwrap();
    send(3, Criticality::Critical).unwrap();
    let refused = send(4, Criticality::Sheddable);
    assert!(matches!(refused, Err(TellError::Full(Msg::Note(4)))));
    let refused = actor
        .tell_with(Msg::Note(5), of(Criticality::Sheddable))
        .await;
    assert!(
        matches!(refused, Err(TellError::Full(Msg::Note(5)))),
        "nobody waits"
    );
    let load = actor.mailbox_load();
    assert_eq!((load.len, load.capacity, load.senders_waiting), (2, 2, 0));
    assert_eq!((load.refused.sheddable, load.shed.sheddable), (2, 1));
    assert_eq!(load.oldest_waited, Some(Duration::ZERO));
    release.notify_one();
    while actor.queue_depth() > 0 {
        tokio::task::yield_now().await;
    }
    soon(actor.ask(Msg::Total)).await.unwrap();
    assert_eq!(log.lines(), ["waited", "note 3", "note 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_shed_backlog_does_not_keep_the_worker_from_others() {
    let system = system();
    let mailbox = Mailbox::unbounded().shed(Shedding::adaptive());
    let (actor, _, release) = suspended(&system, mailbox).await;
    for n in 0..2000 {
        actor.try_tell(Msg::Note(n)).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    release.notify_one();
    let mut turns = 0;
    let neighbour = tokio::spawn(poll_fn(move |cx| {
        // Tokio's own yield waits until the scheduler is idle.
        cx.waker().wake_by_ref();
        turns += 1;
        match actor.queue_depth() {
            0 => Poll::Ready(turns),
            _ => Poll::Pending,
        }
    }));
    let turns = neighbour.await.unwrap();
    assert!(turns > 10, "the neighbour had {turns} turns meanwhile");
    assert_eq!(system.dead_letters().count(DeadLetterReason::Shed), 2000);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_floods_gives_way_to_the_others() {
    let system = system();
    let tenant_of = |msg: &Msg| match msg {
        Msg::Note(n) => n / 100,
        _ => u64::MAX,
    };
    let mailbox = Mailbox::bounded(10).fair_by(tenant_of);
    let (actor, log, release) = suspended(&system, mailbox).await;
    for n in 0..10 {
        actor.try_tell(Msg::Note(n)).unwrap();
    }
    assert!(matches!(
        actor.try_tell(Msg::Note(10)),
        Err(TellError::Full(_))
    ));
    actor.try_tell(Msg::Note(100)).unwrap();
    actor.try_tell(Msg::Note(200)).unwrap();
    let over_share = system.dead_letters().count(DeadLetterReason::OverShare);
    assert_eq!(over_share, 2);
    release.notify_one();
    soon(actor.ask(Msg::Total)).await.unwrap();
    assert_eq!(
        log.lines()[..5],
        ["waited", "note 0", "note 100", "note 200", "note 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_shed_is_refused_to_a_restarted_or_stopped_actor_as_well() {
    let system = system();
    let mailbox = Mailbox::bounded(10).shed(Shedding::adaptive());
    let (actor, _, _release) = suspended(&system, mailbox).await;
    for n in 0..5 {
        actor.try_tell(Msg::Note(n)).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    actor.kill();
    soon(actor.closed()).await;
    assert_eq!(system.dead_letters().total(), 5, "each is counted once");
}

/// Takes a millisecond for each message, and counts who was served by the deadline.
struct Service {
    served_in_time: Arc<Mutex<[u64; 3]>>,
}

impl Actor for Service {
    type Msg = (Criticality, Instant);
    type Error = Failure;

    async fn handle(&mut self, msg: Self::Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        let (criticality, deadline) = msg;
        tokio::time::sleep(Duration::from_millis(1)).await;
        if Instant::now() <= deadline {
            self.served_in_time.lock().unwrap()[criticality as usize] += 1;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn at_ten_times_the_load_all_capacity_goes_to_requests_in_time_and_the_critical_lose_none() {
    const SECONDS: u64 = 5;
    let served_in_time = Arc::new(Mutex::new([0; 3]));
    let service = Service {
        served_in_time: served_in_time.clone(),
    };
    let mailbox = Mailbox::bounded(1024).shed(Shedding::adaptive());
    let service = system()
        .spawn_with(SpawnOptions::new().mailbox(mailbox), service)
        .unwrap();
    // 10 000 requests a second, with a deadline of 100 ms: 5 % critical, 25 % default, 70 % sheddable.
    for number in 0..10_000 * SECONDS {
        let criticality = match number % 20 {
            0 => Criticality::Critical,
            1..=5 => Criticality::Default,
            _ => Criticality::Sheddable,
        };
        let deadline = Instant::now() + Duration::from_millis(100);
        let context = of(criticality).with_deadline(deadline);
        let _given_up = service.try_tell_with((criticality, deadline), context);
        if number % 10 == 9 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let [sheddable, default, critical] = *served_in_time.lock().unwrap();
    let (capacity, critical_offered) = (1000 * SECONDS, 500 * SECONDS);
    let goodput = sheddable + default + critical;
    assert!(goodput * 100 >= capacity * 95, "{goodput} of {capacity}");
    assert!(
        critical * 100 >= critical_offered * 99,
        "{critical} of {critical_offered}"
    );
    assert!(
        sheddable * 100 <= capacity,
        "{sheddable} sheddable ones were served"
    );
}

// Inheritance.

/// Asks the next one, and answers with the context that arrived there.
struct Hop {
    next: Option<ActorRef<HopMsg>>,
}

enum HopMsg {
    /// Passed on by an ask in the handler.
    Plain(Reply<Option<MessageContext>>),
    /// Passed on by an ask with a time-out of its own.
    WithTimeout(Duration, Reply<Option<MessageContext>>),
    /// Passed on by an ask with an empty context.
    Detached(Reply<Option<MessageContext>>),
    /// Suspends first.
    AfterAWait(Reply<Option<MessageContext>>),
    /// Passed on by a task.
    ByATask(Reply<Option<MessageContext>>),
}

impl Actor for Hop {
    type Msg = HopMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: HopMsg, cx: &mut Context<Self>) -> Result<(), Failure> {
        let Some(next) = self.next.clone() else {
            let (HopMsg::Plain(reply)
            | HopMsg::WithTimeout(_, reply)
            | HopMsg::Detached(reply)
            | HopMsg::AfterAWait(reply)
            | HopMsg::ByATask(reply)) = msg;
            reply.send(cx.message().cloned());
            return Ok(());
        };
        match msg {
            HopMsg::Plain(reply) => reply.send(next.ask(HopMsg::Plain).await?),
            HopMsg::WithTimeout(timeout, reply) => {
                reply.send(next.ask(HopMsg::Plain).timeout(timeout).await?);
            }
            HopMsg::Detached(reply) => {
                let context = MessageContext::new();
                reply.send(next.ask(HopMsg::Plain).context(context).await?);
            }
            HopMsg::AfterAWait(reply) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                reply.send(next.ask(HopMsg::Plain).await?);
            }
            HopMsg::ByATask(reply) => {
                let task = tokio::spawn(async move { next.ask(HopMsg::Plain).await });
                reply.send(task.await??);
            }
        }
        Ok(())
    }
}

/// Two hops before the one that answers.
fn chain(system: &System) -> ActorRef<HopMsg> {
    let last = system.spawn(Hop { next: None });
    let middle = system.spawn(Hop { next: Some(last) });
    system.spawn(Hop { next: Some(middle) })
}

fn whole_context(deadline: Instant) -> MessageContext {
    MessageContext::new()
        .with_deadline(deadline)
        .with_criticality(Criticality::Critical)
        .with_attempt(2)
        .with_request_id(NonZeroU64::new(7).unwrap())
        .with_trace_parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
}

#[tokio::test(start_paused = true)]
async fn asks_made_in_a_handler_inherit_all_of_its_context() {
    let first = chain(&system());
    let deadline = Instant::now() + Duration::from_secs(10);
    type Question = fn(Reply<Option<MessageContext>>) -> HopMsg;
    for question in [HopMsg::Plain as Question, HopMsg::AfterAWait] {
        let asking = first.ask(question).context(whole_context(deadline));
        let arrived = soon(asking).await.unwrap().expect("it has a context");
        assert_eq!(arrived.deadline(), Some(deadline));
        assert_eq!(arrived.criticality(), Criticality::Critical);
        assert_eq!(arrived.attempt(), 2);
        assert_eq!(arrived.request_id(), NonZeroU64::new(7));
        assert_eq!(arrived.trace_parent().map(str::len), Some(55));
        // The next message, without a context, hands none down.
        assert!(soon(first.ask(question)).await.unwrap().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn the_earlier_deadline_holds_and_an_empty_context_inherits_nothing() {
    let first = chain(&system());
    let now = Instant::now();
    let deadline = now + Duration::from_secs(10);
    let arrived_deadline =
        async |question: fn(Duration, Reply<Option<MessageContext>>) -> HopMsg, timeout_s| {
            let timeout = Duration::from_secs(timeout_s);
            let asking = first
                .ask(|reply| question(timeout, reply))
                .context(whole_context(deadline));
            let arrived = soon(asking).await.unwrap();
            arrived.and_then(|context| context.deadline())
        };
    let sooner = now + Duration::from_secs(3);
    assert_eq!(arrived_deadline(HopMsg::WithTimeout, 3).await, Some(sooner));
    assert_eq!(
        arrived_deadline(HopMsg::WithTimeout, 30).await,
        Some(deadline)
    );
    let detached = soon(first.ask(HopMsg::Detached).context(whole_context(deadline))).await;
    assert_eq!(detached.unwrap().unwrap().deadline(), None);
    let by_a_task = soon(first.ask(HopMsg::ByATask).context(whole_context(deadline))).await;
    assert!(by_a_task.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_ask_in_a_handler_gives_up_at_the_inherited_deadline() {
    let system = system();
    let (busy, _, _release) = suspended(&system, Mailbox::default()).await;
    struct Front(ActorRef<Msg>);
    impl Actor for Front {
        type Msg = Reply<Result<u64, AskError>>;
        type Error = Failure;
        async fn handle(&mut self, reply: Self::Msg, _: &mut Context<Self>) -> Result<(), Failure> {
            reply.send(self.0.ask(Msg::Total).await);
            Ok(())
        }
    }
    let front = system.spawn(Front(busy));
    let begin = Instant::now();
    let context = MessageContext::new().with_deadline(begin + Duration::from_millis(500));
    let (answered, answer) = tokio::sync::oneshot::channel();
    let reply = Reply::from_fn(|answer| answered.send(answer).expect("it is awaited"));
    front.tell_with(reply, context).await.unwrap();
    assert_eq!(answer.await.unwrap(), Ok(Err(AskError::Timeout)));
    assert_eq!(begin.elapsed(), Duration::from_millis(500));
}
