//! Work pulling: backpressure to producers, workers that crash with an item, and choice about giving it out again.
#![allow(missing_docs)]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Events, events, soon, system};
use tokio::time::{Instant, sleep};
use treewarden_runtime::{
    Actor, ActorRef, Context, Failure, Mailbox, PushError, SpawnOptions, System, Work, WorkQueue,
    host::{HostHandle, HostSpec, Life},
};

const SECOND: Duration = Duration::from_secs(1);

/// What is done with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Note(u64),
    Take(Duration),
    Panic,
    Fail,
    /// Panics, the first time it is given out.
    PanicOnce,
    GiveBackOnce,
    /// Fails after a second, the first time it is given out.
    FailLaterOnce,
}

enum Msg {
    Work(Work<Job>),
    Busy(Duration),
    Panic,
    Stop,
    Pull,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Worker {
    name: &'static str,
    queue: WorkQueue<Job>,
    log: Log,
}

impl Actor for Worker {
    type Msg = Msg;
    type Error = Failure;

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.queue.pull(cx, Msg::Work);
        Ok(())
    }

    async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Work(work) => {
                let attempt = work.attempt();
                self.log
                    .push(format!("{} {:?} {attempt}", self.name, *work));
                match *work {
                    Job::Note(_) => {}
                    Job::Take(time) => sleep(time).await,
                    Job::Panic => panic!("told to"),
                    Job::Fail => return Err(Failure::msg("told to")),
                    Job::PanicOnce if attempt == 1 => panic!("told to"),
                    Job::PanicOnce => {}
                    Job::FailLaterOnce if attempt == 1 => {
                        sleep(SECOND).await;
                        return Err(Failure::msg("told to"));
                    }
                    Job::FailLaterOnce => {}
                    Job::GiveBackOnce if self.name == "a" => {
                        work.give_back();
                        return Ok(());
                    }
                    Job::GiveBackOnce => {}
                }
                work.done();
                self.queue.pull(cx, Msg::Work);
            }
            Msg::Busy(time) => sleep(time).await,
            Msg::Panic => panic!("told to"),
            Msg::Stop => cx.stop(),
            Msg::Pull => {
                self.queue.pull(cx, Msg::Work);
                self.queue.pull(cx, Msg::Work);
            }
        }
        Ok(())
    }
}

/// A worker that is restarted after `pause` whenever it ends.
fn supervised(
    system: &System,
    name: &'static str,
    queue: &WorkQueue<Job>,
    log: &Log,
    pause: Duration,
) -> ActorRef<Msg> {
    let (queue, log) = (queue.clone(), log.clone());
    let (observer, mut lives): (Arc<Events>, _) = events();
    let (reference, host): (_, HostHandle) = system
        .host::<Worker, _, _>(
            HostSpec::new(format!("/{name}")),
            move |_| {
                let (queue, log) = (queue.clone(), log.clone());
                async move { Ok(Some(Worker { name, queue, log })) }
            },
            observer,
        )
        .unwrap();
    host.start();
    tokio::spawn(async move {
        while let Some(life) = lives.recv().await {
            if matches!(life, Life::Exited { .. }) {
                sleep(pause).await;
                host.start();
            }
        }
    });
    reference
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn producers_wait_while_the_queue_is_full() {
    let queue = WorkQueue::new(2);
    queue.push(1).await.unwrap();
    queue.try_push(2).unwrap();
    assert_eq!(queue.try_push(3), Err(PushError::Full(3)));
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.push(3).await }
    });
    settle().await;
    assert!(!waiting.is_finished());
    let work = soon(queue.next()).await.unwrap();
    assert_eq!(*work, 1);
    soon(waiting).await.unwrap().unwrap();
    assert_eq!((queue.counts().waiting, queue.counts().held), (2, 1));
    work.done();
    assert_eq!(queue.counts().done, 1);
}

