//! Supervisors as they really run, against the machine that decides for them and against traces of the real OTP.

use std::path::Path;

use treewarden_tests::supervision::{difference, generate, machine, stage};

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn traces(scripts: &[String]) -> Vec<String> {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
    };
    scripts
        .iter()
        .map(|script| runtime().block_on(stage::trace(script)))
        .collect()
}

#[test]
fn random_scripts_agree_with_the_machine() {
    let count = number_from_environment("TREEWARDEN_SCRIPTS", 1000);
    let seed = number_from_environment("TREEWARDEN_SEED", 1);
    println!(
        "{count} scripts from seed {seed}; TREEWARDEN_SCRIPTS and TREEWARDEN_SEED choose others"
    );
    let scripts: Vec<_> = (0..count)
        .map(|number| generate::script(seed.wrapping_add(number)))
        .collect();
    for (number, (script, trace)) in scripts.iter().zip(traces(&scripts)).enumerate() {
        if let Some(difference) = difference(
            script,
            ("the shell", &trace),
            ("the machine", &machine::trace(script)),
        ) {
            panic!("seed {}: {difference}", seed.wrapping_add(number as u64));
        }
    }
}

#[test]
fn recorded_traces_of_otp_agree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("otp/recorded.txt");
    let recorded = std::fs::read_to_string(&path).expect("the recording is there");
    let cases: Vec<_> = recorded
        .split("== ")
        .skip(1)
        .filter_map(|case| case.split_once('\n'))
        .collect();
    assert!(!cases.is_empty());
    let scripts: Vec<_> = cases
        .iter()
        .map(|(script, _)| (*script).to_owned())
        .collect();
    for ((script, otp), trace) in cases.iter().zip(traces(&scripts)) {
        if let Some(difference) = difference(script, ("the shell", &trace), ("OTP", otp)) {
            panic!("{difference}");
        }
    }
}
