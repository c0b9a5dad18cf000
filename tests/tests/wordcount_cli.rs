//! Bad input of the word count: one line with the cause, exit code 2, and nothing was started.
#![cfg(target_os = "linux")]

use std::{fs, os::unix::fs::PermissionsExt};

use treewarden_tests::{
    processes::{Run, survivors},
    scratch::Scratch,
};

const WORDCOUNT: &str = env!("CARGO_BIN_EXE_wordcount");

fn check(line: &str, expected: &str) {
    let run = Run::start(WORDCOUNT, line.split_whitespace());
    let mark = run.mark();
    let output = run.finish();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}: {errors}");
    assert!(errors.contains(expected), "{line}: {errors}");
    assert_eq!(errors.lines().count(), 1, "{line}: {errors}");
    assert!(output.stdout.is_empty(), "{line}: nothing was begun");
    assert_eq!(survivors(&mark), [0; 0], "{line}: no process is left");
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    check("--nodes 0", "from 1 to 32, not \"0\"");
    check("--nodes 1000", "not \"1000\"");
    check("--nodes many", "not \"many\"");
    check("--nodes", "--nodes");
    check(
        "--chaos monkey",
        "none, actors, node, coordinator, partition or all, not \"monkey\"",
    );
    check("--nodes 1", "at least --nodes 3");
    check("--nodes 2 --chaos node", "at least --nodes 3");
    check("--nodes 2 --chaos all", "at least --nodes 3");
    check("--input", "--input needs at least one file or folder");
    check("--unknown", "--unknown");
    check("stray", "stray");
}

#[test]
fn input_that_cannot_be_counted_is_refused() {
    let scratch = Scratch::new("cli-input");
    scratch.file("empty/.hidden", b"x");
    std::os::unix::fs::symlink("nowhere", scratch.path().join("link")).unwrap();
    let at = scratch.path().display();
    check(&format!("--input {at}/missing"), "missing: No such file");
    check(&format!("--input {at}/link"), "symbolic link");
    check(&format!("--input {at}/empty"), "nothing to count");
    check("--input /dev/null", "neither a file nor a folder");
    check(
        &format!("--input {at}/{}", "n".repeat(300)),
        "name too long",
    );
}

#[test]
fn a_folder_and_a_file_that_may_not_be_read_are_refused() {
    let scratch = Scratch::new("cli-unreadable");
    let file = scratch.file("file", b"x");
    let folder = scratch.path().join("folder/below");
    fs::create_dir_all(&folder).unwrap();
    for path in [&file, &folder] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    if fs::read_dir(&folder).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let at = scratch.path().display();
    check(&format!("--input {at}/file"), "file: Permission denied");
    check(&format!("--input {at}/folder"), "below: Permission denied");
}

#[test]
fn output_that_cannot_be_written_is_refused_before_the_work() {
    let scratch = Scratch::new("cli-output");
    scratch.file("in", b"x");
    let at = scratch.path().display();
    let output = |path: &str| format!("--input {at}/in --output {at}/{path}");
    check(&output("no/such/folder"), "cannot write");
    check(&output(""), "Is a directory");
    check(&output("in"), "is one of the files to count");
    assert_eq!(fs::read(scratch.path().join("in")).unwrap(), b"x");
}

#[test]
fn help_is_no_error() {
    let output = Run::start(WORDCOUNT, ["--help"]).finish();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("--chaos MODE"));
}
