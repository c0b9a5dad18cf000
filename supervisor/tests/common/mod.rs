//! Puppets: children that do what a test tells them, and write down what happens to them.
#![allow(dead_code)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::broadcast;
use treewarden_runtime::{Actor, ActorRef, Context, ExitReason, Failure, Reply, System};
use treewarden_supervisor::{
    Backoff, Child, Report, Restart, Shutdown, Supervisor, Tree, TreeEvent,
};
use treewarden_testkit::FaultPlan;

/// What happened, in order, in one string: `+a` started, `-a` cleaned up.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0
            .lock()
            .expect("no test panics while it notes")
            .push(what.into());
    }

    /// What happened since the last time.
    pub(crate) fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().expect("no test panics while it notes")).join(" ")
    }
}

#[derive(Debug)]
pub(crate) enum Order {
    Panic,
    Fail,
    Stop,
    /// Waits for so long in the handler.
    Busy(Duration),
    Note(&'static str),
    Count(Reply<u64>),
}

pub(crate) struct Puppet {
    pub(crate) id: &'static str,
    pub(crate) log: Log,
    pub(crate) handled: u64,
}

impl Actor for Puppet {
    type Msg = Order;
    type Error = Failure;

    async fn started(&mut self, _cx: &mut Context<Self>) -> Result<(), Failure> {
        self.log.note(format!("+{}", self.id));
        Ok(())
    }

    async fn handle(&mut self, order: Order, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.handled += 1;
        match order {
            Order::Panic => panic!("told to"),
            Order::Fail => return Err(Failure::msg("told to")),
            Order::Stop => cx.stop(),
            Order::Busy(time) => tokio::time::sleep(time).await,
            Order::Note(what) => self.log.note(what),
            Order::Count(reply) => reply.send(self.handled),
        }
        Ok(())
    }

    async fn stopped(&mut self, _reason: &ExitReason, _cx: &mut Context<Self>) {
        self.log.note(format!("-{}", self.id));
    }

    fn label(order: &Order) -> &'static str {
        match order {
            Order::Busy(_) => "busy",
            _ => "order",
        }
    }
}

pub(crate) fn puppet(id: &'static str, log: &Log) -> Child {
    let log = log.clone();
    Child::actor(id, move |_| {
        let log = log.clone();
        async move {
            Ok(Puppet {
                id,
                log,
                handled: 0,
            })
        }
    })
}

/// A puppet whose messages and starts go through `plan`.
pub(crate) fn faulty(id: &'static str, log: &Log, plan: &FaultPlan<Order>) -> Child {
    let log = log.clone();
    Child::actor(
        id,
        plan.factory(move |_| {
            let log = log.clone();
            async move {
                Ok(Puppet {
                    id,
                    log,
                    handled: 0,
                })
            }
        }),
    )
}

/// A puppet whose next starts fail, as long as the counter is above zero.
pub(crate) fn failing(id: &'static str, log: &Log, failures: &Arc<Mutex<u32>>) -> Child {
    let (log, failures) = (log.clone(), failures.clone());
    Child::actor(id, move |_| {
        let (log, failures) = (log.clone(), failures.clone());
        async move {
            let mut left = failures.lock().expect("no test panics while it counts");
            if *left > 0 {
                *left -= 1;
                log.note(format!("!{id}"));
                return Err(Failure::msg("not yet"));
            }
            Ok(Puppet {
                id,
                log,
                handled: 0,
            })
        }
    })
}

pub(crate) fn system() -> System {
    System::new("test")
}

pub(crate) fn actor(tree: &Tree, path: &str) -> ActorRef<Order> {
    tree.actor(path).unwrap_or_else(|error| panic!("{error}"))
}

/// Lets everything happen that follows without time passing.
pub(crate) async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// The next event that is of interest.
pub(crate) async fn next(
    events: &mut broadcast::Receiver<TreeEvent>,
    wanted: fn(&Report<ExitReason>) -> bool,
) -> TreeEvent {
    loop {
        let event = events.recv().await.expect("no test is that far behind");
        if wanted(&event.report) {
            return event;
        }
    }
}

/// Everything that a supervisor reports, in one life of a tree.
pub(crate) async fn a_life() -> Tree {
    let log = Log::default();
    let slow = puppet("slow", &log)
        .shutdown(Shutdown::Timeout(Duration::from_secs(1)))
        .restart(Restart::Temporary);
    let calm = puppet("calm", &log).backoff(Backoff::constant(Duration::from_secs(1)));
    Supervisor::one_for_one("app")
        .intensity(2, Duration::from_secs(60))
        .child(
            Supervisor::one_for_one("sub")
                .intensity(0, Duration::from_secs(1))
                .child(puppet("a", &log)),
        )
        .child(calm)
        .child(slow)
        .start(&system())
        .await
        .expect("it starts")
}

pub(crate) async fn live(tree: &Tree) {
    actor(tree, "calm")
        .tell(Order::Fail)
        .await
        .expect("it runs");
    settle().await;
    tokio::time::sleep(2 * Duration::from_secs(1)).await;
    actor(tree, "sub/a")
        .tell(Order::Panic)
        .await
        .expect("it runs");
    settle().await;
    let busy = Order::Busy(Duration::from_secs(3600));
    actor(tree, "slow").tell(busy).await.expect("it runs");
    settle().await;
    tree.shutdown().await;
}
