//! The cases of OTP's own suite for its supervisor (`supervisor_SUITE`), under their names.
//!
//! What can be said as a script stands in `tests/otp/suite.txt`: under the name of each case its scripts, each with the
//! trace that must follow. The same trace is demanded of the decision machine, of supervisors as they really run, and,
//! where Erlang is installed, of OTP itself ([`otp_itself_agrees`]). Cases that are marked as such in the file are not asked of
//! OTP. `TREEWARDEN_BLESS=1` writes the traces anew, from the machine.
//!
//! What needs more than a script is in the modules: `specifications`, `scale`, `subtrees`.
//!
//! # Cases without a counterpart
//!
//! | case | why |
//! |---|---|
//! | `sup_start_ignore_init`, `sup_start_error_return` | a supervisor has no `init` function that could decline or return nonsense |
//! | `extra_return`, `simple_one_for_one_extra` | a start returns nothing but the child |
//! | `child_unlink` | there is no link that a child could cut |
//! | `count_children_allocator_test` | there are no allocators to choose from |
//! | `simple_global_supervisor` | names are those of a system |

mod scale;
mod specifications;
mod subtrees;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use treewarden_tests::supervision::{difference, machine, otp, stage};

fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("otp/suite.txt")
}

/// A case: its name, whether OTP can be asked, and its scripts with their traces.
struct Case {
    name: String,
    is_otp: bool,
    scripts: Vec<(String, String)>,
}

fn cases() -> Vec<Case> {
    let file = std::fs::read_to_string(suite()).expect("the suite is there");
    let mut cases: Vec<Case> = Vec::new();
    for line in file.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case {
                name: name.into(),
                is_otp: true,
                scripts: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().expect("a name comes first");
        if let Some(script) = line.strip_prefix("> ") {
            case.scripts.push((script.into(), String::new()));
        } else if line.starts_with('#') {
            case.is_otp = false;
        } else if let Some(line) = line.strip_prefix("  ") {
            let (_, trace) = case
                .scripts
                .last_mut()
                .expect("a script comes before its trace");
            writeln!(trace, "{line}").expect("writing to a string");
        }
    }
    cases
}

fn check(name: &str) {
    let case = cases()
        .into_iter()
        .find(|case| case.name == name)
        .unwrap_or_else(|| panic!("no case {name}"));
    assert!(!case.scripts.is_empty(), "{name} has no script");
    for (script, expected) in &case.scripts {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let shell = runtime.expect("a runtime").block_on(stage::trace(script));
        for (world, trace) in [
            ("the machine", machine::trace(script)),
            ("the shell", shell),
        ] {
            if let Some(difference) = difference(script, (world, &trace), ("the suite", expected)) {
                panic!("{difference}");
            }
        }
    }
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_case_of_the_file_is_a_test() {
            let tests = [$(stringify!($name)),*];
            for case in cases() {
                assert!(tests.contains(&&*case.name), "{} is not a test", case.name);
            }
        }
    };
}

cases! {
    sup_start_normal
    sup_start_ignore_child
    sup_start_ignore_temporary_child
    sup_start_ignore_temporary_child_start_child
    sup_start_ignore_temporary_child_start_child_simple
    sup_start_ignore_permanent_child_start_child_simple
    sup_start_fail
    sup_start_restart_child_returns_error
    sup_start_child_returns_error
    sup_stop_infinity
    sup_stop_timeout
    sup_stop_timeout_dynamic
    sup_stop_brutal_kill
    sup_stop_brutal_kill_dynamic
    sup_stop_race
    sup_stop_non_shutdown_exit_dynamic
    sup_stop_manual_timeout
    child_adm
    child_adm_simple
    permanent_normal
    permanent_shutdown
    permanent_abnormal
    transient_normal
    transient_shutdown
    transient_abnormal
    temporary_normal
    temporary_shutdown
    temporary_abnormal
    temporary_bystander
    multiple_restarts
    one_for_one
    one_for_one_escalation
    one_for_all
    one_for_all_escalation
    rest_for_one
    rest_for_one_escalation
    simple_one_for_one
    simple_one_for_one_escalation
    one_for_all_other_child_fails_restart
    rest_for_one_other_child_fails_restart
    simple_one_for_one_shutdown
    simple_one_for_one_restart_ignore
    count_children
    count_restarting_children
    hanging_restart_loop
    hanging_restart_loop_rest_for_one
    hanging_restart_loop_simple
    order_of_children
    do_not_save_child_specs_for_temporary_children
    simple_one_for_one_corruption
    significant_any_transient
    significant_any_transient_abnormal_is_restarted
    significant_any_temporary
    significant_any_bystander
    significant_all_waits_for_the_last
    significant_all_bystander
    significant_all_restarting_counts_as_there
    significant_terminate_child_does_not_shut_down
    significant_terminated_sibling_does_not_hold_all_up
    significant_one_for_all_victims_do_not_shut_down
    significant_rest_for_one_victims_do_not_shut_down
    significant_simple_any
    significant_simple_all
    significant_faulty_specs
}

#[test]
fn otp_itself_agrees() {
    let Some(erlang) = otp::Erlang::find() else {
        println!("skipped: there is no erl with the source of its supervisor");
        return;
    };
    let scripts: Vec<_> = cases()
        .into_iter()
        .filter(|case| case.is_otp)
        .flat_map(|case| case.scripts)
        .collect();
    let traces = erlang.run(
        &scripts
            .iter()
            .map(|(script, _)| script.clone())
            .collect::<Vec<_>>(),
    );
    for ((script, expected), trace) in scripts.iter().zip(traces) {
        if let Some(difference) = difference(script, ("OTP", &trace), ("the suite", expected)) {
            panic!("{difference}");
        }
    }
}

/// Writes the traces anew when that is asked for.
#[test]
fn bless() {
    if std::env::var_os("TREEWARDEN_BLESS").is_none() {
        return;
    }
    let mut file = String::new();
    for line in std::fs::read_to_string(suite())
        .expect("the suite is there")
        .lines()
    {
        if line.starts_with("  ") {
            continue;
        }
        writeln!(file, "{line}").expect("writing to a string");
        if let Some(script) = line.strip_prefix("> ") {
            for line in machine::trace(script).lines() {
                writeln!(file, "  {line}").expect("writing to a string");
            }
        }
    }
    std::fs::write(suite(), file).expect("the suite can be written");
}
