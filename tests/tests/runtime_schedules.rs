//! Mailboxes, asks and monitors under many schedules: what has to hold whoever goes on next.
//!
//! A failure names its seed; `TREEWARDEN_SEED=n` runs it alone, `TREEWARDEN_SEEDS=n` runs more of them.
#![allow(missing_docs)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use treewarden::{
    prelude::*,
    runtime::{DeadLetterReason, MonitorEvent, Recipient},
    testkit::{Crash, Env, Probe, When, run, settle},
};

const SEEDS: u64 = 200;
const SECOND: Duration = Duration::from_secs(1);

/// Writes down which messages it handled, by sender and number, and gives way in its handler.
struct Clerk {
    handled: Handled,
    env: Env,
}

type Handled = Arc<Mutex<Vec<(usize, u64)>>>;

enum Task {
    Note(usize, u64),
    Ask(u64, Reply<u64>),
}

impl Actor for Clerk {
    type Msg = Task;
    type Error = Failure;

    async fn handle(&mut self, task: Task, _: &mut Context<Self>) -> Result<(), Failure> {
        let (sender, number, reply) = match task {
            Task::Note(sender, number) => (sender, number, None),
            Task::Ask(number, reply) => (0, number, Some(reply)),
        };
        self.handled.lock().unwrap().push((sender, number));
        self.env.yield_now().await;
        if let Some(reply) = reply {
            reply.send(number);
        }
        Ok(())
    }
}

async fn yields(env: Env, bound: u64) {
    for _ in 0..env.random() % bound {
        env.yield_now().await;
    }
}

/// Ends it in a way and at a time that the seed chooses.
async fn end_some_time<M: Send + 'static>(env: &Env, actor: &ActorRef<M>) {
    yields(env.clone(), 60).await;
    match env.random() % 3 {
        0 => actor.stop(),
        1 => actor.drain(),
        _ => actor.kill(),
    }
    actor.closed().await;
    settle().await;
}

#[test]
fn every_message_to_a_narrow_mailbox_has_one_fate_and_each_senders_order_holds() {
    run(SEEDS, |env| async move {
        let handled = Handled::default();
        let mailbox = Mailbox::bounded(1 + (env.random() % 3) as usize);
        let clerk = Clerk {
            handled: handled.clone(),
            env: env.clone(),
        };
        let clerk = env
            .system()
            .spawn_with(SpawnOptions::new().mailbox(mailbox), clerk)
            .unwrap();
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let (clerk, env) = (clerk.clone(), env.clone());
                env.clone().spawn(async move {
                    let mut came_back = 0;
                    for number in 0..8 {
                        let mut tell = clerk.tell(Task::Note(sender, number));
                        // Some lose their patience while they wait.
                        let told = tokio::select! {
                            biased;
                            told = &mut tell => Some(told.is_ok()),
                            () = yields(env.clone(), 20) => None,
                        };
                        let is_queued = told.unwrap_or_else(|| tell.cancel().is_none());
                        came_back += u64::from(!is_queued);
                    }
                    came_back
                })
            })
            .collect();
        end_some_time(&env, &clerk).await;
        let mut came_back = 0;
        for sender in senders {
            came_back += sender.await.unwrap();
        }
        let handled = handled.lock().unwrap().clone();
        let dead = env.system().dead_letters().total();
        env.note(format!("{handled:?}, {came_back} came back, {dead} dead"));
        assert_eq!(handled.len() as u64 + came_back + dead, 24);
        let mut last = BTreeMap::new();
        for (sender, number) in handled {
            let before = last.insert(sender, number);
            assert!(before.is_none_or(|before| before < number), "in order");
        }
    });
}

#[test]
fn every_ask_ends_and_what_it_says_of_its_request_is_true() {
    run(SEEDS, |env| async move {
        let handled = Handled::default();
        let plan = env.faults().crash_after(When::chance(0.05), Crash::Panic);
        let clerk = env.system().spawn(plan.wrap(Clerk {
            handled: handled.clone(),
            env: env.clone(),
        }));
        let askers: Vec<_> = (0..12)
            .map(|number| {
                let (clerk, env) = (clerk.clone(), env.clone());
                env.clone().spawn(async move {
                    yields(env, 20).await;
                    clerk.ask(|reply| Task::Ask(number, reply)).await
                })
            })
            .collect();
        end_some_time(&env, &clerk).await;
        for (number, asker) in (0..).zip(askers) {
            let was_handled = handled.lock().unwrap().contains(&(0, number));
            match asker.await.unwrap() {
                Ok(answer) => assert!(was_handled && answer == number),
                Err(error) if error.is_safe_to_retry() => assert!(!was_handled, "{error}"),
                Err(_) => {}
            }
        }
    });
}

/// Tells `ear` of what it monitors.
struct Watcher {
    subject: ActorRef<u64>,
    ear: Recipient<String>,
}

impl Actor for Watcher {
    type Msg = String;
    type Error = Failure;

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        cx.monitor(&self.subject, |event| match event {
            MonitorEvent::Gone { reason, .. } => format!("gone: {reason}"),
            other => format!("{other:?}"),
        });
        self.subject.tell(0).await?;
        Ok(())
    }

    async fn handle(&mut self, said: String, _: &mut Context<Self>) -> Result<(), Failure> {
        self.ear.tell(said).await?;
        Ok(())
    }
}

/// Says something to its watcher now and then, and breaks.
struct Subject {
    watcher: Option<ActorRef<String>>,
    env: Env,
}

impl Actor for Subject {
    type Msg = u64;
    type Error = Failure;

    async fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<(), Failure> {
        while self.watcher.is_none() {
            self.watcher = self.env.system().registry().lookup("watcher").ok();
            self.env.yield_now().await;
        }
        let watcher = self.watcher.as_ref().expect("found");
        for n in 0..3 {
            watcher.tell(n.to_string()).await?;
            yields(self.env.clone(), 3).await;
        }
        Err(Failure::msg("broke"))
    }
}

#[test]
fn a_monitoring_actor_hears_of_an_end_after_all_that_was_sent_before() {
    run(SEEDS, |env| async move {
        let mut probe = Probe::<String>::spawn(env.system(), "probe");
        let subject = env.system().spawn(Subject {
            watcher: None,
            env: env.clone(),
        });
        let watcher = Watcher {
            subject,
            ear: probe.recipient(),
        };
        env.system().spawn_named("watcher", watcher).unwrap();
        let said = ["0", "1", "2", "gone: failed: broke"].map(str::to_owned);
        probe.expect_in_order(SECOND, said).await;
        let stopped = env.system().dead_letters().count(DeadLetterReason::Stopped);
        assert_eq!(stopped, 0);
    });
}
