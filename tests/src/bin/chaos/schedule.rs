//! What is done to the nodes, and when: a [`Schedule`] follows from its seed alone.

use std::fmt;
use std::time::Duration;

use treewarden_cluster::membership::Rng;

/// Something that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Kill(usize),
    Start(usize),
    /// SIGSTOP.
    Stop(usize),
    /// SIGCONT.
    Continue(usize),
    /// Some are cut off from the others, silently.
    Part(Vec<usize>),
    Join(Vec<usize>),
    /// What the first sends to the second is lost; the way back works.
    Mute(usize, usize),
    Unmute(usize, usize),
    /// Everything has been mended: all have to agree again.
    Check,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(node) => write!(f, "n{node:02} is killed"),
            Self::Start(node) => write!(f, "n{node:02} is started"),
            Self::Stop(node) => write!(f, "n{node:02} is stopped"),
            Self::Continue(node) => write!(f, "n{node:02} goes on"),
            Self::Part(nodes) => write!(f, "{nodes:?} are cut off"),
            Self::Join(nodes) => write!(f, "{nodes:?} are connected again"),
            Self::Mute(from, to) => write!(f, "what n{from:02} sends to n{to:02} is lost"),
            Self::Unmute(from, to) => write!(f, "n{to:02} hears n{from:02} again"),
            Self::Check => write!(f, "all is mended"),
        }
    }
}

/// Longest time without a check.
const ROUND: Duration = Duration::from_secs(45);

#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// In the order of time.
    pub(crate) deeds: Vec<(Duration, Deed)>,
}

impl Schedule {
    /// Faults for so long, with a check at the end of each round. Fewer than half of the nodes are in trouble at a time.
    pub(crate) fn from_seed(seed: u64, nodes: usize, length: Duration) -> Self {
        let mut rng = Rng::new(seed ^ 0xc4a0_5c4a_05c4);
        let mut deeds = Vec::new();
        let mut begin = Duration::ZERO;
        while begin < length {
            let end = (begin + ROUND).min(length);
            round(&mut rng, nodes, begin..end, &mut deeds);
            deeds.push((end, Deed::Check));
            begin = end;
        }
        deeds.sort_by_key(|(at, deed)| (*at, *deed == Deed::Check));
        Self { deeds }
    }
}

fn round(
    rng: &mut Rng,
    nodes: usize,
    time: std::ops::Range<Duration>,
    deeds: &mut Vec<(Duration, Deed)>,
) {
    // Until when each node is in trouble.
    let mut troubled = vec![Duration::ZERO; nodes];
    let mut is_parted_until = Duration::ZERO;
    let mut at = time.start + rng.duration_below(Duration::from_secs(3));
    while at + Duration::from_secs(2) < time.end {
        let well: Vec<usize> = (0..nodes).filter(|node| troubled[*node] <= at).collect();
        let may_fail = (nodes - 1) / 2;
        let room = may_fail.saturating_sub(nodes - well.len());
        let longest = time.end - at - Duration::from_secs(1);
        let until = (at + Duration::from_millis(500) + rng.duration_below(Duration::from_secs(15)))
            .min(at + longest);
        if room > 0 {
            let node = well[rng.below(well.len())];
            troubled[node] = until;
            match rng.below(6) {
                // Killed, and started after a while or almost at once.
                0 => deeds.extend([(at, Deed::Kill(node)), (until, Deed::Start(node))]),
                1 => {
                    let soon = at + Duration::from_millis(200);
                    troubled[node] = soon;
                    deeds.extend([(at, Deed::Kill(node)), (soon, Deed::Start(node))]);
                }
                2 => deeds.extend([(at, Deed::Stop(node)), (until, Deed::Continue(node))]),
                3 | 4 if is_parted_until <= at => {
                    let mut parted = vec![node];
                    let others = well.iter().copied().filter(|other| *other != node);
                    let more = rng.below(room);
                    parted.extend(others.take(more));
                    for node in &parted {
                        troubled[*node] = until;
                    }
                    is_parted_until = until;
                    let again = parted.clone();
                    deeds.extend([(at, Deed::Part(parted)), (until, Deed::Join(again))]);
                }
                _ => {
                    for to in (0..nodes).filter(|to| *to != node) {
                        if rng.chance(0.5) {
                            deeds.extend([
                                (at, Deed::Mute(node, to)),
                                (until, Deed::Unmute(node, to)),
                            ]);
                        }
                    }
                }
            }
        }
        at += Duration::from_secs(1) + rng.duration_below(Duration::from_secs(6));
    }
}
