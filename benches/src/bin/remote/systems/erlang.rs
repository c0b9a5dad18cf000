//! Erlang's distribution: two nodes, of which one measures. See `benches/erlang/remote.erl`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOURCE: &str = include_str!("../../../../erlang/remote.erl");

pub(crate) fn is_there() -> bool {
    Command::new("erl")
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
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
    mut rate: impl FnMut(f64),
    mut latency_us: impl FnMut(f64),
) -> Result<(), Box<dyn Error>> {
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
    let measured = node("client")
        .args(["-run", "remote", "client", &server_name, workload])
        .args([&bytes.to_string(), &time.as_millis().to_string()])
        .stderr(Stdio::inherit())
        .output();
    let _ = server.kill();
    let _ = server.wait();
    let output = String::from_utf8(measured?.stdout)?;
    let mut found = false;
    for line in output.lines() {
        match line.split_once(' ') {
            Some(("rate", value)) => rate(value.trim().parse()?),
            Some(("us", value)) => latency_us(value.trim().parse()?),
            _ => continue,
        }
        found = true;
    }
    match found {
        true => Ok(()),
        false => Err(format!("Erlang says: {output}").into()),
    }
}
