//! Dead letters: every message that will not be handled, counted by reason and shown to whoever subscribes.
//!
//! A message that is handed back to its sender is not a dead letter: the sender has it.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::broadcast;

use crate::envelope::{Criticality, MessageContext};

/// Why a message was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// The mailbox was full and drops what comes last.
    DroppedNewest,
    /// The mailbox was full and drops what waited longest.
    DroppedOldest,
    /// Its deadline had passed when its turn came.
    Expired,
    /// It was queued when the address was stopped.
    Stopped,
    /// It was queued when the address ended, or was sent after that.
    Gone,
    /// It was queued at a sibling of the child that crashed, and the group was restarted.
    GroupRestart,
    /// It answers an ask whose caller had gone away. The request itself was handled.
    ReplyDiscarded,
    /// It came from a monitor, timer or stream of an incarnation that is no more, or from a timer that was cancelled; or a handler stashed it
    /// that had been given up.
    Stale,
    /// It was published to a subscriber that had no room for it, or was gone.
    SlowSubscriber,
    /// It was stashed when its incarnation ended, and not kept.
    Stashed,
    /// Its mailbox was overloaded and gave it up: it had waited too long, or a more critical one needed its room.
    Shed,
    /// Its mailbox was full, its key had the most messages there, and another key needed room.
    OverShare,
}

impl DeadLetterReason {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 12] = [
        Self::DroppedNewest,
        Self::DroppedOldest,
        Self::Expired,
        Self::Stopped,
        Self::Gone,
        Self::GroupRestart,
        Self::ReplyDiscarded,
        Self::Stale,
        Self::SlowSubscriber,
        Self::Stashed,
        Self::Shed,
        Self::OverShare,
    ];

    /// One word for logs and metric labels.
    pub fn kind(self) -> &'static str {
        match self {
            Self::DroppedNewest => "dropped_newest",
            Self::DroppedOldest => "dropped_oldest",
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
            Self::GroupRestart => "group_restart",
            Self::ReplyDiscarded => "reply_discarded",
            Self::Stale => "stale",
            Self::SlowSubscriber => "slow_subscriber",
            Self::Stashed => "stashed",
            Self::Shed => "shed",
            Self::OverShare => "over_share",
        }
    }
}

impl fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// One message that was not handled. The message itself has been dropped.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The address for which it was meant.
    pub path: Arc<str>,
    /// The type of the message.
    pub message_type: &'static str,
    /// Why.
    pub reason: DeadLetterReason,
    /// The context that travelled with it.
    pub context: Option<MessageContext>,
}

/// The dead letters of one [`System`](crate::System).
pub struct DeadLetters {
    /// By reason and class.
    counts: [[AtomicU64; 3]; DeadLetterReason::ALL.len()],
    /// Made at the first subscription: without one a dead letter costs an increment.
    feed: OnceLock<broadcast::Sender<DeadLetter>>,
}

/// How many dead letters a subscriber can be behind before it misses some.
const FEED_CAPACITY: usize = 1024;

impl DeadLetters {
    pub(crate) fn new() -> Self {
        Self {
            counts: Default::default(),
            feed: OnceLock::new(),
        }
    }

    /// How many messages were not handled for this reason since the system began.
    pub fn count(&self, reason: DeadLetterReason) -> u64 {
        self.counts[reason as usize]
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// How many messages of one class were not handled for this reason since the system began.
    pub fn count_of(&self, reason: DeadLetterReason, criticality: Criticality) -> u64 {
        self.counts[reason as usize][criticality as usize].load(Ordering::Relaxed)
    }

    /// How many messages were not handled, for any reason.
    pub fn total(&self) -> u64 {
        DeadLetterReason::ALL
            .map(|reason| self.count(reason))
            .iter()
            .sum()
    }

    /// A feed of the dead letters from now on. A subscriber that is more than 1024 behind misses the oldest, and is told
    /// how many ([`broadcast::error::RecvError::Lagged`]); the counters miss none.
    pub fn subscribe(&self) -> broadcast::Receiver<DeadLetter> {
        self.feed
            .get_or_init(|| broadcast::channel(FEED_CAPACITY).0)
            .subscribe()
    }

    pub(crate) fn record(
        &self,
        reason: DeadLetterReason,
        criticality: Criticality,
        describe: impl FnOnce() -> DeadLetter,
    ) {
        self.counts[reason as usize][criticality as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(feed) = self.feed.get()
            && feed.receiver_count() > 0
        {
            // Fails only if the last subscriber left just now.
            let _ = feed.send(describe());
        }
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(DeadLetterReason::ALL.map(|reason| (reason.kind(), self.count(reason))))
            .finish()
    }
}
