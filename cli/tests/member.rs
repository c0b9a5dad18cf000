//! `treewarden member` as processes on loopback.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A member that is killed when a test ends early.
struct Member {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Member {
    fn start(node: &str, join: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_treewarden"))
            .args([
                "member",
                "--plaintext",
                "--preset=local",
                "--bind=127.0.0.1:0",
            ])
            .arg(format!("--node={node}"))
            .env("TREEWARDEN_JOIN", join)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    /// The next event of this kind. Reads to the end if there is none.
    fn event(&mut self, kind: &str) -> Value {
        self.lines
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.expect("text")).expect("JSON"))
            .find(|event| event["event"] == kind)
            .unwrap_or_else(|| panic!("it ended without {kind:?}"))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_member_finds_another_through_the_environment_and_leaves_when_it_is_terminated() {
    let mut first = Member::start("first", "");
    let started = first.event("started");
    assert!(started["at_ms"].as_u64() > Some(0));
    let mut second = Member::start("second", started["addr"].as_str().expect("an address"));
    assert_eq!(first.event("joined")["node"], "second");
    assert_eq!(second.event("joined")["node"], "first");
    let pid = second.child.id().to_string();
    assert!(
        Command::new("sh")
            .args(["-c", "kill -TERM \"$1\"", "sh", &pid])
            .status()
            .unwrap()
            .success()
    );
    let down = first.event("down");
    assert_eq!(
        (&down["node"], &down["reason"]),
        (&"second".into(), &"Left".into())
    );
    assert_eq!(second.event("left")["told"], true);
    assert_eq!(second.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_makes_no_sense_is_refused_with_exit_code_two() {
    for arguments in [
        &["--node=a", "--bind=127.0.0.1:0"][..],
        &["--node=a", "--bind=127.0.0.1:0", "--plaintext", "--key=x"],
        &[
            "--node=a",
            "--bind=127.0.0.1:0",
            "--plaintext",
            "--preset=moon",
        ],
        &[
            "--node=a",
            "--bind=127.0.0.1:0",
            "--plaintext",
            "--seed=nonsense",
        ],
        &["--plaintext", "--bind=127.0.0.1:0"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_treewarden"))
            .arg("member")
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_member_is_what_a_file_says_and_a_bad_file_is_refused_with_exit_code_two() {
    let dir = std::env::temp_dir().join(format!("treewarden-member-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (file, key) = (dir.join("node.toml"), dir.join("gossip.key"));
    std::fs::write(&key, "ab".repeat(32)).unwrap();
    let config = "cluster = \"prod\"\nnode = \"filed\"\npreset = \"local\"\n";
    let member = |text: String, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_treewarden"));
        command.args(["member", "--config"]).arg(&file).args(more);
        command
    };
    for (text, more, complaint) in [
        (config.to_owned(), &[][..], "key_file: this field is needed"),
        (format!("{config}key_file = \"no.key\""), &[], "no.key"),
        (
            format!("{config}[links]\nasks_max = 0"),
            &[],
            "links.asks_max: it is 0",
        ),
        (
            format!("{config}key_file = \"gossip.key\""),
            &["--node=b"],
            "--seed",
        ),
    ] {
        let refused = member(text.clone(), more).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{text}: {said}");
        assert!(said.contains(complaint), "{text}: {said}");
    }
    let mut child = member(format!("{config}key_file = \"gossip.key\""), &[])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut member = Member { child, lines };
    assert_eq!(member.event("started")["node"], "filed");
    std::fs::remove_dir_all(&dir).unwrap();
}
