//! tonic and ractor_cluster: a package of its own, `benches/remote-peers`, which is built when it is needed.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::program::figures_of;
use crate::load::Figure;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/remote-peers/Cargo.toml");

/// Builds them, once.
pub(crate) fn prepare() -> Result<(), String> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> Result<(), String> {
    eprintln!("building tonic and ractor_cluster");
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--manifest-path", MANIFEST])
        .arg("--target-dir")
        .arg(target_dir())
        .status();
    match built {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo build of {MANIFEST} ends with {status}")),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

/// Beside what this program was built into.
fn target_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().nth(2).map(PathBuf::from);
    target.unwrap_or_default().join("remote-peers")
}

pub(crate) fn measure(
    system: &str,
    workload: &str,
    bytes: usize,
    time: Duration,
) -> Result<Vec<Figure>, Box<dyn Error>> {
    let (bytes, millis) = (bytes.to_string(), time.as_millis().to_string());
    let program = target_dir().join("release/remote-peers");
    figures_of(Command::new(program).args(["measure", system, workload, &bytes, &millis]))
}
