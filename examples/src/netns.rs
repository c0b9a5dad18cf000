//! A laboratory of Linux network namespaces: [`Lab`]. Each node has one of its own, with one Ethernet card, plugged into a switch that lies in
//! a namespace too. The machine's own network is not touched.
//!
//! Needs root and iproute2; [`Lab::missing`] says what is not there. Everything is removed when the lab is dropped, and what a lab left behind
//! whose process was killed, by the next one.
//!
//! What is not here: delays, and loss in part. `tc` could add them, where the kernel has netem.

use std::io;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// All namespaces of labs begin with this, followed by the process and the number of the lab.
const PREFIX: &str = "twlab";
/// Each node has one address of 10.77.0.0/24.
const NODES_MAX: usize = 250;

/// Namespaces that are plugged together.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    nodes: usize,
}

/// What has gone through a card since it exists, in bytes with all headers but for the preamble and check sum of Ethernet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// In.
    pub received_bytes: u64,
    /// Out.
    pub sent_bytes: u64,
}

impl Lab {
    /// What this machine lacks for a lab, if anything.
    pub fn missing() -> Option<String> {
        let name = format!("{PREFIX}-{}-try", std::process::id());
        let tried = ip(&["netns", "add", &name]);
        let _ = ip(&["netns", "del", &name]);
        tried
            .err()
            .map(|error| format!("network namespaces (root and iproute2): {error}"))
    }

    /// A lab with so many nodes, all of which reach each other.
    ///
    /// # Errors
    /// What `ip` said. Nothing is left then.
    pub fn new(nodes: usize) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        assert!(nodes <= NODES_MAX, "a lab has room for {NODES_MAX} nodes");
        remove_orphans();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let lab = Self {
            prefix: format!("{PREFIX}-{}-{number}", std::process::id()),
            nodes,
        };
        let switch = lab.switch();
        ip(&["netns", "add", &switch])?;
        for bridge in ["main", "other"] {
            ip(&["-n", &switch, "link", "add", bridge, "type", "bridge"])?;
            ip(&["-n", &switch, "link", "set", bridge, "up"])?;
        }
        for node in 0..nodes {
            lab.plug_in(node)?;
        }
        Ok(lab)
    }

    fn plug_in(&self, node: usize) -> io::Result<()> {
        let (switch, home) = (self.switch(), self.home(node));
        let (port, addr) = (port(node), format!("{}/24", self.addr(node)));
        ip(&["netns", "add", &home])?;
        ip(&[
            "-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns",
            &home,
        ])?;
        ip(&["-n", &switch, "link", "set", &port, "master", "main"])?;
        ip(&["-n", &switch, "link", "set", &port, "up"])?;
        // Without IPv6 nothing goes over the wire but what the programs send, and ARP.
        ip(&["-n", &home, "link", "set", "eth0", "addrgenmode", "none"])?;
        ip(&["-n", &home, "addr", "add", &addr, "dev", "eth0"])?;
        ip(&["-n", &home, "link", "set", "eth0", "up"])?;
        ip(&["-n", &home, "link", "set", "lo", "up"])
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Where a node is.
    pub fn addr(&self, node: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, node as u8 + 1)
    }

    /// The arguments that make `program`, which follows them, run at a node. The process that is started becomes the program.
    pub fn enter(&self, node: usize) -> [String; 4] {
        ["ip", "netns", "exec", &self.home(node)].map(str::to_owned)
    }

    /// Parts some nodes from the others: they are plugged into another switch. Links stay up, packets are lost.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn part(&self, nodes: &[usize]) -> io::Result<()> {
        self.plug_into(nodes, "other")
    }

    /// Ends that.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn join(&self, nodes: &[usize]) -> io::Result<()> {
        self.plug_into(nodes, "main")
    }

    fn plug_into(&self, nodes: &[usize], bridge: &str) -> io::Result<()> {
        for node in nodes {
            let port = port(*node);
            ip(&["-n", &self.switch(), "link", "set", &port, "master", bridge])?;
        }
        Ok(())
    }

    /// Pulls a node's cable, or plugs it in again. The node sees its card without carrier.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn set_cable(&self, node: usize, plugged_in: bool) -> io::Result<()> {
        let state = if plugged_in { "up" } else { "down" };
        ip(&["-n", &self.switch(), "link", "set", &port(node), state])
    }

    /// Loses what `from` sends to `to`, or no longer. The way back works.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn set_mute(&self, from: usize, to: usize, muted: bool) -> io::Result<()> {
        let deed = if muted { "add" } else { "del" };
        let (home, to) = (self.home(from), format!("{}/32", self.addr(to)));
        ip(&["-n", &home, "route", deed, "blackhole", &to])
    }

    /// What has gone through a node's card.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn traffic(&self, node: usize) -> io::Result<Traffic> {
        let text =
            run(Command::new("ip").args(["-n", &self.home(node), "-s", "link", "show", "eth0"]))?;
        let counter = |heading: &str| {
            let below = text.split(heading).nth(1)?.lines().nth(1)?;
            below.split_whitespace().next()?.parse().ok()
        };
        match (counter("RX:"), counter("TX:")) {
            (Some(received_bytes), Some(sent_bytes)) => Ok(Traffic {
                received_bytes,
                sent_bytes,
            }),
            _ => Err(io::Error::other(format!("no counters in {text:?}"))),
        }
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    fn home(&self, node: usize) -> String {
        format!("{}-{node}", self.prefix)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in namespaces().filter(|name| {
            name.strip_prefix(&self.prefix)
                .is_some_and(|rest| rest.starts_with('-'))
        }) {
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

fn port(node: usize) -> String {
    format!("port{node}")
}

/// Labs of processes that are gone.
fn remove_orphans() {
    for name in namespaces() {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').nth(1));
        if owner.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
            // What ran in it is of no use to anybody any more.
            let pids = run(Command::new("ip").args(["netns", "pids", &name])).unwrap_or_default();
            for pid in pids.split_whitespace() {
                let _ = run(Command::new("sh").args(["-c", "kill -KILL \"$1\"", "sh", pid]));
            }
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

fn namespaces() -> impl Iterator<Item = String> {
    let listed = run(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    let names: Vec<String> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    names.into_iter()
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    run(Command::new("ip").args(arguments)).map(drop)
}

fn run(command: &mut Command) -> io::Result<String> {
    // A Ctrl-C in the terminal is for the program, which then removes its labs, and not for `ip` at its work.
    command.process_group(0);
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(format!("{command:?}: {said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
