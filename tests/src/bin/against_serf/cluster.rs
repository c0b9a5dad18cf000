//! A cluster of real processes, what is done to it, and what its members say.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use treewarden_tests::netns::Lab;

use crate::report::{Detection, Findings, Heal};
use crate::system::{Belief, System};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long after a stop, and after a cluster is whole again, false accusations are still watched for.
const AFTERMATH: Duration = Duration::from_secs(8);
/// How long a process is stopped.
const STOP: Duration = Duration::from_secs(5);

/// A line that says something of a member.
#[derive(Clone, Copy, Debug)]
struct Said {
    at: Instant,
    by: usize,
    of: usize,
    belief: Belief,
}

/// The bytes that all nodes have sent, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    at: Instant,
    bytes: u64,
    nodes: usize,
}

impl Sent {
    /// Bytes for each node and second.
    pub(crate) fn rate_since(&self, before: &Self) -> f64 {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        (self.bytes - before.bytes) as f64 / seconds / self.nodes as f64
    }
}

pub(crate) struct Cluster<'l> {
    lab: &'l Lab,
    system: System,
    processes: Vec<Option<Child>>,
    sender: mpsc::Sender<Said>,
    inbox: mpsc::Receiver<Said>,
    /// What the row's node believes of the column's.
    views: Vec<Vec<Option<Belief>>>,
    log: Vec<Said>,
}

impl<'l> Cluster<'l> {
    pub(crate) fn start(lab: &'l Lab, system: System) -> io::Result<Self> {
        let nodes = lab.nodes();
        let (sender, inbox) = mpsc::channel();
        let mut cluster = Self {
            lab,
            system,
            processes: (0..nodes).map(|_| None).collect(),
            sender,
            inbox,
            views: vec![vec![None; nodes]; nodes],
            log: Vec::new(),
        };
        for node in 0..nodes {
            cluster.start_node(node)?;
        }
        Ok(cluster)
    }

