//! The node processes of one launcher: [`Fleet`].
//!
//! No process outlives the launcher. Each stops when its standard input ends, which it does when the launcher ends in
//! whatever way, SIGKILL included; besides, dropping a fleet kills what is left of it. Each is in a process group of its
//! own, so that a Ctrl-C in the terminal reaches the launcher alone, which then stops all in order.

use std::{
    ffi::OsString,
    fmt, io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::protocol::{self, Event, ProtocolError};

/// How long nodes may take to stop in order before they are killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Events that may wait to be heard before the nodes that send them wait.
const EVENTS_WAITING_MAX: usize = 64;

/// How to start a node process: a program that runs a node.
#[derive(Clone, Debug)]
pub struct NodeCommand {
    /// The program.
    pub program: PathBuf,
    /// What stands behind its name.
    pub arguments: Vec<OsString>,
}

/// What is heard from a node.
#[derive(Debug)]
pub enum Heard {
    /// It says something.
    Event(Event),
    /// It says nonsense. Nothing more is heard of it.
    Nonsense(ProtocolError),
    /// It has ended, or closed its output.
    Ended,
}

/// Some node processes, numbered from 0.
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<NodeProcess>,
    heard: mpsc::Receiver<(usize, Heard)>,
}

#[derive(Debug)]
struct NodeProcess {
    pid: u32,
    child: Child,
    /// Open as long as the node shall run.
    input: Option<ChildStdin>,
    is_heard: bool,
}

impl Fleet {
    /// Starts one process for each of `commands`. They wait for their settings.
    ///
    /// # Errors
    ///
    /// If one cannot be started; those before it are stopped.
    pub fn start(commands: impl IntoIterator<Item = NodeCommand>) -> Result<Self, StartError> {
        let (sender, heard) = mpsc::channel(EVENTS_WAITING_MAX);
        let mut nodes = Vec::new();
        for (index, command) in commands.into_iter().enumerate() {
            let mut child = Command::new(&command.program)
                .args(&command.arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
                .map_err(|error| StartError {
                    program: command.program.clone(),
                    error,
                })?;
            let input = child.stdin.take();
            let output = child.stdout.take().expect("the output was asked for");
            tokio::spawn(listen(index, output, sender.clone()));
            nodes.push(NodeProcess {
                pid: child.id().expect("the child has not been waited for"),
                child,
                input,
                is_heard: true,
            });
        }
        Ok(Self { nodes, heard })
    }

    /// The process id of a node.
    pub fn pid(&self, node: usize) -> u32 {
        self.nodes[node].pid
    }

    /// Tells a node what it is to be, or, later, what to do. One that has ended already does not hear it, and is heard to have ended.
    ///
    /// # Errors
    ///
    /// If the word is too long for a frame.
    pub async fn tell(&mut self, node: usize, word: &impl Serialize) -> Result<(), ProtocolError> {
        let frame = protocol::encode(word)?;
        if let Some(input) = &mut self.nodes[node].input {
            let _ = input.write_all(&frame).await;
            let _ = input.flush().await;
        }
        Ok(())
    }

    /// Waits for the next word of any node; for ever, once all have ended. Cancel safe.
    pub async fn hear(&mut self) -> (usize, Heard) {
        match self.heard.recv().await {
            Some((node, heard)) => {
                self.nodes[node].is_heard = matches!(heard, Heard::Event(_));
                (node, heard)
            }
            None => std::future::pending().await,
        }
    }

    /// Kills a node with SIGKILL, and returns the moment of the kill when it is dead.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub async fn kill(&mut self, node: usize) -> io::Result<Instant> {
        let process = &mut self.nodes[node];
        let killed_at = Instant::now();
        process.child.start_kill()?;
        process.child.wait().await?;
        Ok(killed_at)
    }

    /// Stops a node's process (SIGSTOP) or has it go on (SIGCONT). One that has ended does not notice.
    pub fn pause(&self, node: usize, is_paused: bool) {
        let signal = if is_paused {
            Signal::STOP
        } else {
            Signal::CONT
        };
        let process = &self.nodes[node];
        if process.child.id().is_some()
            && let Some(pid) = Pid::from_raw(process.pid.cast_signed())
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// How a node ended, whose end was heard: waits a little for its exit status.
    pub async fn exit_status(&mut self, node: usize) -> Option<ExitStatus> {
        let wait = self.nodes[node].child.wait();
        let status = tokio::time::timeout(Duration::from_secs(1), wait).await;
        status.ok()?.ok()
    }

    /// Tells all nodes to stop, hears them out, and kills those that take too long. Returns how many had to be killed.
    pub async fn stop(mut self, mut hear: impl FnMut(usize, Event)) -> usize {
        let deadline = Instant::now() + STOP_TIME_MAX;
        for node in 0..self.nodes.len() {
            self.nodes[node].input = None;
            self.pause(node, false);
        }
        while self.nodes.iter().any(|node| node.is_heard)
            && let Ok((node, heard)) = timeout_at(deadline, self.hear()).await
        {
            if let Heard::Event(event) = heard {
                hear(node, event);
            }
        }
        let mut killed = 0;
        for node in &mut self.nodes {
            if timeout_at(deadline, node.child.wait()).await.is_err() {
                killed += 1;
                // Fails only if it has ended just now.
                let _ = node.child.kill().await;
            }
        }
        killed
    }
}

async fn listen(
    node: usize,
    mut output: tokio::process::ChildStdout,
    heard: mpsc::Sender<(usize, Heard)>,
) {
    loop {
        let word = match protocol::read_async(&mut output).await {
            Ok(Some(event)) => Heard::Event(event),
            Ok(None) => Heard::Ended,
            // A node that is killed may leave half a frame.
            Err(ProtocolError::Io(_)) => Heard::Ended,
            Err(error) => Heard::Nonsense(error),
        };
        let is_last = !matches!(word, Heard::Event(_));
        if heard.send((node, word)).await.is_err() || is_last {
            break;
        }
    }
}

/// A node process could not be started. None is left.
#[derive(Debug)]
pub struct StartError {
    program: PathBuf,
    error: io::Error,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, error } = self;
        write!(f, "cannot start {}: {error}", program.display())
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
