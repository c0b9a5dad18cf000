//! Counting votes, once for all policies that count.

use super::{Peer, View};
use crate::membership::{BootUid, NodeId};

/// The votes of a view. A newcomer has none; with a role, whoever lacks it has none.
#[derive(Debug)]
pub(super) struct Tally<'v> {
    /// Surely on this side.
    proven: Vec<&'v NodeId>,
    /// On this side, unless they are lost and not found out yet.
    silent: Vec<&'v NodeId>,
    /// On the other side, or dead.
    lost: Vec<&'v NodeId>,
}

/// By age: a smaller boot is an older process. Boots of two nodes may be equal, so the name decides last.
type Age<'v> = (BootUid, &'v NodeId);

impl<'v> Tally<'v> {
    pub(super) fn of(view: &'v View, role: Option<&str>) -> Self {
        fn votes<'v>(peers: impl Iterator<Item = &'v Peer>, role: Option<&str>) -> Vec<&'v NodeId> {
            let has_role = |peer: &&Peer| {
                role.is_none_or(|role| peer.record.metadata.roles.iter().any(|held| held == role))
            };
            peers.filter(has_role).map(|peer| &peer.id).collect()
        }
        Self {
            proven: votes(view.reachable.iter(), role),
            silent: votes(view.silent.iter(), role),
            lost: votes(view.unreachable.iter().map(|lost| &lost.peer), role),
        }
    }

    pub(super) fn proven(&self) -> usize {
        self.proven.len()
    }

    pub(super) fn silent(&self) -> usize {
        self.silent.len()
    }

    pub(super) fn lost(&self) -> usize {
        self.lost.len()
    }

    pub(super) fn all(&self) -> usize {
        self.proven() + self.silent() + self.lost()
    }

    /// Where the oldest of all is.
    pub(super) fn eldest(&self) -> Option<Whereabouts> {
        let eldest = |ids: &[&'v NodeId]| ids.iter().map(|id| -> Age<'v> { (id.boot, id) }).min();
        [
            (eldest(&self.proven), Whereabouts::Here),
            (eldest(&self.silent), Whereabouts::Silent),
            (eldest(&self.lost), Whereabouts::Lost),
        ]
        .into_iter()
        .filter_map(|(age, whereabouts)| Some((age?, whereabouts)))
        .min_by_key(|(age, _)| *age)
        .map(|(_, whereabouts)| whereabouts)
    }
}

/// Where a member is, seen from the one that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Surely on this side.
    Here,
    /// Nobody knows.
    Silent,
    /// On the other side, or dead.
    Lost,
}
