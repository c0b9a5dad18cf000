//! Erlang: the same workloads in Erlang's own language, compiled when they are run.
//!
//! `multi` is a virtual machine with as many schedulers as the tokio runtime has workers, `current` one with one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io, process};

use crate::workload::{Measurement, RuntimeKind, Scale, WORKERS};

/// What stands for an actor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Variant {
    /// A process with a receive loop: the fastest that there is, without anything of OTP.
    Bare,
    /// `gen_server`, and `supervisor` for crashes: what people build on.
    GenServer,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Variant::Bare => "bare",
            Variant::GenServer => "gen",
        }
    }
}

/// The compiled workloads; their directory is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Compiled {
    directory: PathBuf,
}

impl Compiled {
    /// `None` if Erlang is not installed here.
    ///
    /// # Errors
    ///
    /// The source could not be written or compiled.
    pub(crate) fn new() -> io::Result<Option<Compiled>> {
        if !is_installed() {
            return Ok(None);
        }
        let directory = env::temp_dir().join(format!("treewarden-peers-{}", process::id()));
        fs::create_dir_all(&directory)?;
        let compiled = Compiled { directory };
        let source = compiled.directory.join("peers.erl");
        fs::write(&source, include_str!("../../../../erlang/peers.erl"))?;
        let status = Command::new("erlc")
            .arg("-o")
            .arg(&compiled.directory)
            .arg(&source)
            .status()?;
        if !status.success() {
            return Err(io::Error::other(format!("erlc ended with {status}")));
        }
        Ok(Some(compiled))
    }

    fn directory(&self) -> &Path {
        &self.directory
    }

    /// The process that runs one measurement.
    pub(crate) fn command(
        &self,
        variant: Variant,
        measurement: Measurement,
        kind: RuntimeKind,
        scale: Scale,
    ) -> Command {
        let schedulers = match kind {
            RuntimeKind::Multi => WORKERS,
            RuntimeKind::Current => 1,
        };
        let mut command = Command::new("erl");
        command.args([
            "-noinput",
            "+P",
            "4000000",
            "+S",
            &format!("{schedulers}:{schedulers}"),
        ]);
        command.arg("-pa").arg(self.directory());
        command.args(["-run", "peers", "main", variant.name(), measurement.name()]);
        command.args([
            scale.budget.as_millis().to_string(),
            scale.idle_actors.to_string(),
            scale.crashes.to_string(),
            scale.slow_messages.to_string(),
            scale.children.to_string(),
        ]);
        command
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // What is left in the directory for temporary files is no harm.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn is_installed() -> bool {
    // `erl` alone comes without the compiler on some systems.
    ["erl", "erlc"].into_iter().all(|program| {
        env::var_os("PATH").is_some_and(|path| {
            env::split_paths(&path).any(|folder| folder.join(program).is_file())
        })
    }) && Command::new("erlc")
        .arg("-help")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}
