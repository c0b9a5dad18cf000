//! Erlang's distribution: two nodes, of which one measures. See `benches/erlang/remote.erl`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::program::figures_of;
use crate::load::Figure;

const SOURCE: &str = include_str!("../../../../erlang/remote.erl");

pub(crate) fn prepare() -> Result<(), String> {
    let found = Command::new("erl")
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("erl ends with {status}")),
        Err(error) => Err(format!("erl: {error}")),
    }
}

/// The module, compiled, in a folder that goes away with this.
struct Compiled(PathBuf);

impl Compiled {
    fn new() -> Result<Self, Box<dyn Error>> {
        let dir = std::env::temp_dir().join(format!("treewarden-remote-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("remote.erl"), SOURCE)?;
        let compiled = Command::new("erlc")
            .arg("remote.erl")
            .current_dir(&dir)
            .status()?;
        match compiled.success() {
            true => Ok(Self(dir)),
            false => Err("erlc does not compile the benchmark".into()),
        }
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn measure(
    workload: &str,
    bytes: usize,
    time: Duration,
) -> Result<Vec<Figure>, Box<dyn Error>> {
    let compiled = Compiled::new()?;
    let number = std::process::id();
    let node = |role: &str| {
        let mut command = Command::new("erl");
        command
            .current_dir(&compiled.0)
            .args(["-noshell", "-sname", &format!("{role}{number}@localhost")])
            .args(["-setcookie", "bench", "+S", "2:2"]);
        command
    };
    let mut server = node("server")
        .args(["-s", "remote", "serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let server_name = format!("server{number}@localhost");
    let figures = figures_of(
        node("client")
            .args(["-run", "remote", "client", &server_name, workload])
            .args([&bytes.to_string(), &time.as_millis().to_string()]),
    );
    let _ = server.kill();
    let _ = server.wait();
    figures
}
