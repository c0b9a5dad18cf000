//! OS processes as children. Real processes: each is a small shell script.
#![cfg(unix)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::system;
use tokio::process::Command;
use treewarden_runtime::ExitReason;
use treewarden_supervisor::{
    Child, Output, Process, ProcessFailed, Report, Restart, Shutdown, Supervisor, Tree,
};

/// Nothing here takes long; whoever waits longer waits for ever.
const SAFETY_NET: Duration = Duration::from_secs(30);

fn shell(script: &'static str) -> Process {
    Process::new(move || {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    })
}

async fn start(child: Child) -> Tree {
    Supervisor::one_for_one("app")
        .child(child)
        .start(&system())
        .await
        .expect("the tree starts")
}

/// How a process that runs this script ends by itself.
async fn end_of(script: &'static str) -> ExitReason {
    let child =
        Child::process("p", shell(script).output(Output::Discard)).restart(Restart::Temporary);
    let supervisor = Supervisor::one_for_one("app");
    let tree = supervisor.start(&system()).await.expect("it starts");
    let mut events = tree.events();
    tree.start_child(child).await.expect("the process starts");
    let ended = common::next(&mut events, |report| {
        matches!(report, Report::Exited { .. })
    });
    let event = tokio::time::timeout(SAFETY_NET, ended)
        .await
        .expect("it ends");
    match event.report {
        Report::Exited { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// Whether there is a process of this id that is not a zombie.
fn lives(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

fn until_dead(id: u32) {
    let since = Instant::now();
    while lives(id) {
        assert!(since.elapsed() < SAFETY_NET, "process {id} goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process that has a child of its own, and the ids of both.
async fn family(shutdown: Shutdown, trap: &'static str) -> (Tree, [u32; 2]) {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let seen = ids.clone();
    let script: &'static str = match trap {
        "" => "sleep 1000 & echo id $$; echo id $!; echo ready; wait",
        _ => {
            "trap '' TERM; sleep 1000 & echo id $$; echo id $!; echo ready; wait; wait; sleep 1000"
        }
    };
    let process = shell(script).ready_when(move |line| {
        if let Some(id) = line.strip_prefix("id ") {
            let id = id.parse().expect("a number");
            seen.lock().expect("no reader panics").push(id);
        }
        line == "ready"
    });
    let tree = start(Child::process("p", process).shutdown(shutdown)).await;
    let ids = ids.lock().expect("no reader panics").clone();
    (tree, ids.try_into().expect("two ids"))
}

#[tokio::test]
async fn exit_code_and_signal_are_the_exit_reason() {
    assert!(matches!(end_of("exit 0").await, ExitReason::Normal));
    for (script, expected) in [
        ("exit 3", "exit code 3"),
        ("kill -KILL $$", "signal 9"),
        ("kill -TERM $$", "signal 15"),
    ] {
        let ExitReason::Failed(failure) = end_of(script).await else {
            panic!("{script} is no success");
        };
        assert!(failure.downcast_ref::<ProcessFailed>().is_some());
        assert!(failure.to_string().contains(expected), "{failure}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_failed_start() {
    let missing = Process::new(|| Command::new("/no/such/program"));
    let refused = Supervisor::one_for_one("app")
        .child(Child::process("p", missing))
        .start(&system())
        .await;
    let error = refused.expect_err("it cannot start").to_string();
    assert!(error.contains("/app/p failed to start"), "{error}");
}

#[tokio::test]
async fn it_is_ready_when_it_says_so_and_its_siblings_wait() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let (first, second) = (order.clone(), order.clone());
    let process = shell("echo warming up; echo ready; sleep 1000").ready_when(move |line| {
        first
            .lock()
            .expect("no reader panics")
            .push(line.to_owned());
        line == "ready"
    });
    let tree = Supervisor::one_for_one("app")
        .child(Child::process("p", process))
        .child(Child::future("next", move || {
            second
                .lock()
                .expect("no reader panics")
                .push("next".to_owned());
            std::future::pending()
        }))
        .start(&system())
        .await
        .expect("the tree starts");
    tokio::task::yield_now().await;
    assert!(tree.shutdown().await.is_clean());
    let order = order.lock().expect("no reader panics").clone();
    assert_eq!(order[..2], ["warming up", "ready"]);
    assert!(order[2..].iter().all(|entry| entry == "next"), "{order:?}");
}

#[tokio::test]
async fn it_is_asked_to_stop_and_its_whole_group_ends_with_it() {
    let (tree, ids) = family(Shutdown::Timeout(Duration::from_secs(20)), "").await;
    assert!(ids.into_iter().all(lives));
    let report = tree.shutdown().await;
    assert!(report.is_clean(), "{report}");
    ids.into_iter().for_each(until_dead);
}

#[tokio::test]
async fn one_that_does_not_listen_is_killed_at_its_deadline_and_named() {
    let (tree, ids) = family(Shutdown::Timeout(Duration::from_millis(50)), "trap").await;
    let report = tree.shutdown().await;
    assert_eq!(report.stalled.len(), 1, "{report}");
    assert_eq!(&*report.stalled[0].path, "/app/p");
    assert!(matches!(report.stalled[0].reason, Some(ExitReason::Killed)));
    ids.into_iter().for_each(until_dead);
}

#[tokio::test]
async fn a_crash_is_restarted_when_the_group_of_the_old_process_is_gone() {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let seen = ids.clone();
    // The second incarnation finds the file, and stays.
    let mark = std::env::temp_dir().join(format!("treewarden-restart-{}", std::process::id()));
    let _ = std::fs::remove_file(&mark);
    let file = mark.clone();
    let process = Process::new(move || {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "sleep 1000 & echo id $!; echo ready; [ -e \"$MARK\" ] && wait; touch \"$MARK\"; exit 1"])
            .env("MARK", &file)
            .stdin(Stdio::null());
        command
    })
    .ready_when(move |line| {
        if let Some(id) = line.strip_prefix("id ") {
            let id: u32 = id.parse().expect("a number");
            seen.lock().expect("no reader panics").push(id);
        }
        line == "ready"
    });
    let supervisor = Supervisor::one_for_one("app");
    let tree = supervisor.start(&system()).await.expect("it starts");
    let mut events = tree.events();
    tree.start_child(Child::process("p", process))
        .await
        .expect("it starts");
    let restarted = common::next(&mut events, |report| {
        matches!(report, Report::Started { generation: 2, .. })
    });
    tokio::time::timeout(SAFETY_NET, restarted)
        .await
        .expect("it is restarted");
    let both = ids.lock().expect("no reader panics").clone();
    until_dead(both[0]);
    assert!(lives(both[1]));
    assert!(tree.shutdown().await.is_clean());
    until_dead(both[1]);
    let _ = std::fs::remove_file(&mark);
}

#[test]
fn none_is_left_when_the_runtime_is_dropped() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (tree, ids) = runtime.block_on(family(Shutdown::Infinity, "trap"));
    drop(runtime);
    ids.into_iter().for_each(until_dead);
    let stat = |id| std::fs::read_to_string(format!("/proc/{id}/stat"));
    assert!(stat(ids[0]).is_err(), "it is no zombie either");
    drop(tree);
}

/// Not a test: what the next one starts, and kills.
#[test]
#[ignore = "it is started by another test"]
fn a_parent_that_waits_to_be_killed() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (_tree, ids) = runtime.block_on(family(Shutdown::Infinity, "trap"));
    println!("\nids {} {}", ids[0], ids[1]);
    std::thread::sleep(SAFETY_NET * 2);
}

#[test]
fn none_is_left_when_this_process_is_killed() {
    let mut parent = std::process::Command::new(std::env::current_exe().expect("it runs"))
        .args([
            "--exact",
            "a_parent_that_waits_to_be_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the parent starts");
    let stdout = BufReader::new(parent.stdout.take().expect("it is piped"));
    let ids: Vec<u32> = stdout
        .lines()
        .map_while(Result::ok)
        .find_map(|line| {
            let ids = line.strip_prefix("ids ")?;
            Some(
                ids.split(' ')
                    .map(|id| id.parse().expect("a number"))
                    .collect(),
            )
        })
        .expect("the parent says who its children are");
    assert!(ids.iter().copied().all(lives));
    parent.kill().expect("it can be killed");
    parent.wait().expect("it ends");
    ids.into_iter().for_each(until_dead);
}
