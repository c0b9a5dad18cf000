//! The processes of a cluster from outside: [`Cluster`].

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use treewarden_cli::certs;

use super::inside::NodeSettings;
use super::said::{Line, Said, now_us};
use crate::netns::Lab;
use crate::scratch::Scratch;

/// Where nodes are.
#[derive(Debug)]
pub enum Hosts {
    /// Each has a loopback address of its own. Links cannot be cut.
    Loopback {
        /// How many there are.
        nodes: usize,
    },
    /// Each has a network namespace of its own.
    Netns(Lab),
}

impl Hosts {
    /// How many there are.
    pub fn nodes(&self) -> usize {
        match self {
            Self::Loopback { nodes } => *nodes,
            Self::Netns(lab) => lab.nodes(),
        }
    }

    /// The namespaces, if there are any.
    pub fn lab(&self) -> Option<&Lab> {
        match self {
            Self::Loopback { .. } => None,
            Self::Netns(lab) => Some(lab),
        }
    }

    fn ip(&self, node: usize) -> Ipv4Addr {
        match self {
            Self::Loopback { .. } => Ipv4Addr::new(127, 77, 0, node as u8 + 1),
            Self::Netns(lab) => lab.addr(node),
        }
    }
}

/// A line that a node has said.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which node.
    pub node: usize,
    /// Which process of that node, from 0.
    pub process: usize,
    /// When, by the machine's wall clock.
    pub at_us: u64,
    /// What.
    pub said: Said,
}

struct Process {
    child: Child,
    input: Option<ChildStdin>,
}

/// Nodes that run as processes, and all that they have said. They end when it is dropped.
pub struct Cluster {
    hosts: Hosts,
    port: u16,
    command: Vec<String>,
    dir: Scratch,
    parcels_per_s: u32,
    processes: Vec<Option<Process>>,
    started: Vec<usize>,
    sender: mpsc::Sender<Record>,
    inbox: mpsc::Receiver<Record>,
    log: Vec<Record>,
}

impl Cluster {
    /// No node runs yet. `command` is the program of a node with its first arguments; its last one is the [settings](NodeSettings). `name`
    /// is unique among the clusters of this process.
    ///
    /// # Errors
    ///
    /// When certificates cannot be made, or no port is free.
    pub fn new(hosts: Hosts, command: Vec<String>, name: &str) -> io::Result<Self> {
        let nodes = hosts.nodes();
        let dir = Scratch::new(name);
        certs::write(&certs::Plan {
            dir: dir.path().to_owned(),
            cluster: Some("lab".into()),
            nodes: (0..nodes).map(node_name).collect(),
            days: 1,
        })
        .map_err(io::Error::other)?;
        let port = match &hosts {
            Hosts::Netns(_) => 7946,
            // Free at the first address a moment ago; the others are used by nobody else.
            Hosts::Loopback { .. } => TcpListener::bind((hosts.ip(0), 0))?.local_addr()?.port(),
        };
        let (sender, inbox) = mpsc::channel();
        Ok(Self {
            port,
            command,
            dir,
            parcels_per_s: 0,
            processes: (0..nodes).map(|_| None).collect(),
            started: vec![0; nodes],
            hosts,
            sender,
            inbox,
            log: Vec::new(),
        })
    }

    /// Nodes that are started from now on send so many parcels of each kind to each other node in a second.
    pub fn with_traffic(mut self, parcels_per_s: u32) -> Self {
        self.parcels_per_s = parcels_per_s;
        self
    }

    /// Where they are.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// All that was said and [listened](Self::watch_until) to.
    pub fn log(&self) -> &[Record] {
        &self.log
    }

    /// The nodes that have a process.
    pub fn running(&self) -> Vec<usize> {
        let all = 0..self.processes.len();
        all.filter(|node| self.processes[*node].is_some()).collect()
    }

