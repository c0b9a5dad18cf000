//! `treewarden certs`, as a person calls it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use treewarden_cluster::{datagram::Key, transport::Credentials};

/// A folder that goes away with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir =
            std::env::temp_dir().join(format!("treewarden-certs-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn certs(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_treewarden"))
        .arg("certs")
        .arg(dir)
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn it_makes_what_a_cluster_needs_and_adds_nodes_without_touching_what_is_there() {
    let scratch = Scratch::new("adds");
    let dir = &scratch.0;
    let made = certs(dir, &["--nodes", "a,b", "--cluster", "prod"]);
    assert!(made.status.success(), "{made:?}");
    let before: Vec<_> = ["ca.pem", "a.pem", "gossip.key"]
        .map(|file| fs::read(dir.join(file)).unwrap())
        .into();
    let added = certs(dir, &["--nodes", "b,c"]);
    assert!(added.status.success(), "{added:?}");
    let said = String::from_utf8(added.stdout).unwrap();
    assert_eq!(said.lines().count(), 2, "only c's files: {said}");
    let after: Vec<_> = ["ca.pem", "a.pem", "gossip.key"]
        .map(|file| fs::read(dir.join(file)).unwrap())
        .into();
    assert_eq!(before, after);
    for node in ["a", "b", "c"] {
        let credentials = Credentials::from_dir(dir, node).unwrap();
        assert_eq!(
            credentials.identity().uri(),
            format!("treewarden://prod/{node}")
        );
    }
    let key = fs::read_to_string(dir.join("gossip.key")).unwrap();
    assert!(Key::from_hex(&key).is_ok());
}

#[cfg(unix)]
#[test]
fn what_is_private_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("private");
    assert!(certs(&scratch.0, &["--nodes", "a"]).status.success());
    for file in ["ca-key.pem", "a-key.pem", "gossip.key"] {
        let mode = fs::metadata(scratch.0.join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file} has mode {mode:o}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let scratch = Scratch::new("refused");
    let dir = &scratch.0;
    for (args, complaint) in [
        (&["--nodes", "a b"][..], "\"a b\""),
        (&["--nodes", "a,"], "\"\""),
        (&["--nodes", "ca"], "authority"),
        (&["--nodes", "a", "--cluster", "x/y"], "\"x/y\""),
        (&["--nodes", "a", "--days", "0"], "between 1 and 3650"),
        (&["--nodes", "a", "--days", "x"], "x"),
        (&[], "--nodes"),
        (&["--nodes", "a", "--what"], "--what"),
    ] {
        let refused = certs(dir, args);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(complaint), "{args:?}: {said}");
        assert!(!dir.exists(), "{args:?}");
    }
    assert!(
        certs(dir, &["--nodes", "a", "--cluster", "one"])
            .status
            .success()
    );
    let refused = certs(dir, &["--nodes", "b", "--cluster", "two"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!dir.join("b.pem").exists());
}

#[test]
fn certificates_that_do_not_fit_are_refused_with_the_file_that_is_wrong() {
    let scratch = Scratch::new("mixed");
    let dir = &scratch.0;
    assert!(certs(dir, &["--nodes", "a,b"]).status.success());
    let missing = Credentials::from_dir(dir, "c").unwrap_err();
    assert!(missing.to_string().contains("c.pem"), "{missing}");
    fs::write(dir.join("b.pem"), "nothing").unwrap();
    let empty = Credentials::from_dir(dir, "b").unwrap_err();
    assert!(empty.to_string().contains("b.pem"), "{empty}");
    let mixed = Credentials::from_files(
        &dir.join("ca.pem"),
        &dir.join("a.pem"),
        &dir.join("b-key.pem"),
    );
    assert!(mixed.is_err(), "a certificate and the key of another");
    let authority = Credentials::from_files(
        &dir.join("ca.pem"),
        &dir.join("ca.pem"),
        &dir.join("ca-key.pem"),
    );
    assert!(authority.is_err(), "the authority is no node");
}
