//! What can be done to nodes and network.

use std::fmt;
use std::time::Duration;

/// One deed. Nodes are named by index.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The process ends without a word.
    Crash(usize),
    /// A new process begins, where none is.
    Start(usize),
    /// SIGSTOP.
    Stop(usize),
    /// SIGCONT.
    Continue(usize),
    /// Input and output are blocked, timers run.
    BlockIo(usize),
    /// Input and output go on.
    UnblockIo(usize),
    /// Everything the process does is late by up to this.
    SlowDown(usize, Duration),
    /// No longer.
    SpeedUp(usize),
    /// The node says good-bye.
    Leave(usize),
    /// The first asks for the second to be declared down.
    DownByOperator(usize, usize),
    /// The node changes its metadata.
    ChangeMetadata(usize),
    /// Another program is installed at the node, which speaks the protocol up to this version: its next process runs it.
    Install(usize, u8),
    /// The node posts a notice under a name.
    Post(usize, &'static str),
    /// Datagrams to and from the node are dropped; streams pass.
    BlockDatagrams(usize),
    /// Links are cut, each in one direction.
    Cut(Vec<(usize, usize)>),
    /// One link gets a loss of its own.
    LinkLoss((usize, usize), f64),
    /// One link is mended.
    Mend((usize, usize)),
    /// All packets are lost with this probability.
    Loss(f64),
    /// All packets are doubled with this probability.
    Duplicate(f64),
    /// The network has no faults any more.
    Heal,
}

impl Fault {
    /// Cuts everything between the two sides, in both directions.
    pub fn split(one_side: &[usize], other_side: &[usize]) -> Self {
        Self::Cut(
            pairs(one_side, other_side)
                .chain(pairs(other_side, one_side))
                .collect(),
        )
    }

    /// Nothing gets from `from` to `to`; the way back works.
    pub fn one_way(from: &[usize], to: &[usize]) -> Self {
        Self::Cut(pairs(from, to).collect())
    }
}

fn pairs<'a>(from: &'a [usize], to: &'a [usize]) -> impl Iterator<Item = (usize, usize)> + 'a {
    from.iter()
        .flat_map(move |from| to.iter().map(move |to| (*from, *to)))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(node) => write!(f, "n{node} crashes"),
            Self::Start(node) => write!(f, "n{node} starts"),
            Self::Stop(node) => write!(f, "n{node} is stopped"),
            Self::Continue(node) => write!(f, "n{node} is continued"),
            Self::BlockIo(node) => write!(f, "n{node} loses its input and output"),
            Self::UnblockIo(node) => write!(f, "n{node} regains its input and output"),
            Self::SlowDown(node, late) => write!(f, "n{node} becomes slow, by up to {late:?}"),
            Self::SpeedUp(node) => write!(f, "n{node} is no longer slow"),
            Self::Leave(node) => write!(f, "n{node} leaves"),
            Self::DownByOperator(by, node) => {
                write!(f, "an operator at n{by} declares n{node} down")
            }
            Self::ChangeMetadata(node) => write!(f, "n{node} changes its metadata"),
            Self::Install(node, version) => {
                write!(
                    f,
                    "a program that speaks version {version} is installed at n{node}"
                )
            }
            Self::Post(node, name) => write!(f, "n{node} posts a notice about {name:?}"),
            Self::BlockDatagrams(node) => {
                write!(f, "datagrams of n{node} are blocked, streams pass")
            }
            Self::Cut(links) => write!(f, "links are cut: {links:?}"),
            Self::LinkLoss((from, to), loss) => write!(
                f,
                "the link from n{from} to n{to} loses {:.0} %",
                loss * 100.0
            ),
            Self::Mend((from, to)) => write!(f, "the link from n{from} to n{to} is mended"),
            Self::Loss(loss) => write!(f, "the network loses {:.0} %", loss * 100.0),
            Self::Duplicate(share) => write!(f, "the network doubles {:.0} %", share * 100.0),
            Self::Heal => write!(f, "the network heals"),
        }
    }
}
