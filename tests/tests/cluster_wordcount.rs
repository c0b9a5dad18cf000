//! The word count on real processes: exact whatever is killed, and nothing left behind.
#![cfg(target_os = "linux")]

use std::{
    ffi::OsString,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use treewarden_examples::wordcount::{input::Input, plain};
use treewarden_tests::{
    netns::Lab,
    processes::{Run, survivors, wait_until},
    scratch::Scratch,
};

const WORDCOUNT: &str = env!("CARGO_BIN_EXE_wordcount");

/// Text with everything that could go wrong: odd white space, bytes that are no text, files without an end of line.
fn text(scratch: &Scratch, bytes: usize) -> PathBuf {
    let spaces: [&[u8]; 7] = [b" ", b"\n", b"\t", b"\r\n", b"\x0b", b"\x0c", b"  \n\n"];
    let mut content = Vec::with_capacity(bytes);
    let mut number = 1u64;
    while content.len() < bytes {
        // A full-period generator (Knuth's MMIX constants): many words, some of them often.
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let pick = number >> 33;
        match pick % 11 {
            0 => content.extend_from_slice(b"the"),
            1 => content.extend_from_slice(b"\xff\x00\xfe"),
            2 => content.extend_from_slice("Bäume".as_bytes()),
            _ => content.extend_from_slice(format!("w{}", pick % 5000).as_bytes()),
        }
        content.extend_from_slice(spaces[(pick >> 7) as usize % spaces.len()]);
    }
    let third = content.len() / 3;
    scratch.file("in/a", &content[..third]);
    scratch.file("in/b/one", &content[third..2 * third]);
    scratch.file("in/b/two words", &content[2 * third..]);
    scratch.file("in/b/.hidden", b"hidden");
    scratch.file("in/empty", b"");
    scratch.file("in/long", &[b'x'; 700_000]);
    scratch.path().join("in")
}

fn arguments(words: &str, input: &Path, output: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = words.split_whitespace().map(Into::into).collect();
    arguments.extend(["--input".into(), input.into()]);
    arguments.extend(["--output".into(), output.into(), "--json".into()]);
    arguments
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|_| panic!("no report in\n{text}\n{errors}"))
}

/// What the pipeline of the specification gives, as `count<TAB>word` lines; `None` where there are no such tools.
fn coreutils(files: &[PathBuf]) -> Option<Vec<u8>> {
    let script = r#"for f in "$@"; do cat "$f"; echo; done |
        tr -s ' \t\n\r\f\v' '\n' | grep -av '^$' | sort | uniq -c | sed -E 's/^ *([0-9]+) /\1\t/'"#;
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .args(files)
        .env("LC_ALL", "C")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    (output.status.success() && !output.stdout.is_empty()).then_some(output.stdout)
}

fn check(name: &str, flags: &str, is_right: impl FnOnce(&Value)) {
    let scratch = Scratch::new(name);
    let input = text(&scratch, 400_000);
    let counts = scratch.path().join("counts");
    let run = Run::start(WORDCOUNT, arguments(flags, &input, &counts));
    let (mark, pid) = (run.mark(), run.pid());
    let output = run.finish();
    let report = json(&output);
    assert!(output.status.success(), "{name}: {report}");
    assert_eq!(survivors(&mark), [0; 0], "{name}: no process is left");
    if flags.contains("netns") {
        assert_eq!(namespaces_of(pid), [""; 0], "{name}: no namespace is left");
    }

    let files = Input::find(&[input]).unwrap().files;
    let mut expected = Vec::new();
    plain::count(&files)
        .unwrap()
        .write_to(&mut expected)
        .unwrap();
    let counts = fs::read(counts).unwrap();
    assert!(counts == expected, "{name}: the counts are exact");
    if let Some(expected) = coreutils(&files) {
        assert!(
            counts == expected,
            "{name}: the counts are those of coreutils"
        );
    }
    assert_eq!(report["exact"], true);
    assert_eq!(report["files"], 5);
    is_right(&report);
}

#[test]
fn one_node_counts_alone() {
    check("one", "--nodes 1 --chaos none", |report| {
        assert_eq!(report["nodes"], 1);
        assert_eq!(report["actor_restarts"], 0);
        assert_eq!(report["chunks_redelivered"], 0);
    });
}

#[test]
fn three_nodes_count_together() {
    check("none", "--chaos none", |report| {
        assert_eq!(report["nodes"], 3);
        assert_eq!(report["nodes_killed"], 0);
        assert_eq!(report["node_down_detected_ms"], Value::Null);
        assert_eq!(report["actor_restarts"], 0);
    });
}

#[test]
fn a_chunk_whose_worker_crashes_is_counted_by_another() {
    check("actors", "--chaos actors", |report| {
        assert!(report["actor_restarts"].as_u64() >= Some(4), "{report}");
        assert!(report["chunks_redelivered"].as_u64() >= Some(4), "{report}");
        assert_eq!(report["nodes_killed"], 0);
    });
}

#[test]
fn a_chunk_whose_node_is_killed_is_counted_by_another() {
    check("node", "--chaos node", |report| {
        assert_eq!(report["nodes_killed"], 1);
        assert!(report["node_down_detected_ms"].is_u64(), "{report}");
        assert!(report["chunks_redelivered"].as_u64() >= Some(1), "{report}");
        assert_eq!(report["actor_restarts"], 0);
    });
}

#[test]
fn the_count_is_exact_when_the_node_of_the_coordinator_is_killed() {
    check("coordinator", "--chaos coordinator", |report| {
        assert_eq!(report["nodes_killed"], 1);
        // On a machine that is busy with other things it may move once more, which changes nothing.
        assert!(report["coordinators"].as_u64() >= Some(2), "{report}");
        assert!(report["node_down_detected_ms"].is_u64(), "{report}");
        assert_eq!(report["actor_restarts"], 0);
    });
}