#[tokio::test(start_paused = true)]
async fn actors_take_work_when_they_are_free_and_a_slow_one_takes_less() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::new(4);
    let slow = supervised(&system, "slow", &queue, &log, SECOND);
    supervised(&system, "fast", &queue, &log, SECOND);
    settle().await;
    queue.push(Job::Take(10 * SECOND)).await.unwrap();
    settle().await;
    for n in 0..20 {
        queue.push(Job::Note(n)).await.unwrap();
    }
    settle().await;
    let notes = log.take();
    assert_eq!(notes.len(), 21);
    assert_eq!(notes.iter().filter(|line| line.contains("slow")).count(), 1);
    assert_eq!(slow.queue_depth(), 0, "nothing waits at a busy worker");
    queue.close();
    soon(queue.finished()).await;
    assert_eq!(
        (queue.counts().done, system.dead_letters().total()),
        (21, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_item_that_a_worker_crashes_with_is_counted_and_not_given_out_again() {
    let (system, log) = (system(), Log::default());
    let lost = Arc::<Mutex<Vec<Job>>>::default();
    let seen = lost.clone();
    let queue = WorkQueue::builder(8)
        .on_lost(move |job| seen.lock().unwrap().push(job))
        .build();
    supervised(&system, "a", &queue, &log, SECOND);
    for job in [
        Job::Note(1),
        Job::Panic,
        Job::Note(2),
        Job::Fail,
        Job::Note(3),
    ] {
        queue.push(job).await.unwrap();
    }
    queue.close();
    soon(queue.finished()).await;
    let counts = queue.counts();
    assert_eq!((counts.done, counts.crashed, counts.lost), (3, 2, 2));
    assert_eq!((counts.redelivered, counts.held), (0, 0));
    assert_eq!(*lost.lock().unwrap(), [Job::Panic, Job::Fail]);
    let lines = log.take();
    let expected = [
        "a Note(1) 1",
        "a Panic 1",
        "a Note(2) 1",
        "a Fail 1",
        "a Note(3) 1",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn by_choice_it_is_given_out_again_behind_the_others_and_to_another_worker_first() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::builder(8).redeliver(2).build();
    supervised(&system, "a", &queue, &log, SECOND);
    queue.push(Job::PanicOnce).await.unwrap();
    queue.push(Job::Note(1)).await.unwrap();
    settle().await;
    // The first one is down; the other comes only now.
    supervised(&system, "b", &queue, &log, SECOND);
    settle().await;
    assert_eq!(
        log.take(),
        ["a PanicOnce 1", "b Note(1) 1", "b PanicOnce 2"]
    );
    // One that crashes every worker is lost in the end.
    queue.push(Job::Panic).await.unwrap();
    queue.close();
    soon(queue.finished()).await;
    assert_eq!(log.take().len(), 3);
    let counts = queue.counts();
    assert_eq!((counts.done, counts.crashed), (2, 4));
    assert_eq!((counts.redelivered, counts.lost), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn it_is_not_given_to_the_very_worker_that_crashed_with_it_while_there_is_another() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::builder(8).redeliver(1).build();
    let a = supervised(&system, "a", &queue, &log, 10 * SECOND);
    settle().await;
    // It pulls once more before it comes to the item.
    a.tell(Msg::Busy(SECOND)).await.unwrap();
    a.tell(Msg::Pull).await.unwrap();
    settle().await;
    queue.push(Job::FailLaterOnce).await.unwrap();
    sleep(SECOND + SECOND / 2).await;
    supervised(&system, "b", &queue, &log, SECOND);
    sleep(SECOND).await;
    assert_eq!(log.take(), ["a FailLaterOnce 1", "b FailLaterOnce 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_crashed_gets_nothing_until_it_is_back() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::new(8);
    let a = supervised(&system, "a", &queue, &log, 10 * SECOND);
    settle().await;
    a.tell(Msg::Panic).await.unwrap();
    settle().await;
    queue.push(Job::Note(1)).await.unwrap();
    settle().await;
    assert_eq!((queue.counts().waiting, queue.counts().held), (1, 0));
    sleep(11 * SECOND).await;
    assert_eq!(log.take(), ["a Note(1) 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_has_one_pull_open_however_often_it_pulls() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::new(8);
    let a = supervised(&system, "a", &queue, &log, SECOND);
    a.tell(Msg::Pull).await.unwrap();
    a.tell(Msg::Busy(SECOND)).await.unwrap();
    settle().await;
    for n in 0..3 {
        queue.push(Job::Note(n)).await.unwrap();
    }
    assert_eq!((queue.counts().held, queue.counts().waiting), (1, 2));
    sleep(2 * SECOND).await;
    assert_eq!(queue.counts().done, 3);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_killed_in_the_middle_of_an_item_has_crashed_with_it() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::builder(8).redeliver(1).build();
    let a = supervised(&system, "a", &queue, &log, SECOND);
    supervised(&system, "b", &queue, &log, SECOND);
    settle().await;
    queue.push(Job::Take(10 * SECOND)).await.unwrap();
    sleep(SECOND).await;
    let began = Instant::now();
    a.kill();
    queue.close();
    soon(queue.finished()).await;
    assert_eq!(began.elapsed(), 10 * SECOND);
    assert_eq!(log.take().last().unwrap(), "b Take(10s) 2");
    assert_eq!((queue.counts().done, queue.counts().crashed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_item_that_waits_at_a_worker_when_that_one_ends_goes_to_another_and_is_no_crash() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::new(8);
    let a = supervised(&system, "a", &queue, &log, 10 * SECOND);
    settle().await;
    // It has pulled, and then it is busy with something else: the item waits in its mailbox.
    a.tell(Msg::Busy(SECOND)).await.unwrap();
    a.tell(Msg::Panic).await.unwrap();
    settle().await;
    queue.push(Job::Note(1)).await.unwrap();
    settle().await;
    assert_eq!(queue.counts().held, 1);
    supervised(&system, "b", &queue, &log, SECOND);
    // When the next incarnation of the first comes up, what was for the one before goes back.
    sleep(12 * SECOND).await;
    assert_eq!(log.take(), ["b Note(1) 1"]);
    assert_eq!((queue.counts().crashed, queue.counts().done), (0, 1));
    // The pull of the incarnation that crashed is withdrawn, that of the next one is open.
    queue.push(Job::Note(2)).await.unwrap();
    queue.push(Job::Note(3)).await.unwrap();
    settle().await;
    assert_eq!(queue.counts().done, 3);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_for_ever_leaves_its_item_to_the_others() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::new(8);
    let worker = |name| Worker {
        name,
        queue: queue.clone(),
        log: log.clone(),
    };
    let a = system.spawn(worker("a"));
    settle().await;
    a.tell(Msg::Busy(SECOND)).await.unwrap();
    settle().await;
    a.stop();
    queue.push(Job::Note(1)).await.unwrap();
    sleep(2 * SECOND).await;
    assert!(a.is_gone());
    assert_eq!((queue.counts().waiting, queue.counts().held), (1, 0));
    system.spawn(worker("b"));
    settle().await;
    assert_eq!(log.take(), ["b Note(1) 1"]);
}

#[tokio::test(start_paused = true)]
async fn work_reaches_a_worker_whose_mailbox_is_full() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::new(8);
    let worker = Worker {
        name: "a",
        queue: queue.clone(),
        log: log.clone(),
    };
    let options = SpawnOptions::new().mailbox(Mailbox::bounded(1));
    let a = system.spawn_with(options, worker).unwrap();
    settle().await;
    a.tell(Msg::Busy(SECOND)).await.unwrap();
    settle().await;
    a.tell(Msg::Pull).await.unwrap();
    assert!(a.try_tell(Msg::Stop).is_err(), "there is no room");
    for n in 0..3 {
        queue.push(Job::Note(n)).await.unwrap();
    }
    assert_eq!((queue.counts().held, queue.counts().waiting), (1, 2));
    sleep(2 * SECOND).await;
    assert_eq!(log.take(), ["a Note(0) 1", "a Note(1) 1", "a Note(2) 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_goes_to_another_worker_and_counts_as_nothing() {
    let (system, log) = (system(), Log::default());
    let queue = WorkQueue::new(8);
    supervised(&system, "a", &queue, &log, SECOND);
    settle().await;
    supervised(&system, "b", &queue, &log, SECOND);
    settle().await;
    queue.push(Job::GiveBackOnce).await.unwrap();
    settle().await;
    assert_eq!(log.take(), ["a GiveBackOnce 1", "b GiveBackOnce 1"]);
    assert_eq!((queue.counts().done, queue.counts().crashed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_takes_nothing_more_and_is_over_when_all_is_done() {
    let queue = WorkQueue::builder(2).redeliver(1).build();
    queue.push(1).await.unwrap();
    queue.push(2).await.unwrap();
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.push(3).await }
    });
    settle().await;
    queue.close();
    assert_eq!(soon(waiting).await.unwrap(), Err(PushError::Closed(3)));
    assert_eq!(queue.try_push(4), Err(PushError::Closed(4)));
    let first = soon(queue.next()).await.unwrap();
    soon(queue.next()).await.unwrap().done();
    // One is in the hands of a worker, and may come back: it is not over.
    let next = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.map(Work::take) }
    });
    settle().await;
    assert!(!next.is_finished());
    assert_eq!(*first, 1);
    drop(first);
    assert_eq!(soon(next).await.unwrap(), Some(1));
    assert!(soon(queue.next()).await.is_none());
    soon(queue.finished()).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_stops_waiting_for_work_takes_none_with_it() {
    let queue = WorkQueue::<u64>::new(8);
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let queue = queue.clone();
        waiting.push(tokio::spawn(
            async move { queue.next().await.map(Work::take) },
        ));
    }
    settle().await;
    queue.push(1).await.unwrap();
    // The one that was woken has not run yet.
    waiting.remove(0).abort();
    settle().await;
    let mut taken = 0;
    for task in &waiting {
        taken += usize::from(task.is_finished());
    }
    assert_eq!(taken, 1);
    assert_eq!(queue.counts().done, 1);
}

#[test]
fn under_many_threads_every_item_is_done_or_lost_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        const ITEMS: u64 = 4000;
        let (system, log) = (system(), Log::default());
        let queue = WorkQueue::builder(16).redeliver(1).build();
        for name in ["a", "b", "c"] {
            supervised(&system, name, &queue, &log, Duration::ZERO);
        }
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    while let Some(work) = queue.next().await {
                        match *work {
                            Job::Panic | Job::Fail => drop(work),
                            Job::PanicOnce if work.attempt() == 1 => drop(work),
                            _ => work.done(),
                        }
                    }
                })
            })
            .collect();
        let producers: Vec<_> = (0..4)
            .map(|producer| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    for n in 0..ITEMS / 4 {
                        let job = match n % 50 {
                            0 => Job::PanicOnce,
                            1 => Job::Fail,
                            _ => Job::Note(producer),
                        };
                        queue.push(job).await.unwrap();
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.await.unwrap();
        }
        queue.close();
        tokio::time::timeout(60 * SECOND, queue.finished())
            .await
            .expect("it ends");
        for task in tasks {
            task.await.unwrap();
        }
        let counts = queue.counts();
        assert_eq!(counts.done + counts.lost, ITEMS);
        assert_eq!(counts.lost, ITEMS / 50, "those that always fail");
        assert_eq!(counts.crashed, 3 * (ITEMS / 50));
        assert_eq!((counts.waiting, counts.held), (0, 0));
    });
}
