//! The same scripts against our machine and against the supervisor of Erlang/OTP; what can be seen must agree.
//!
//! OTP's own `supervisor.erl` is found in the installation (Debian: `erlang-src`), copied under another name with its
//! clock call replaced by a virtual clock, and compiled here; nothing of it is kept. Its children are processes of
//! `tests/otp/tw_driver.erl`. Time passes in whole seconds; the shutdown timeouts of children that do not obey are
//! scaled down to milliseconds.
//!
//! ```text
//! TREEWARDEN_OTP_SCRIPTS=10000 TREEWARDEN_SEED=1 cargo test --release -p treewarden-tests --test otp_differential
//! ```
//!
//! Where `erl` is missing, traces that were recorded from the real thing are replayed (`tests/otp/recorded.txt`;
//! written anew by `TREEWARDEN_BLESS=1`).
//!
//! The differences that are meant are listed at [`treewarden_tests::supervision`].

use std::fmt::Write as _;
use std::path::Path;

use treewarden_supervisor::machine::PlantedBug;
use treewarden_tests::supervision::{difference, generate, machine, otp};

const RECORDED: &str = "otp/recorded.txt";
const RECORDED_SCRIPTS: u64 = 150;

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

#[test]
fn random_scripts_agree_with_otp() {
    let count = number_from_environment("TREEWARDEN_OTP_SCRIPTS", 500);
    let seed = number_from_environment("TREEWARDEN_SEED", 1);
    let Some(erlang) = otp::Erlang::find() else {
        println!(
            "skipped: there is no erl with the source of its supervisor; recorded traces are replayed instead"
        );
        return;
    };
    println!(
        "{count} scripts from seed {seed}; TREEWARDEN_OTP_SCRIPTS and TREEWARDEN_SEED choose others"
    );
    let scripts: Vec<_> = (0..count)
        .map(|number| generate::script(seed.wrapping_add(number)))
        .collect();
    let traces = erlang.run(&scripts);
    let mut differing = 0;
    for (number, (script, otp)) in scripts.iter().zip(&traces).enumerate() {
        if let Some(difference) = difference(
            script,
            ("the machine", &machine::trace(script)),
            ("OTP", otp),
        ) {
            differing += 1;
            if differing <= 3 {
                println!(
                    "=== seed {}:\n{difference}",
                    seed.wrapping_add(number as u64)
                );
            }
        }
    }
    assert_eq!(differing, 0, "{differing} of {count} scripts differ");
}

#[test]
fn recorded_traces_of_otp_agree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORDED);
    if std::env::var_os("TREEWARDEN_BLESS").is_some() {
        let erlang = otp::Erlang::find().expect("only the real OTP can be recorded");
        let scripts: Vec<_> = (0..RECORDED_SCRIPTS)
            .map(|number| generate::script(1_000_000 + number))
            .collect();
        let mut recorded = String::new();
        for (script, trace) in scripts.iter().zip(erlang.run(&scripts)) {
            write!(recorded, "== {script}\n{trace}").expect("writing to a string");
        }
        std::fs::write(&path, recorded).expect("the recording can be written");
    }
    let recorded = std::fs::read_to_string(&path).expect("the recording is there");
    let mut replayed = 0;
    for case in recorded.split("== ").skip(1) {
        let (script, otp) = case.split_once('\n').expect("a script and its trace");
        replayed += 1;
        if let Some(difference) = difference(
            script,
            ("the machine", &machine::trace(script)),
            ("OTP", otp),
        ) {
            panic!("{difference}");
        }
    }
    assert_eq!(replayed, RECORDED_SCRIPTS);
}

/// The tester tested: a machine with a plausible mistake does not agree with what was recorded of OTP.
#[test]
fn planted_bugs_are_caught() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORDED);
    let recorded = std::fs::read_to_string(&path).expect("the recording is there");
    for bug in PlantedBug::ALL {
        let mut caught = 0;
        for case in recorded.split("== ").skip(1) {
            let (script, otp) = case.split_once('\n').expect("a script and its trace");
            let trace = machine::trace_with_bug(script, bug);
            caught +=
                u32::from(difference(script, ("the machine", &trace), ("OTP", otp)).is_some());
        }
        println!("{bug:?}: {caught} scripts differ");
        assert!(caught > 0, "{bug:?} is not caught");
    }
}