    /// Starts a process for a node. Its seeds are the first two other nodes; the very first process has none, and founds the cluster.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(&mut self, node: usize) -> io::Result<()> {
        let founds = self.started.iter().all(|processes| *processes == 0);
        let addr = |node| SocketAddr::from((self.hosts.ip(node), self.port));
        let settings = NodeSettings {
            name: node_name(node),
            listen: addr(node),
            seeds: match founds {
                true => Vec::new(),
                false => (0..3)
                    .filter(|other| *other != node && *other < self.hosts.nodes())
                    .map(addr)
                    .collect(),
            },
            dir: self.dir.path().to_owned(),
            parcels_per_s: self.parcels_per_s,
        };
        let mut words = match self.hosts.lab() {
            Some(lab) => lab.enter(node).to_vec(),
            None => Vec::new(),
        };
        words.extend(self.command.iter().cloned());
        words.push(serde_json::to_string(&settings).map_err(io::Error::other)?);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().expect("the output is piped");
        let (sender, process) = (self.sender.clone(), self.started[node]);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(Line { at_us, said }) = serde_json::from_str(&line) else {
                    continue;
                };
                let record = Record {
                    node,
                    process,
                    at_us,
                    said,
                };
                if sender.send(record).is_err() {
                    return; // nobody asks any more
                }
            }
        });
        self.started[node] += 1;
        self.processes[node] = Some(Process { child, input });
        Ok(())
    }

    /// SIGKILL. Returns when, by the clock of the lines.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn kill(&mut self, node: usize) -> io::Result<u64> {
        let mut process = self.processes[node].take().ok_or_else(|| not_there(node))?;
        let at_us = now_us();
        process.child.kill()?;
        process.child.wait()?;
        Ok(at_us)
    }

    /// Sends a signal by name: `STOP`, `CONT`. Returns when, by the clock of the lines.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn signal(&self, node: usize, name: &str) -> io::Result<u64> {
        let process = self.processes[node].as_ref();
        let pid = process.ok_or_else(|| not_there(node))?.child.id();
        let at_us = now_us();
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status()?;
        match status.success() {
            true => Ok(at_us),
            false => Err(io::Error::other(format!("node {node} has ended by itself"))),
        }
    }

    /// Writes a line to its input.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn order(&mut self, node: usize, order: &str) -> io::Result<()> {
        let process = self.processes[node].as_mut();
        let input = process.and_then(|process| process.input.as_mut());
        writeln!(input.ok_or_else(|| not_there(node))?, "{order}")
    }

    /// Listens for so long.
    pub fn watch(&mut self, time: Duration) {
        self.watch_until(time, |_| false);
    }

    /// Listens until something holds, and says whether it did in time.
    pub fn watch_until(&mut self, time: Duration, holds: impl Fn(&[Record]) -> bool) -> bool {
        let deadline = Instant::now() + time;
        loop {
            if holds(&self.log) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(record) => self.log.push(record),
                Err(_) => return false,
            }
            // What came together is judged together.
            self.log.extend(self.inbox.try_iter());
        }
    }

    /// Listens until each node that runs believes that exactly those that run are alive, and finds them in the group if they have traffic. How long it took; otherwise the views that differ.
    ///
    /// # Errors
    ///
    /// A line for each node that believes something else, or says nothing.
    pub fn watch_until_all_agree(&mut self, time: Duration) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            let differences = self.differences();
            if differences.is_empty() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > time {
                return Err(differences.join("\n"));
            }
            self.watch(Duration::from_millis(100));
        }
    }

    fn differences(&mut self) -> Vec<String> {
        let running = self.running();
        let asked_at = self.log.len();
        for node in &running {
            // One that has ended by itself says nothing, which is seen below.
            let _ = self.order(*node, "view");
        }
        let view_of = |log: &[Record], node: usize| {
            log[asked_at..].iter().rev().find_map(|r| match &r.said {
                Said::View { states, group } if r.node == node => {
                    Some((states.clone(), group.clone()))
                }
                _ => None,
            })
        };
        self.watch_until(Duration::from_secs(1), |log| {
            running.iter().all(|node| view_of(log, *node).is_some())
        });
        let expected: Vec<String> = running.iter().map(|node| node_name(*node)).collect();
        let mut found = Vec::new();
        for node in &running {
            let Some((states, group)) = view_of(&self.log, *node) else {
                found.push(format!("{} says nothing", node_name(*node)));
                continue;
            };
            let alive: Vec<String> = states
                .iter()
                .filter(|(_, state)| *state == "alive")
                .map(|(name, _)| name.clone())
                .collect();
            if alive != expected || states.values().any(|state| state == "unreachable") {
                found.push(format!("{} sees {states:?}", node_name(*node)));
            } else if self.parcels_per_s > 0 && group != expected {
                found.push(format!("{} finds {group:?}", node_name(*node)));
            }
        }
        found
    }

    /// Where certificates lie.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// The name of a node. In alphabetical order up to a hundred.
pub(super) fn node_name(node: usize) -> String {
    format!("n{node:02}")
}

fn not_there(node: usize) -> io::Error {
    io::Error::other(format!("{} does not run", node_name(node)))
}
