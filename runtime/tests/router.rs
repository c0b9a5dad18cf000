//! Routers over actors: who gets what while workers crash, end, are ejected and have no room.
#![allow(missing_docs)]

mod common;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{Events, events, soon, system};
use tokio::{sync::Notify, time::Instant};
use treewarden_runtime::{
    Actor, ActorRef, AddressState, AskError, Context, Ejection, Failure, Mailbox, Overflow,
    PeakEwma, Reply, RouteError, RoutedAskError, Router, Routing, SpawnOptions, System, TooFew,
    host::{HostHandle, HostSpec},
};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// Answers with its number after a while, and counts what it handled.
struct Worker {
    number: u64,
    takes: Duration,
    handled: Arc<AtomicU64>,
}

enum Msg {
    Count,
    Who(Reply<u64>),
    Wait(Arc<Notify>),
    Never(Reply<u64>),
    Panic,
    AskRouter(Router<Msg>, Reply<Vec<Result<u64, RoutedAskError>>>),
}

impl Clone for Msg {
    fn clone(&self) -> Self {
        match self {
            Msg::Count => Msg::Count,
            Msg::Wait(until) => Msg::Wait(until.clone()),
            _ => panic!("only these are broadcast"),
        }
    }
}

impl Actor for Worker {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, _cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Count => {
                self.handled.fetch_add(1, Ordering::SeqCst);
            }
            Msg::Who(reply) => {
                if !self.takes.is_zero() {
                    tokio::time::sleep(self.takes).await;
                }
                self.handled.fetch_add(1, Ordering::SeqCst);
                reply.send(self.number);
            }
            Msg::Wait(until) => until.notified().await,
            // Another than a timeout never comes of it.
            Msg::Never(reply) => {
                tokio::spawn(async move {
                    let _reply = reply;
                    std::future::pending::<()>().await;
                });
            }
            Msg::Panic => panic!("told to"),
            Msg::AskRouter(router, reply) => {
                let mut answers = Vec::new();
                for _ in 0..4 {
                    answers.push(router.ask(Msg::Who).await);
                }
                reply.send(answers);
            }
        }
        Ok(())
    }
}

struct Pool {
    system: System,
    router: Router<Msg>,
    workers: Vec<ActorRef<Msg>>,
    handled: Vec<Arc<AtomicU64>>,
}

impl Pool {
    fn empty(router: Router<Msg>) -> Self {
        Self {
            system: system(),
            router,
            workers: Vec::new(),
            handled: Vec::new(),
        }
    }

    async fn of(count: usize, router: Router<Msg>) -> Self {
        let mut pool = Self::empty(router);
        for _ in 0..count {
            pool.add(Duration::ZERO, Mailbox::default());
        }
        settle().await;
        pool
    }

    fn add(&mut self, takes: Duration, mailbox: Mailbox) {
        let handled = Arc::<AtomicU64>::default();
        let number = self.workers.len() as u64;
        let options = SpawnOptions::new()
            .mailbox(mailbox)
            .name(number.to_string());
        let worker = Worker {
            number,
            takes,
            handled: handled.clone(),
        };
        let worker = self.system.spawn_with(options, worker).unwrap();
        self.router.add(worker.clone());
        self.workers.push(worker);
        self.handled.push(handled);
    }

    fn handled(&self) -> Vec<u64> {
        let all = self.handled.iter();
        all.map(|handled| handled.load(Ordering::SeqCst)).collect()
    }
}

/// A worker that a test restarts as it likes.
struct Hosted {
    reference: ActorRef<Msg>,
    host: HostHandle,
    _events: Arc<Events>,
}

