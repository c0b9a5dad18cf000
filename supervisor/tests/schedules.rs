//! Trees under many schedules: what has to hold whoever goes on next.
//!
//! A failure names its seed; `TREEWARDEN_SEED=n` runs it alone, `TREEWARDEN_SEEDS=n` runs more of them.

mod common;

use std::time::Duration;

use common::{Log, Order, actor, faulty, puppet};
use treewarden_runtime::{ActorRef, AddressState};
use treewarden_supervisor::{AdminError, Backoff, Restart, Supervisor, Tree};
use treewarden_testkit::{Crash, Env, When, run, settle};

const SEEDS: u64 = 200;
const SECOND: Duration = Duration::from_secs(1);

async fn start(env: &Env, supervisor: Supervisor) -> Tree {
    let supervisor = supervisor.intensity(1000, SECOND);
    supervisor.start(env.system()).await.expect("it starts")
}

/// How often each of `+a -a` and so on happened.
fn times(log: &str, what: &str) -> usize {
    log.split(' ').filter(|happened| *happened == what).count()
}

/// Crashes `targets` from as many tasks, `crashes` times each.
fn crash_all(env: &Env, targets: Vec<ActorRef<Order>>, crashes: usize) {
    for target in targets {
        env.spawn(async move {
            for crash in 0..crashes {
                let order = match crash % 2 {
                    0 => Order::Fail,
                    _ => Order::Panic,
                };
                // The queue of a victim of a group restart is discarded, so it may crash less often than it was told to.
                target.tell(order).await.expect("it runs or restarts");
            }
        });
    }
}

#[test]
fn a_group_restart_leaves_all_running_and_never_one_twice_whoever_crashes_during_it() {
    run(SEEDS, |env| async move {
        let log = Log::default();
        let supervisor = match env.random() % 2 {
            0 => Supervisor::one_for_all("app"),
            _ => Supervisor::rest_for_one("app"),
        };
        let children = ["a", "b", "c"].map(|id| puppet(id, &log));
        let tree = start(&env, supervisor.children(children)).await;
        let targets = ["a", "b", "c"].map(|id| actor(&tree, id));
        crash_all(&env, targets.to_vec(), 3);
        settle().await;
        for (target, id) in targets.iter().zip(["a", "b", "c"]) {
            assert_eq!(target.state(), AddressState::Running, "{id}");
            target.ask(Order::Count).await.expect("it answers");
        }
        assert!(tree.shutdown().await.is_clean());
        let log = log.take();
        env.note(&log);
        for id in ["a", "b", "c"] {
            let (started, cleaned_up) = (format!("+{id}"), format!("-{id}"));
            let started = times(&log, &started);
            // An incarnation that panicked is not cleaned up.
            let incarnation = actor_incarnation(&targets, id);
            assert_eq!(started as u64, incarnation, "{id}");
            assert!(times(&log, &cleaned_up) <= started, "{id}");
        }
    });
}

fn actor_incarnation(targets: &[ActorRef<Order>], id: &str) -> u64 {
    let mut targets = targets.iter();
    let target = targets.find(|target| target.path().ends_with(id));
    target.expect("one of the three").incarnation()
}

#[test]
fn every_message_is_handled_crashed_on_handed_back_or_a_dead_letter_when_a_tree_goes_down() {
    run(SEEDS, |env| async move {
        let log = Log::default();
        let plan = env
            .faults()
            .crash(When::chance(0.1), Crash::Panic)
            .crash(When::chance(0.1), Crash::Error);
        let backoff = Backoff::constant(SECOND / 1000);
        let tree = start(
            &env,
            Supervisor::one_for_one("app").child(faulty("a", &log, &plan).backoff(backoff)),
        )
        .await;
        let target = actor(&tree, "a");
        let senders: Vec<_> = (0..3)
            .map(|_| {
                let (target, sender) = (target.clone(), env.clone());
                env.spawn(async move {
                    let mut handed_back = 0;
                    for _ in 0..10 {
                        handed_back += u64::from(target.tell(Order::Note("m")).await.is_err());
                        sender.yield_now().await;
                    }
                    handed_back
                })
            })
            .collect();
        for _ in 0..env.random() % 40 {
            env.yield_now().await;
        }
        let report = tree.shutdown().await;
        assert!(report.stalled.is_empty(), "{report}");
        let mut handed_back = 0;
        for sender in senders {
            handed_back += sender.await.expect("it does not panic");
        }
        // An address goes in its own task, a little after its tree.
        settle().await;
        let handled = times(&log.take(), "m") as u64;
        let crashed_on = plan.injected().len() as u64;
        let dead = env.system().dead_letters().total();
        env.note(format!(
            "{handled} handled, {crashed_on} crashed on, {handed_back} handed back, {dead} dead"
        ));
        assert_eq!(handled + crashed_on + handed_back + dead, 30);
    });
}

#[test]
fn administration_during_crashes_leaves_what_was_asked_for_last() {
    run(SEEDS, |env| async move {
        let log = Log::default();
        let children = ["a", "b"].map(|id| puppet(id, &log));
        let tree = start(&env, Supervisor::one_for_all("app").children(children)).await;
        let targets = ["a", "b"].map(|id| actor(&tree, id));
        crash_all(&env, vec![targets[0].clone()], 3);
        let extra = puppet("x", &log).restart(Restart::Temporary);
        let child = tree.start_child(extra).await.expect("it starts");
        // Not there: a group restart has ended it already, and a temporary child is not started again.
        let extra: Option<ActorRef<Order>> = child.actor().ok();
        tree.terminate_child("b").await.expect("it is there");
        // A group restart takes it along, so it may run again or be about to.
        match tree.restart_child("b").await {
            Ok(_) | Err(AdminError::Running | AdminError::Restarting) => {}
            Err(error) => panic!("{error}"),
        }
        settle().await;
        for target in &targets {
            assert_eq!(target.state(), AddressState::Running, "{target:?}");
        }
        let is_there = extra.as_ref().is_some_and(|extra| !extra.is_gone());
        let listed = tree.count_children().await.expect("it runs").specs;
        assert_eq!(listed, if is_there { 3 } else { 2 });
        assert!(tree.shutdown().await.is_clean());
        assert_eq!(times(&log.take(), "+x"), 1);
    });
}

#[test]
fn a_subtree_that_gives_up_is_restarted_whole_under_its_references() {
    run(SEEDS, |env| async move {
        let log = Log::default();
        let sub = Supervisor::one_for_one("sub").intensity(0, SECOND);
        let sub = sub.child(puppet("a", &log)).child(puppet("b", &log));
        let tree = start(&env, Supervisor::one_for_one("app").child(sub)).await;
        let targets = ["sub/a", "sub/b"].map(|path| actor(&tree, path));
        crash_all(&env, targets.to_vec(), 2);
        settle().await;
        for target in &targets {
            target.ask(Order::Count).await.expect("it answers");
        }
        let [a, b] = targets.map(|target| target.incarnation());
        assert_eq!(a, b, "each end of the subtree ends both");
        assert!((2..=5).contains(&a), "{a}");
        assert!(tree.shutdown().await.is_clean());
    });
}