#[test]
fn the_count_is_exact_while_a_node_is_cut_off() {
    check("partition", "--chaos partition", |report| {
        assert_eq!(report["partitions"], 1);
        assert_eq!(report["nodes_killed"], 0);
        assert!(report["chunks_redelivered"].as_u64() >= Some(1), "{report}");
    });
}

#[test]
fn the_count_is_exact_when_two_of_five_nodes_are_killed() {
    check("two", "--nodes 5 --chaos all", |report| {
        assert_eq!(report["nodes_killed"], 2);
        assert!(report["coordinators"].as_u64() >= Some(2), "{report}");
        assert!(report["actor_restarts"].as_u64() >= Some(1), "{report}");
    });
}

#[test]
fn the_count_is_exact_while_workers_crash_and_a_node_is_killed() {
    check("all", "--nodes 4 --chaos all", |report| {
        assert_eq!(report["nodes"], 4);
        assert_eq!(report["nodes_killed"], 1);
        assert!(report["actor_restarts"].as_u64() >= Some(1), "{report}");
        assert!(report["node_down_detected_ms"].is_u64(), "{report}");
    });
}

/// Namespaces of labs of a process.
fn namespaces_of(pid: u32) -> Vec<String> {
    let listed = Command::new("ip").args(["netns", "list"]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter(|name| name.starts_with(&format!("twlab-{pid}-")))
        .map(str::to_owned)
        .collect()
}

/// Whether nodes can live in namespaces here. If not, it is said.
fn has_namespaces() -> bool {
    match Lab::missing() {
        None => true,
        Some(missing) => {
            println!("skipped, for want of {missing}");
            false
        }
    }
}

#[test]
fn the_count_is_exact_in_namespaces_whatever_breaks_and_they_are_removed() {
    if !has_namespaces() {
        return;
    }
    check("netns", "--hosts netns --nodes 4 --chaos all", |report| {
        assert_eq!(report["nodes_killed"], 1);
        assert!(report["actor_restarts"].as_u64() >= Some(1), "{report}");
    });
}

#[test]
fn the_count_is_exact_in_namespaces_while_the_cable_of_a_node_is_pulled() {
    if !has_namespaces() {
        return;
    }
    check("cable", "--hosts netns --chaos partition", |report| {
        assert_eq!(report["partitions"], 1);
        assert_eq!(report["nodes_killed"], 0);
        assert!(report["chunks_redelivered"].as_u64() >= Some(1), "{report}");
    });
}

#[test]
fn an_interrupt_removes_the_namespaces_and_the_nodes_in_them() {
    if !has_namespaces() {
        return;
    }
    let scratch = Scratch::new("netns-interrupt");
    let input = text(&scratch, 30_000_000);
    let counts = scratch.path().join("counts");
    let flags = "--hosts netns --chaos none";
    let mut run = Run::start(WORDCOUNT, arguments(flags, &input, &counts));
    let (mark, pid) = (run.mark(), run.pid());
    run.line_with("the work begins");
    assert_eq!(namespaces_of(pid).len(), 4, "three nodes and a switch");
    run.signal("INT");
    let output = run.finish();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(survivors(&mark), [0; 0], "no process is left");
    assert_eq!(namespaces_of(pid), [""; 0], "no namespace is left");
}

#[test]
fn namespaces_are_refused_with_exit_code_two_where_there_is_no_iproute2() {
    let output = Command::new(WORDCOUNT)
        .args(["--hosts", "netns"])
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--hosts netns needs") && said.contains("iproute2"),
        "{said}"
    );
}

/// Starts a job that takes a while, and returns it when all its processes are there.
fn long_job(scratch: &Scratch) -> Run {
    let input = text(scratch, 30_000_000);
    let counts = scratch.path().join("counts");
    let run = Run::start(WORDCOUNT, arguments("--chaos none", &input, &counts));
    let mark = run.mark();
    wait_until("three nodes and their launcher", || {
        survivors(&mark).len() == 4
    });
    run
}

#[test]
fn an_interrupt_stops_all_nodes_in_order_and_leaves_no_file() {
    for signal in ["INT", "TERM"] {
        let scratch = Scratch::new(&format!("interrupt-{signal}"));
        let mut run = long_job(&scratch);
        let mark = run.mark();
        run.line_with("the work begins");
        run.signal(signal);
        let output = run.finish();
        assert_eq!(output.status.code(), Some(130), "{signal}");
        assert_eq!(survivors(&mark), [0; 0], "{signal}: no process is left");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("interrupted"), "{text}");
        assert!(!text.contains("did not stop in time"), "{text}");
        assert!(!scratch.path().join("counts").exists(), "{signal}");
    }
}

#[test]
fn a_launcher_that_is_killed_leaves_no_process_behind() {
    let scratch = Scratch::new("sigkill");
    let mut run = long_job(&scratch);
    let mark = run.mark();
    run.signal("KILL");
    assert_eq!(run.wait().signal(), Some(9), "it did not end before");
    wait_until("the nodes end", || survivors(&mark).is_empty());
}

#[test]
fn a_launcher_that_is_killed_before_its_nodes_know_each_other_leaves_no_process_behind() {
    let scratch = Scratch::new("sigkill-early");
    let input = text(&scratch, 1000);
    let counts = scratch.path().join("counts");
    let mut run = Run::start(WORDCOUNT, arguments("--chaos none", &input, &counts));
    let mark = run.mark();
    wait_until("a node", || survivors(&mark).len() >= 2);
    run.signal("KILL");
    run.wait();
    wait_until("the nodes end", || survivors(&mark).is_empty());
}
