//! What can be seen of our machine, in the words in which the Erlang driver writes down OTP's.

use std::fmt::Write as _;

use super::CUT;
use treewarden_supervisor::machine::script::{Outcome, Seen, Simulation, Step, parse};
use treewarden_supervisor::machine::{AdminError, Answer, ExitCause, PlantedBug, Status, Strategy};

/// The trace of a script.
///
/// # Panics
///
/// If the script cannot be read.
#[must_use]
pub fn trace(script: &str) -> String {
    let steps = parse(script).unwrap_or_else(|error| panic!("{error} in {script}"));
    trace_with(Simulation::new(), &steps)
}

/// The trace of a script with a bug in the machine.
///
/// # Panics
///
/// If the script cannot be read.
#[must_use]
pub fn trace_with_bug(script: &str, bug: PlantedBug) -> String {
    let steps = parse(script).unwrap_or_else(|error| panic!("{error} in {script}"));
    trace_with(Simulation::with_bug(bug), &steps)
}

fn trace_with(mut simulation: Simulation, steps: &[Step]) -> String {
    let mut trace = String::new();
    let mut number = None;
    for step in steps {
        if names_what_has_no_name(step, &simulation) {
            writeln!(trace, "{CUT}").expect("writing to a string");
            break;
        }
        if !is_impossible_in_otp(step, &simulation) {
            simulation.run(step);
        }
        if let Step::Begin(_) = step {
            number = Some(0);
        }
        // What comes before the start only prepares it.
        let Some(this) = number else { continue };
        number = Some(this + 1);
        // OTP's timeouts are real; here they are over as soon as somebody waits for them.
        simulation.fire_timers_early();
        writeln!(trace, "step {this}").expect("writing to a string");
        write_seen(&mut trace, &mut simulation);
        if simulation.machine().has_ended() {
            break;
        }
        if simulation.machine().is_idle() {
            write_state(&mut trace, &simulation);
        }
    }
    trace
}

/// Callers learn the key of a dynamic child, in OTP its pid, when it has started for the first time.
fn names_what_has_no_name(step: &Step, simulation: &Simulation) -> bool {
    let Step::Terminate(id) = step else {
        return false;
    };
    let machine = simulation.machine();
    let mut children = machine.children_in_start_order();
    machine.flags().strategy == Strategy::Dynamic
        && children.any(|(_, child)| {
            child.spec().id == *id && child.generation() == 1 && child.status() == Status::Starting
        })
}

/// A child whose start function has not returned has no process in OTP that could exit.
fn is_impossible_in_otp(step: &Step, simulation: &Simulation) -> bool {
    let Step::Exit(id, _) = step else {
        return false;
    };
    let mut children = simulation.machine().children_in_start_order();
    children.any(|(_, child)| child.spec().id == *id && child.status() == Status::Starting)
}

fn write_seen(trace: &mut String, simulation: &mut Simulation) {
    let seen = simulation.take_seen();
    let simulation = &*simulation;
    let lines = |wanted: fn(&Seen, &Simulation) -> Option<String>| {
        let lines: Vec<_> = seen
            .iter()
            .filter_map(|seen| wanted(seen, simulation))
            .map(|line| line + "\n")
            .collect();
        lines
    };
    // Answers reach their callers at any time, so they are listed after everything else of the step.
    trace.extend(lines(|seen, _| match seen {
        Seen::Start(id) => Some(format!("start {id}")),
        Seen::Down(id, reason) => Some(format!("down {id} {reason}")),
        _ => None,
    }));
    trace.extend(lines(|seen, simulation| match seen {
        Seen::Reply(number, result) => {
            Some(format!("reply {number} {}", reply(result, simulation)))
        }
        _ => None,
    }));
    trace.extend(lines(|seen, _| match seen {
        Seen::End(ExitCause::StartFailed { id, .. }) => Some(format!("end failed_to_start {id}")),
        Seen::End(_) => Some("end shutdown".into()),
        _ => None,
    }));
}

fn reply(result: &Result<Answer, AdminError<Outcome>>, simulation: &Simulation) -> String {
    match result {
        Ok(Answer::Started(key)) => format!("started {}", simulation.id(*key)),
        Ok(Answer::Ignored) => "ignored".into(),
        Ok(Answer::Done) => "ok".into(),
        Err(AdminError::AlreadyStarted(_)) => "already_started".into(),
        Err(AdminError::AlreadyPresent) => "already_present".into(),
        Err(AdminError::Running) => "running".into(),
        Err(AdminError::Restarting) => "restarting".into(),
        Err(AdminError::NotFound) => "not_found".into(),
        Err(AdminError::Dynamic) => "dynamic".into(),
        Err(AdminError::StartFailed(_)) => "start_failed".into(),
        Err(AdminError::Invalid(_)) => "invalid".into(),
        Err(AdminError::ShuttingDown) => "shutting_down".into(),
        other => format!("{other:?}"),
    }
}

fn write_state(trace: &mut String, simulation: &Simulation) {
    let machine = simulation.machine();
    let word = |status: Status| match status {
        status if status.is_without_instance() => "stopped",
        Status::Restarting => "restarting",
        _ => "running",
    };
    let mut children: Vec<_> = machine
        .children_in_start_order()
        .map(|(_, child)| format!("{} {}", child.spec().id, word(child.status())))
        .collect();
    if machine.flags().strategy == Strategy::Dynamic {
        children.sort();
    }
    let counts = machine.counts();
    writeln!(trace, "children {}", children.join(", ")).expect("writing to a string");
    writeln!(
        trace,
        "counts {} {} {} {}",
        counts.specs, counts.active, counts.supervisors, counts.workers
    )
    .expect("writing to a string");
}
