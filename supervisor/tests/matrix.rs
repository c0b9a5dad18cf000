//! The matrix of restart type, exit reason, strategy and position, as a table that is also the documentation:
//! `tests/matrix.md`. `TREEWARDEN_BLESS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use treewarden_supervisor::machine::script::{Outcome, Seen, Simulation, parse};

const STRATEGIES: [&str; 4] = ["one_for_one", "one_for_all", "rest_for_one", "dynamic"];
const RESTARTS: [&str; 3] = ["permanent", "transient", "temporary"];
const INTRODUCTION: &str = "\
# What follows when a child ends by itself

Written by `tests/matrix.rs`. The supervisor has the children `a`, `b` and `c`, in this order, all of the same restart type; one of them ends.
In a cell: who is stopped, in this order, and who is started, in this order; or what becomes of the child: it *stays*
without an instance, or is *gone* with its specification.

";

/// What follows when this child ends for this reason.
fn cell(strategy: &str, restart: &str, child: &str, reason: Outcome) -> String {
    let mut simulation = Simulation::new();
    let options = |id: &str| format!("{id}:{restart}");
    let children = ["a", "b", "c"].map(options);
    let start = match strategy {
        "dynamic" => format!(
            "start; {}",
            children.map(|child| format!("add {child}")).join("; ")
        ),
        _ => format!("start {}", children.join(" ")),
    };
    let run = |simulation: &mut Simulation, script: &str| {
        for step in parse(script).expect("the script can be read") {
            simulation.run(&step);
        }
    };
    run(&mut simulation, &format!("supervisor {strategy}; {start}"));
    simulation.take_seen();
    run(&mut simulation, &format!("exit {child} {reason}"));
    let seen = simulation.take_seen();
    let ids = |wanted: fn(&Seen) -> Option<&str>| {
        seen.iter()
            .skip(1)
            .filter_map(wanted)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let stopped = ids(|seen| {
        if let Seen::Down(id, _) = seen {
            Some(id)
        } else {
            None
        }
    });
    let started = ids(|seen| {
        if let Seen::Start(id) = seen {
            Some(id)
        } else {
            None
        }
    });
    let mut known = simulation.machine().children_in_start_order();
    match (&*stopped, &*started) {
        ("", "") if known.any(|(_, known)| &*known.spec().id == child) => "stays".into(),
        ("", "") => "gone".into(),
        ("", started) => format!("start {started}"),
        (stopped, started) => format!("stop {stopped}, start {started}"),
    }
}

fn table() -> String {
    let mut table = INTRODUCTION.to_owned();
    let columns = Outcome::ALL.map(Outcome::word).join(" | ");
    writeln!(table, "| strategy | ends | restart | {columns} |").expect("writing to a string");
    writeln!(table, "|---|---|---|{}", "---|".repeat(Outcome::ALL.len()))
        .expect("writing to a string");
    for strategy in STRATEGIES {
        for child in ["a", "b", "c"] {
            for restart in RESTARTS {
                let cells = Outcome::ALL
                    .map(|reason| cell(strategy, restart, child, reason))
                    .join(" | ");
                writeln!(table, "| {strategy} | {child} | {restart} | {cells} |")
                    .expect("writing to a string");
            }
        }
    }
    table
}

#[test]
fn the_matrix_is_as_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix.md");
    let table = table();
    if std::env::var_os("TREEWARDEN_BLESS").is_some() {
        return std::fs::write(&path, table).expect("the table can be written");
    }
    let documented = std::fs::read_to_string(&path).expect("the table is there");
    for (is, ought) in table.lines().zip(documented.lines()) {
        assert_eq!(is, ought);
    }
    assert_eq!(table.lines().count(), documented.lines().count());
}