    fn start_node(&mut self, node: usize) -> io::Result<()> {
        let seeds: Vec<_> = (0..2)
            .filter(|seed| *seed != node)
            .map(|seed| self.lab.addr(seed))
            .collect();
        let command = self.system.command(node, self.lab.addr(node), &seeds);
        // serf writes its log to the one or the other.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 2>&1", "sh"])
            .args(self.lab.enter(node))
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        self.views[node].fill(None);
        let output = child.stdout.take().expect("the output is piped");
        let (system, sender) = (self.system.clone(), self.sender.clone());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let at = Instant::now();
                let Some((of, belief)) = system.read(&line) else {
                    continue;
                };
                let by = node;
                if sender.send(Said { at, by, of, belief }).is_err() {
                    return; // nobody asks any more
                }
            }
        });
        self.processes[node] = Some(child);
        Ok(())
    }

    fn signal(&self, node: usize, name: &str) -> io::Result<()> {
        let child = self.processes[node].as_ref();
        let pid = child
            .ok_or_else(|| io::Error::other("it does not run"))?
            .id();
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status()?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("node {node} has ended by itself"))),
        }
    }

    /// Listens for so long.
    pub(crate) fn watch(&mut self, time: Duration) {
        self.watch_until(time, |_| false);
    }

    /// Listens until something holds, and says whether it did in time.
    fn watch_until(&mut self, time: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now() + time;
        loop {
            if holds(self) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(left) {
                Ok(said) => {
                    self.views[said.by][said.of] = Some(said.belief);
                    self.log.push(said);
                }
                Err(_) => return false,
            }
        }
    }

    /// How long it took; none if it did not happen.
    pub(crate) fn wait_until_all_are_alive(&mut self) -> Option<Duration> {
        let begun = Instant::now();
        self.watch_until(PATIENCE, |cluster| {
            let mut pairs = pairs(cluster.lab.nodes());
            pairs.all(|(by, of)| cluster.views[by][of] == Some(Belief::Alive))
        })
        .then(|| begun.elapsed())
    }

    pub(crate) fn traffic(&self) -> io::Result<Sent> {
        let nodes = self.lab.nodes();
        let at = Instant::now();
        let mut bytes = 0;
        for node in 0..nodes {
            bytes += self.lab.traffic(node)?.sent_bytes;
        }
        Ok(Sent { at, bytes, nodes })
    }

    pub(crate) fn measure_rest(
        &mut self,
        time: Duration,
        findings: &mut Findings,
    ) -> io::Result<()> {
        let (begun, before) = (self.log.len(), self.traffic()?);
        self.watch(time);
        findings.rest_bytes_per_node_s = self.traffic()?.rate_since(&before);
        findings.false_losses += self.losses_since(begun, |_, _| true);
        Ok(())
    }

    /// SIGKILL, until all know; then a new process of the same name, until all know that.
    pub(crate) fn crash(&mut self, node: usize, findings: &mut Findings) -> io::Result<()> {
        let begun = self.log.len();
        let killed_at = Instant::now();
        let mut child = self.processes[node].take();
        if let Some(child) = &mut child {
            child.kill()?;
            child.wait()?;
        }
        self.watch_until(PATIENCE, |cluster| {
            (0..cluster.lab.nodes())
                .all(|by| by == node || cluster.views[by][node] == Some(Belief::Lost))
        });
        let others = self.lab.nodes() - 1;
        findings
            .crashes
            .push(self.detection(begun, killed_at, &[node], others));
        self.start_node(node)?;
        self.wait_until_all_are_alive();
        self.watch(AFTERMATH);
        findings.false_losses += self.losses_since(begun, |_, of| of != node);
        Ok(())
    }

    /// SIGSTOP for 5 s.
    pub(crate) fn stop(&mut self, node: usize, findings: &mut Findings) -> io::Result<()> {
        let begun = self.log.len();
        self.signal(node, "STOP")?;
        self.watch(STOP);
        self.signal(node, "CONT")?;
        self.watch(AFTERMATH);
        self.wait_until_all_are_alive();
        findings.false_losses += self.losses_since(begun, |_, of| of != node);
        findings.stopped_losses += self.losses_since(begun, |_, of| of == node);
        Ok(())
    }

    /// Cuts the last `minority` nodes off until the others have lost them all, and heals.
    pub(crate) fn partition(&mut self, minority: usize, findings: &mut Findings) -> io::Result<()> {
        let nodes = self.lab.nodes();
        let cut: Vec<usize> = (nodes - minority..nodes).collect();
        let is_cut = |node: usize| node >= nodes - minority;
        let begun = self.log.len();
        let cut_at = Instant::now();
        self.lab.part(&cut)?;
        self.watch_until(PATIENCE, |cluster| {
            pairs(nodes)
                .filter(|(by, of)| !is_cut(*by) && is_cut(*of))
                .all(|(by, of)| cluster.views[by][of] == Some(Belief::Lost))
        });
        let lost = self.detection(begun, cut_at, &cut, (nodes - minority) * minority);
        self.watch(AFTERMATH);
        self.lab.join(&cut)?;
        let whole = self.wait_until_all_are_alive();
        self.watch(AFTERMATH);
        findings.partitions.push(Heal { lost, whole });
        findings.false_losses += self.losses_since(begun, |by, of| is_cut(by) == is_cut(of));
        Ok(())
    }

    /// When members that were not faulted themselves lost `subjects`.
    fn detection(
        &self,
        begun: usize,
        fault_at: Instant,
        subjects: &[usize],
        expected: usize,
    ) -> Detection {
        let mut firsts = std::collections::BTreeMap::new();
        for said in &self.log[begun..] {
            let counts = said.belief == Belief::Lost
                && subjects.contains(&said.of)
                && !subjects.contains(&said.by)
                && said.at >= fault_at;
            if counts {
                let pair = (said.by, said.of);
                firsts.entry(pair).or_insert(said.at - fault_at);
            }
        }
        let complete = firsts.len() == expected;
        Detection {
            first: firsts.values().min().copied(),
            all: firsts.values().max().copied().filter(|_| complete),
        }
    }

    fn losses_since(&self, begun: usize, counts: impl Fn(usize, usize) -> bool) -> usize {
        let said = self.log[begun..].iter();
        said.filter(|said| said.belief == Belief::Lost && counts(said.by, said.of))
            .count()
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn pairs(nodes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..nodes)
        .flat_map(move |by| (0..nodes).map(move |of| (by, of)))
        .filter(|(by, of)| by != of)
}
