//! What can be said of a boot, and which of two statements wins.
//!
//! Statements about one name form a lattice, so that every order of arrival gives the same end:
//!
//! 1. A greater boot beats a smaller one.
//! 2. For one boot, *down* beats everything and is terminal.
//! 3. Otherwise the greater incarnation wins. Only the subject itself makes a greater one: that is how it refutes.
//! 4. At equal incarnations: unreachable beats suspect beats alive (SWIM, section 4.2, with "unreachable" in the place of "confirm").
//!
//! A member that hears *unreachable* takes it for *suspect* until it has itself given the accused the least time to
//! refute: otherwise one member with a bad connection could impose its verdict on all.

use std::fmt;
use std::sync::Arc;

use super::identity::{BootUid, NodeName};
use super::metadata::Record;

/// Incarnations above this are refused: an accusation must leave room to refute it.
pub const INCARNATION_MAX: u64 = 1 << 48;

/// Why a boot is down for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DownReason {
    /// It said good-bye.
    Left,
    /// The partition policy decided after it had been unreachable.
    Policy,
    /// A person or a program asked for it.
    Operator,
    /// A later process of the same name has appeared.
    Replaced,
}

/// Statement about one boot at one incarnation, with its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It answers.
    Alive,
    /// A probe by `accuser` had no answer.
    Suspect {
        /// Who probed.
        accuser: NodeName,
    },
    /// A suspicion was not refuted in time. It can still be refuted.
    Unreachable {
        /// At whose table the suspicion ended.
        accuser: NodeName,
    },
    /// It is over for this boot.
    Down {
        /// Why.
        reason: DownReason,
        /// Who decided.
        decider: NodeName,
    },
}

/// A [`Claim`] without its author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Answers, as far as is known.
    Alive,
    /// Did not answer a probe, and has time to refute.
    Suspect,
    /// Did not refute in time; comes back by refuting.
    Unreachable,
    /// Never comes back under this boot.
    Down(DownReason),
}

impl State {
    /// True for what counts as a working member: alive or merely suspect.
    pub fn is_reachable(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }

    /// True for the terminal state.
    pub fn is_down(self) -> bool {
        matches!(self, Self::Down(_))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive => write!(f, "alive"),
            Self::Suspect => write!(f, "suspect"),
            Self::Unreachable => write!(f, "unreachable"),
            Self::Down(reason) => write!(f, "down ({reason:?})"),
        }
    }
}

impl Claim {
    /// What is claimed, without the author.
    pub fn state(&self) -> State {
        match self {
            Self::Alive => State::Alive,
            Self::Suspect { .. } => State::Suspect,
            Self::Unreachable { .. } => State::Unreachable,
            Self::Down { reason, .. } => State::Down(*reason),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Alive => 0,
            Self::Suspect { .. } => 1,
            Self::Unreachable { .. } => 2,
            Self::Down { .. } => 3,
        }
    }

    /// Whether this claim at `incarnation` replaces `held` at `held_incarnation`, both about the same boot.
    pub fn beats(&self, incarnation: u64, held: &Self, held_incarnation: u64) -> bool {
        match (self, held) {
            (_, Self::Down { .. }) => false,
            (Self::Down { .. }, _) => true,
            _ => (incarnation, self.rank()) > (held_incarnation, held.rank()),
        }
    }
}

/// What travels: a claim about a boot, and its record when the receiver may lack it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Whom it is about.
    pub name: NodeName,
    /// Which of its processes.
    pub boot: BootUid,
    /// The subject's own counter.
    pub incarnation: u64,
    /// What is said.
    pub claim: Claim,
    /// Its address and metadata, if they travel along.
    pub record: Option<Arc<Record>>,
    /// Trailing bytes that a newer version of the protocol added: kept and passed on, not understood.
    pub unknown: Box<[u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    #[test]
    fn which_claim_wins_about_one_boot() {
        let alive = Claim::Alive;
        let suspect = Claim::Suspect { accuser: who("b") };
        let unreachable = Claim::Unreachable { accuser: who("b") };
        let down = Claim::Down {
            reason: DownReason::Policy,
            decider: who("b"),
        };
        let check = |new: (&Claim, u64), held: (&Claim, u64), wins| {
            assert_eq!(
                new.0.beats(new.1, held.0, held.1),
                wins,
                "{new:?} against {held:?}"
            );
        };
        check((&alive, 1), (&alive, 0), true);
        check((&alive, 0), (&alive, 0), false);
        check((&suspect, 0), (&alive, 0), true);
        check((&suspect, 0), (&alive, 1), false);
        check((&alive, 1), (&suspect, 0), true);
        check((&unreachable, 0), (&suspect, 0), true);
        check((&suspect, 0), (&unreachable, 0), false);
        check((&suspect, 1), (&unreachable, 0), true);
        check((&alive, 1), (&unreachable, 0), true);
        check((&down, 0), (&alive, 9), true);
        check((&alive, 9), (&down, 0), false);
        check((&down, 9), (&down, 0), false);
    }
}
