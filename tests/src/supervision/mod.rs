//! The same scripts in three worlds: OTP's own supervisor, our decision machine, and our supervisors as they really run.
//!
//! A script (see [`treewarden_supervisor::machine::script`]) gives a *trace* in each of them: after `step N` the starts
//! and ends of children in their order, the answers to calls, and, when nothing is under way, the children and their
//! counts. Traces of the three worlds are comparable line by line.
//!
//! | world | where |
//! |---|---|
//! | OTP | [`otp`], with the driver in `tests/otp/tw_driver.erl` |
//! | the machine | [`machine`], in virtual time |
//! | the shell | [`stage`], on tokio in paused time |
//!
//! # The differences that are meant
//!
//! | in OTP 25 | here | how scripts avoid it |
//! |---|---|---|
//! | a shutdown order waits until the start or stop that is under way is over | it interrupts a start | no shutdown while a start hangs |
//! | a `simple_one_for_one` child that declines its restart is kept as a child without a process | it is removed, as in later OTP | dynamic children do not decline |
//! | `which_children` lists the latest child first | in start order | the list is turned round |
//! | escalation ends with `shutdown` | with a failure, unless `Escalation::Shutdown` is chosen | it is chosen |
//! | a `simple_one_for_one` child that is terminated while it is restarting is missing from `active` ever after | the count is right | `active` is not compared for dynamic scripts in which that can happen |
//! | a killed supervisor takes children along that do not trap exits, at once and unordered | it kills all of them and waits | no kill |
//! | time is measured in whole seconds | exactly, unless `Resolution::WholeSeconds` is chosen | it is chosen |

pub mod generate;
pub mod machine;
pub mod otp;
pub mod stage;

/// The last line of a trace that ends here because its world cannot go on; what follows is not compared.
pub const CUT: &str = "(cut)";

/// The first step in which two traces of a script differ, with both traces; `None` if they agree.
#[must_use]
pub fn difference(script: &str, ours: (&str, &str), theirs: (&str, &str)) -> Option<String> {
    let unordered = script.starts_with("supervisor dynamic");
    let can_miscount = unordered && script.contains("hang") && script.contains("terminate");
    let comparable = |trace: &str| match (unordered, can_miscount) {
        (true, true) => without_active(&in_any_order(trace)),
        (true, false) => in_any_order(trace),
        (false, _) => trace.to_owned(),
    };
    let ((name_a, a), (name_b, b)) = (
        (ours.0, comparable(ours.1)),
        (theirs.0, comparable(theirs.1)),
    );
    let mut step = "step 0";
    for (line_a, line_b) in a.lines().chain(["(end)"]).zip(b.lines().chain(["(end)"])) {
        if line_a == CUT || line_b == CUT {
            return None;
        }
        if line_a != line_b {
            return Some(format!(
                "{script}\nin {step}: {name_a} has {line_a:?}, {name_b} {line_b:?}\n--- {name_a}\n{a}--- {name_b}\n{b}"
            ));
        }
        if line_a.starts_with("step") {
            step = line_a;
        }
    }
    None
}

/// Dynamic children are stopped together, so the order in which they end means nothing.
fn in_any_order(trace: &str) -> String {
    let mut lines: Vec<_> = trace.lines().collect();
    for downs in lines.chunk_by_mut(|a, b| a.starts_with("down") && b.starts_with("down")) {
        downs.sort_unstable();
    }
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// The trace without the second number of the counts.
fn without_active(trace: &str) -> String {
    let line = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
        ["counts", specs, _, supervisors, workers] => {
            format!("counts {specs} _ {supervisors} {workers}\n")
        }
        _ => format!("{line}\n"),
    };
    trace.lines().map(line).collect()
}
