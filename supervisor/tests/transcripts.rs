//! Golden transcripts: scripts, and every command that the machine makes of them.
//!
//! A file holds cases. `== TITLE` begins one, `> STEPS` is a line of script, and the lines after it are what the
//! machine commands. After a change that is meant, `TREEWARDEN_BLESS=1 cargo test -p treewarden-supervisor --test
//! transcripts` writes the files anew; read the difference before it is committed.

use std::fs;
use std::path::Path;

use treewarden_supervisor::machine::script::{Simulation, parse};

/// The file as it ought to be: its titles, comments and steps, with the commands that really follow.
fn replay(file: &str) -> String {
    let mut simulation = Simulation::new();
    let mut seen = 0;
    let mut replayed = String::new();
    for line in file.lines().filter(|line| !line.starts_with("  ")) {
        replayed.push_str(line);
        replayed.push('\n');
        if line.starts_with("==") {
            simulation = Simulation::new();
            seen = 0;
        }
        let Some(steps) = line.strip_prefix('>') else {
            continue;
        };
        for step in parse(steps).unwrap_or_else(|error| panic!("{error} in {line:?}")) {
            simulation.run(&step);
        }
        for line in &simulation.lines()[seen..] {
            replayed.push_str(line);
            replayed.push('\n');
        }
        seen = simulation.lines().len();
    }
    replayed
}

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/transcripts")
        .join(format!("{name}.txt"));
    let expected =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let replayed = replay(&expected);
    if std::env::var_os("TREEWARDEN_BLESS").is_some() {
        return fs::write(&path, replayed).expect("the transcript can be written");
    }
    for (number, (is, ought)) in replayed.lines().zip(expected.lines()).enumerate() {
        assert_eq!(is, ought, "{name}.txt, line {}", number + 1);
    }
    assert_eq!(
        replayed.lines().count(),
        expected.lines().count(),
        "{name}.txt: number of lines"
    );
}

#[test]
fn start() {
    check("start");
}

#[test]
fn restart_types() {
    check("restart_types");
}

#[test]
fn one_for_one() {
    check("one_for_one");
}

#[test]
fn one_for_all() {
    check("one_for_all");
}

#[test]
fn rest_for_one() {
    check("rest_for_one");
}

#[test]
fn dynamic() {
    check("dynamic");
}

#[test]
fn intensity() {
    check("intensity");
}

#[test]
fn backoff() {
    check("backoff");
}

#[test]
fn stop() {
    check("stop");
}

#[test]
fn administration() {
    check("administration");
}

#[test]
fn significant() {
    check("significant");
}