fn hosted(system: &System, number: u64) -> Hosted {
    let (observer, _) = events();
    let (reference, host) = system
        .host::<Worker, _, _>(
            HostSpec::new(format!("/{number}")),
            move |_| async move {
                Ok(Some(Worker {
                    number,
                    takes: Duration::ZERO,
                    handled: Arc::default(),
                }))
            },
            observer.clone(),
        )
        .unwrap();
    host.start();
    Hosted {
        reference,
        host,
        _events: observer,
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn seeded(routing: Routing) -> Router<Msg> {
    Router::builder(routing).seed(7).build()
}

async fn who(router: &Router<Msg>) -> Result<u64, RoutedAskError> {
    soon(router.ask(Msg::Who).into_future()).await
}

const ALL: [Routing; 4] = [
    Routing::RoundRobin,
    Routing::LeastLoaded,
    Routing::PowerOfTwo(PeakEwma {
        decay: Duration::from_secs(10),
    }),
    Routing::Rendezvous,
];

#[tokio::test(start_paused = true)]
async fn every_policy_reaches_every_worker_and_loses_nothing() {
    for routing in ALL {
        let pool = Pool::of(4, seeded(routing)).await;
        for _ in 0..200 {
            pool.router.tell(Msg::Count).await.unwrap();
            settle().await;
        }
        let handled = pool.handled();
        assert_eq!(handled.iter().sum::<u64>(), 200, "{routing:?}");
        assert!(handled.iter().all(|&n| n > 20), "{routing:?}: {handled:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_crashed_gets_nothing_until_it_is_back() {
    for routing in ALL {
        let system = system();
        let router = seeded(routing);
        let workers = [hosted(&system, 0), hosted(&system, 1), hosted(&system, 2)];
        for worker in &workers {
            router.add(worker.reference.clone());
        }
        settle().await;
        workers[1].reference.tell(Msg::Panic).await.unwrap();
        settle().await;
        for _ in 0..50 {
            assert_ne!(who(&router).await, Ok(1), "{routing:?}");
            router.tell(Msg::Count).await.unwrap();
        }
        assert_eq!(workers[1].reference.queue_depth(), 0, "{routing:?}");
        workers[1].host.start();
        settle().await;
        let mut seen = HashSet::new();
        for _ in 0..50 {
            seen.insert(who(&router).await.unwrap());
        }
        assert!(seen.contains(&1), "{routing:?}: it is back");
    }
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_eligible_the_message_is_handed_back() {
    let pool = Pool::of(0, seeded(Routing::LeastLoaded)).await;
    assert_nobody(&pool.router).await;
    let mut pool = Pool::of(2, seeded(Routing::LeastLoaded)).await;
    pool.workers[0].stop();
    pool.router.eject(&pool.workers[1], None);
    settle().await;
    assert_nobody(&pool.router).await;
    pool.add(Duration::ZERO, Mailbox::default());
    settle().await;
    assert_eq!(who(&pool.router).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_just_spawned_is_used_and_its_messages_wait_with_it() {
    let router = Router::new(Routing::RoundRobin);
    router.add(system().spawn(Worker {
        number: 7,
        takes: Duration::ZERO,
        handled: Arc::default(),
    }));
    assert_eq!(who(&router).await, Ok(7));
}

async fn assert_nobody(router: &Router<Msg>) {
    let expected = |result| matches!(result, Err(RouteError::NobodyEligible(Msg::Count)));
    assert!(expected(router.tell(Msg::Count).await));
    assert!(expected(router.try_tell(Msg::Count)));
    assert!(expected(router.tell_by("key", Msg::Count).await));
    assert!(expected(router.try_tell_by("key", Msg::Count)));
    assert_eq!(who(router).await, Err(RoutedAskError::NotEligible));
    assert!(RoutedAskError::NotEligible.is_safe_to_retry());
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_room_is_passed_over_and_when_nobody_has_room_the_sender_waits() {
    let mut pool = Pool::empty(seeded(Routing::RoundRobin));
    for _ in 0..2 {
        pool.add(Duration::ZERO, Mailbox::bounded(1));
    }
    settle().await;
    let release = Arc::new(Notify::new());
    for worker in &pool.workers {
        worker.tell(Msg::Wait(release.clone())).await.unwrap();
    }
    settle().await;
    pool.workers[0].tell(Msg::Count).await.unwrap();
    // There is room for one, at the second.
    pool.router.try_tell(Msg::Count).unwrap();
    assert!(matches!(
        pool.router.try_tell(Msg::Count),
        Err(RouteError::Full(Msg::Count))
    ));
    let router = pool.router.clone();
    let waits = tokio::spawn(async move { router.tell(Msg::Count).await });
    settle().await;
    assert!(!waits.is_finished());
    release.notify_waiters();
    assert!(soon(waits).await.unwrap().is_ok());
    settle().await;
    assert_eq!(pool.handled().iter().sum::<u64>(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_at_a_worker_that_ends_goes_to_another() {
    let mut pool = Pool::empty(seeded(Routing::RoundRobin));
    for _ in 0..2 {
        pool.add(Duration::ZERO, Mailbox::bounded(1));
    }
    settle().await;
    let until = Arc::new(Notify::new());
    for worker in &pool.workers {
        worker.tell(Msg::Wait(until.clone())).await.unwrap();
        settle().await;
        worker.tell(Msg::Count).await.unwrap();
    }
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let router = pool.router.clone();
            tokio::spawn(async move { router.tell(Msg::Count).await })
        })
        .collect();
    settle().await;
    pool.workers[0].kill();
    settle().await;
    until.notify_waiters();
    for sender in senders {
        soon(sender).await.unwrap().unwrap();
    }
    settle().await;
    assert_eq!(pool.handled(), [0, 5], "its own, and those of all senders");
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_that_refuses_hands_the_message_back() {
    let mut pool = Pool::empty(seeded(Routing::RoundRobin));
    pool.add(
        Duration::ZERO,
        Mailbox::bounded(1).overflow(Overflow::Refuse),
    );
    settle().await;
    pool.workers[0]
        .tell(Msg::Wait(Arc::default()))
        .await
        .unwrap();
    settle().await;
    pool.router.tell(Msg::Count).await.unwrap();
    assert!(matches!(
        pool.router.tell(Msg::Count).await,
        Err(RouteError::Full(Msg::Count))
    ));
    assert_eq!(
        who(&pool.router).await,
        Err(RoutedAskError::Failed(AskError::Refused))
    );
}

#[tokio::test(start_paused = true)]
async fn the_least_loaded_is_seen_by_asks_in_flight_and_by_what_is_queued() {
    let pool = Pool::of(3, seeded(Routing::LeastLoaded)).await;
    let release = Arc::new(Notify::new());
    // The first has messages from elsewhere, the second has an ask that is in flight.
    pool.workers[0]
        .tell(Msg::Wait(release.clone()))
        .await
        .unwrap();
    settle().await;
    pool.workers[0].tell(Msg::Count).await.unwrap();
    let router = pool.router.clone();
    pool.router.eject(&pool.workers[2], None);
    let asks = tokio::spawn(async move { router.ask(Msg::Never).timeout(SECOND).await });
    settle().await;
    pool.router.readmit(&pool.workers[2]);
    let loads = pool.router.workers();
    let outstanding: Vec<_> = loads.iter().map(|load| load.outstanding()).collect();
    assert_eq!(outstanding, [1, 1, 0]);
    for _ in 0..10 {
        assert_eq!(who(&pool.router).await, Ok(2));
    }
    assert_eq!(
        soon(asks).await.unwrap(),
        Err(RoutedAskError::Failed(AskError::Timeout))
    );
    assert_eq!(pool.router.workers()[1].in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_power_of_two_gives_a_slow_worker_little_and_tries_it_again_later() {
    let decay = Duration::from_secs(2);
    let mut pool = Pool::empty(seeded(Routing::PowerOfTwo(PeakEwma { decay })));
    for takes in [200, 1, 1, 1] {
        pool.add(takes * MILLI, Mailbox::default());
    }
    settle().await;
    for _ in 0..1000 {
        who(&pool.router).await.unwrap();
    }
    let before = pool.handled();
    assert!(before[0] <= 3, "the slow one: {before:?}");
    assert!(before[1..].iter().all(|&n| n > 200), "{before:?}");
    let latency = pool.router.workers()[1].latency.unwrap();
    assert!(latency >= MILLI / 2 && latency < 3 * MILLI, "{latency:?}");
    tokio::time::sleep(20 * decay).await;
    for _ in 0..50 {
        who(&pool.router).await.unwrap();
    }
    assert!(pool.handled()[0] > before[0], "it was tried again");
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_is_dropped_is_not_in_flight_any_more_and_makes_its_worker_look_slow() {
    let pool = Pool::of(1, seeded(Routing::PowerOfTwo(PeakEwma::default()))).await;
    let ask = pool.router.ask(Msg::Never);
    let dropped = tokio::time::timeout(5 * SECOND, ask.into_future()).await;
    assert!(dropped.is_err());
    let load = pool.router.workers().remove(0);
    assert_eq!(load.in_flight, 0);
    assert_eq!(load.latency, Some(5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_with_its_worker_and_only_the_keys_of_one_that_leaves_move() {
    let pool = Pool::of(5, seeded(Routing::RoundRobin)).await;
    let owners = async || {
        let mut owners = HashMap::new();
        for key in 0..200_u64 {
            let owner = soon(pool.router.ask_by(&key, Msg::Who).into_future()).await;
            owners.insert(key, owner.unwrap());
        }
        owners
    };
    let before = owners().await;
    assert_eq!(before.values().collect::<HashSet<_>>().len(), 5);
    assert_eq!(owners().await, before);
    // It leaves, is ejected, or ends: the same keys move, to the same workers.
    pool.router.remove(&pool.workers[3]).unwrap();
    let without = owners().await;
    for (key, owner) in &before {
        match owner {
            3 => assert_ne!(without[key], 3),
            owner => assert_eq!(without[key], *owner),
        }
    }
    pool.router.add(pool.workers[3].clone());
    assert_eq!(owners().await, before, "it is back, and so are its keys");
    pool.router.eject(&pool.workers[3], Some(SECOND));
    assert_eq!(owners().await, without);
    tokio::time::sleep(SECOND).await;
    assert_eq!(owners().await, before);
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_eject_a_worker_for_a_time_that_grows() {
    let ejection = Ejection::after(3).lasting(SECOND, 4 * SECOND);
    let router = Router::builder(Routing::Rendezvous).eject(ejection).build();
    let pool = Pool::of(4, router).await;
    let key = "a key";
    let owner = soon(pool.router.ask_by(key, Msg::Who).into_future()).await;
    let owner = owner.unwrap() as usize;
    for length in [1, 2, 4, 4] {
        for attempt in 0..3 {
            let loads = pool.router.workers();
            assert!(!loads[owner].is_ejected, "after {attempt} failures");
            let ask = pool.router.ask_by(key, Msg::Never).timeout(MILLI);
            assert_eq!(
                soon(ask.into_future()).await,
                Err(RoutedAskError::Failed(AskError::Timeout))
            );
        }
        let began = Instant::now();
        while pool.router.workers()[owner].is_ejected {
            let other = soon(pool.router.ask_by(key, Msg::Who).into_future()).await;
            assert_ne!(other, Ok(owner as u64));
            tokio::time::sleep(100 * MILLI).await;
        }
        assert_eq!(began.elapsed(), length * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn never_more_than_a_share_of_the_workers_is_ejected() {
    let router = Router::builder(Routing::RoundRobin)
        .eject(Ejection::after(1).at_most(0.5))
        .build();
    let pool = Pool::of(5, router).await;
    for _ in 0..50 {
        let ask = pool.router.ask(Msg::Never).timeout(MILLI);
        assert!(soon(ask.into_future()).await.is_err());
        let ejected = pool.router.workers();
        let ejected = ejected.iter().filter(|load| load.is_ejected).count();
        assert!(ejected <= 2, "{ejected} of 5");
    }
    let loads = pool.router.workers();
    assert_eq!(loads.iter().filter(|load| load.is_ejected).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_reported_counts_and_what_was_refused_does_not() {
    let router = Router::builder(Routing::RoundRobin)
        .eject(Ejection::after(2))
        .build();
    let mut pool = Pool::empty(router);
    for _ in 0..2 {
        pool.add(
            Duration::ZERO,
            Mailbox::bounded(1).overflow(Overflow::Refuse),
        );
    }
    settle().await;
    let is_ejected = |index: usize| pool.router.workers()[index].is_ejected;
    for went_well in [false, true, false] {
        assert!(pool.router.report(&pool.workers[0], went_well));
        assert!(!is_ejected(0));
    }
    pool.router.report(&pool.workers[0], false);
    assert!(is_ejected(0));
    // The second has no room: that is no failure of it.
    pool.workers[1]
        .tell(Msg::Wait(Arc::default()))
        .await
        .unwrap();
    settle().await;
    pool.workers[1].tell(Msg::Count).await.unwrap();
    pool.router.readmit(&pool.workers[0]);
    pool.router.eject(&pool.workers[0], None);
    for _ in 0..10 {
        assert_eq!(
            who(&pool.router).await,
            Err(RoutedAskError::Failed(AskError::Refused))
        );
    }
    assert!(!is_ejected(1));
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_reaches_all_that_are_eligible_and_counts_them() {
    let mut pool = Pool::of(4, seeded(Routing::RoundRobin)).await;
    pool.workers[1].stop();
    pool.router.eject(&pool.workers[2], None);
    pool.add(Duration::ZERO, Mailbox::bounded(1));
    settle().await;
    // The last one has no room yet; the others do not wait for it.
    let release = Arc::new(Notify::new());
    let last = &pool.workers[4];
    last.tell(Msg::Wait(release.clone())).await.unwrap();
    settle().await;
    last.tell(Msg::Count).await.unwrap();
    let router = pool.router.clone();
    let broadcast = tokio::spawn(async move { router.broadcast(Msg::Count).await });
    settle().await;
    assert_eq!(pool.handled(), [1, 0, 0, 1, 0]);
    assert!(!broadcast.is_finished());
    release.notify_waiters();
    let counts = soon(broadcast).await.unwrap();
    assert_eq!((counts.told, counts.missed), (3, 2));
    settle().await;
    assert_eq!(pool.handled(), [1, 0, 0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_gather_is_over_with_the_first_a_quorum_or_all() {
    let mut pool = Pool::empty(seeded(Routing::RoundRobin));
    for takes in [30, 10, 20] {
        pool.add(takes * MILLI, Mailbox::default());
    }
    settle().await;
    let began = Instant::now();
    let first = pool.router.gather(Msg::Who).first().await.unwrap();
    assert_eq!((first.answers, began.elapsed()), (vec![1], 10 * MILLI));
    tokio::time::sleep(SECOND).await;
    let began = Instant::now();
    let two = pool.router.gather(Msg::Who).quorum(2).await.unwrap();
    assert_eq!((two.answers, began.elapsed()), (vec![1, 2], 20 * MILLI));
    tokio::time::sleep(SECOND).await;
    let began = Instant::now();
    let all = pool.router.gather(Msg::Who).all().await.unwrap();
    assert_eq!((all.answers, began.elapsed()), (vec![1, 2, 0], 30 * MILLI));
    assert!(all.failures.is_empty());
    assert_eq!(pool.handled(), [3, 3, 3], "all were asked each time");
}

#[tokio::test(start_paused = true)]
async fn a_gather_with_a_dead_member_has_a_quorum_without_it_and_says_who_is_missing_from_all() {
    let pool = Pool::of(3, seeded(Routing::RoundRobin)).await;
    pool.workers[1].kill();
    settle().await;
    let first = pool.router.gather(Msg::Who).first().await.unwrap();
    assert_eq!(first.answers.len(), 1);
    let two = pool.router.gather(Msg::Who).quorum(2).await.unwrap();
    assert_eq!(two.answers, [0, 2]);
    let TooFew { needed, gathered } = pool.router.gather(Msg::Who).all().await.unwrap_err();
    assert_eq!((needed, gathered.answers), (3, vec![0, 2]));
    let [(path, error)] = &gathered.failures[..] else {
        panic!("one is dead: {:?}", gathered.failures)
    };
    assert_eq!((&**path, *error), ("/1", RoutedAskError::NotEligible));
    // Three of two can never be: nobody waits for it.
    let few = soon(pool.router.gather(Msg::Never).quorum(3).into_future()).await;
    assert!(few.unwrap_err().gathered.answers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_gather_ends_at_its_timeout_with_what_there_is() {
    let mut pool = Pool::empty(seeded(Routing::RoundRobin));
    for takes in [1, 2, 3600] {
        pool.add(takes * SECOND, Mailbox::default());
    }
    settle().await;
    let began = Instant::now();
    let few = pool.router.gather(Msg::Who).timeout(5 * SECOND).await;
    let TooFew { needed, gathered } = few.unwrap_err();
    assert_eq!(began.elapsed(), 5 * SECOND);
    assert_eq!((needed, gathered.answers), (3, vec![0, 1]));
    assert_eq!(
        gathered.failures[0].1,
        RoutedAskError::Failed(AskError::Timeout)
    );
    assert!(pool.router.workers().iter().all(|load| load.in_flight == 0));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_crashes_while_it_is_asked_counts_as_a_failure_of_the_gather() {
    let pool = Pool::of(3, seeded(Routing::RoundRobin)).await;
    pool.workers[0].tell(Msg::Panic).await.unwrap();
    let few = soon(pool.router.gather(Msg::Who).all().into_future()).await;
    let gathered = few.unwrap_err().gathered;
    assert_eq!(gathered.answers, [1, 2]);
    assert_eq!(
        gathered.failures[0].1,
        RoutedAskError::Failed(AskError::Dead)
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_asks_through_its_own_router_is_not_asked_itself() {
    let pool = Pool::of(2, seeded(Routing::RoundRobin)).await;
    let router = pool.router.clone();
    let answers = pool.workers[0].ask(|reply| Msg::AskRouter(router, reply));
    assert_eq!(soon(answers).await.unwrap(), vec![Ok(1); 4]);
    pool.workers[1].stop();
    settle().await;
    let router = pool.router.clone();
    let answers = pool.workers[0].ask(|reply| Msg::AskRouter(router, reply));
    assert_eq!(
        soon(answers).await.unwrap(),
        vec![Err(RoutedAskError::NotEligible); 4]
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_gets_nothing_though_it_runs() {
    let pool = Pool::of(2, seeded(Routing::LeastLoaded)).await;
    let until = Arc::new(Notify::new());
    let draining = &pool.workers[0];
    draining.tell(Msg::Wait(until.clone())).await.unwrap();
    settle().await;
    draining.drain();
    assert_eq!(draining.state(), AddressState::Running);
    for _ in 0..10 {
        assert_eq!(who(&pool.router).await, Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_leaves_gets_nothing_more_and_answers_what_it_was_asked() {
    let mut pool = Pool::empty(seeded(Routing::RoundRobin));
    pool.add(SECOND, Mailbox::default());
    pool.add(SECOND, Mailbox::default());
    settle().await;
    let router = pool.router.clone();
    let asks: Vec<_> = (0..4)
        .map(|_| {
            let router = router.clone();
            tokio::spawn(async move { router.ask(Msg::Who).await })
        })
        .collect();
    settle().await;
    let leaving = pool.router.remove(&pool.workers[0]).unwrap();
    assert!(pool.router.remove(&pool.workers[0]).is_none());
    assert_eq!(pool.router.count(), 1);
    let began = Instant::now();
    leaving.answered().await;
    assert_eq!(began.elapsed(), 2 * SECOND);
    for ask in asks {
        soon(ask).await.unwrap().unwrap();
    }
    for _ in 0..4 {
        assert_eq!(who(&pool.router).await, Ok(1));
    }
}
