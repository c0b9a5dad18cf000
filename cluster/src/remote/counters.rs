//! Counters: nothing is lost or refused in silence.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::frame::Refusal;

/// What the links of a node count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkCount {
    /// Links that this node dialed and that came about.
    LinksDialed,
    /// Links that others dialed and that came about.
    LinksAccepted,
    /// Attempts to dial that failed, for whatever reason.
    DialsFailed,
    /// Calls of others that ended before they were links, and without a refusal: the caller hung up.
    CallsLost,
    /// Links that ended otherwise than in order.
    LinksLost,
    /// Links that were closed because the other side broke the rules: bad frames, more than its credit.
    RulesBroken,
    /// Links that were closed because a frame that had begun was not whole in time:
    /// [`frame_timeout`](super::LinkConfig::frame_timeout).
    FramesTooSlow,
    /// Messages that were queued for a link and had not been written when it was lost, or did not come about.
    MessagesUnsent,
    /// Messages that the other side did not accept.
    MessagesNacked,
    /// Messages that arrived for a name under which nothing is exposed, or of a type or version that it does not take.
    MessagesMisdirected,
    /// Messages that arrived and could not be decoded.
    MessagesUndecodable,
    /// Messages that arrived and that the mailbox did not take: it refuses, or is stopped or gone.
    MessagesRefused,
    /// Messages that had arrived, and waited for room in the mailbox when their link ended.
    MessagesDiscarded,
    /// Attempts at an acknowledged message that arrived when it was in the mailbox or had been handled.
    DuplicatesDropped,
    /// Answers that came after their ask had ended.
    RepliesLate,
    /// Answers of actors here that could not be sent back: the link had ended, or they were too long or too many.
    RepliesUnsent,
}

impl LinkCount {
    /// Every counter.
    pub const ALL: [Self; 16] = [
        Self::LinksDialed,
        Self::LinksAccepted,
        Self::DialsFailed,
        Self::CallsLost,
        Self::LinksLost,
        Self::RulesBroken,
        Self::FramesTooSlow,
        Self::MessagesUnsent,
        Self::MessagesNacked,
        Self::MessagesMisdirected,
        Self::MessagesUndecodable,
        Self::MessagesRefused,
        Self::MessagesDiscarded,
        Self::DuplicatesDropped,
        Self::RepliesLate,
        Self::RepliesUnsent,
    ];

    /// One word for logs and metric labels.
    pub fn kind(self) -> &'static str {
        match self {
            Self::LinksDialed => "links_dialed",
            Self::LinksAccepted => "links_accepted",
            Self::DialsFailed => "dials_failed",
            Self::CallsLost => "calls_lost",
            Self::LinksLost => "links_lost",
            Self::RulesBroken => "rules_broken",
            Self::FramesTooSlow => "frames_too_slow",
            Self::MessagesUnsent => "messages_unsent",
            Self::MessagesNacked => "messages_nacked",
            Self::MessagesMisdirected => "messages_misdirected",
            Self::MessagesUndecodable => "messages_undecodable",
            Self::MessagesRefused => "messages_refused",
            Self::MessagesDiscarded => "messages_discarded",
            Self::DuplicatesDropped => "duplicates_dropped",
            Self::RepliesLate => "replies_late",
            Self::RepliesUnsent => "replies_unsent",
        }
    }
}

/// Counters since the node started.
#[derive(Default)]
pub struct LinkCounters {
    counts: [AtomicU64; LinkCount::ALL.len()],
    refused: [AtomicU64; Refusal::ALL.len()],
    was_refused: [AtomicU64; Refusal::ALL.len()],
    asks_in_hand: AtomicU64,
}

impl LinkCounters {
    /// How often this happened.
    pub fn count(&self, what: LinkCount) -> u64 {
        self.counts[what as usize].load(Ordering::Relaxed)
    }

    /// How many links this node refused for this reason, as dialer or as acceptor.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize].load(Ordering::Relaxed)
    }

    /// How many links of this node were refused by the other side for this reason.
    pub fn was_refused(&self, why: Refusal) -> u64 {
        self.was_refused[why as usize].load(Ordering::Relaxed)
    }

    /// How many asks of other nodes the actors here have not answered yet, those in mailboxes included. The one figure here that also falls.
    pub fn asks_in_hand(&self) -> u64 {
        self.asks_in_hand.load(Ordering::Acquire)
    }

    pub(crate) fn add(&self, what: LinkCount, by: u64) {
        self.counts[what as usize].fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn note_refused(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_was_refused(&self, why: Refusal) {
        self.was_refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// An ask of another node that is not answered yet. Dropping it says that it is, or never will be.
pub(crate) struct InHand(Arc<LinkCounters>);

impl InHand {
    pub(crate) fn new(counters: Arc<LinkCounters>) -> Self {
        counters.asks_in_hand.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.asks_in_hand.fetch_sub(1, Ordering::Release);
    }
}

impl fmt::Debug for LinkCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        map.entries(LinkCount::ALL.map(|what| (what.kind(), self.count(what))));
        for why in Refusal::ALL {
            map.entry(&("refused", why.kind()), &self.refused(why));
            map.entry(&("was_refused", why.kind()), &self.was_refused(why));
        }
        map.entry(&"asks_in_hand", &self.asks_in_hand());
        map.finish()
    }
}
