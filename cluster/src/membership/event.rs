//! What the machine tells its owner.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::claim::{DownReason, State};
use super::identity::{NodeId, NodeName};
use super::metadata::Record;
use crate::partition::Undecided;

/// One datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// What; at most [`packet_bytes_max`](super::Config::packet_bytes_max) bytes.
    pub bytes: Vec<u8>,
}

/// A conversation to begin over a stream: connect, say the packet, hand to [`handle_stream`](super::Machine::handle_stream) whatever is
/// answered, and say what that returns. Not to be reached is no error: the datagrams' fate then decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCall {
    /// Where to: the member's stream address, or the address of its datagrams if it has told none.
    pub to: SocketAddr,
    /// What to say first; at most [`packet_bytes_max`](super::Config::packet_bytes_max) bytes.
    pub packet: Vec<u8>,
    /// An answer that comes later than this no longer helps.
    pub within: Duration,
}

/// A row of the table, for readers.
#[derive(Clone, Debug)]
pub struct MemberInfo {
    /// Which process of which node.
    pub id: NodeId,
    /// What is believed of it.
    pub state: State,
    /// The subject's own counter.
    pub incarnation: u64,
    /// Address and metadata.
    pub record: Arc<Record>,
    /// Since when it has this state, in the machine's running time.
    pub since: Duration,
}

/// A change of the view. Of one member they come in the order in which they happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A boot was seen for the first time.
    MemberJoined(MemberInfo),
    /// Its address or metadata changed.
    MemberUpdated(MemberInfo),
    /// A probe by `accuser` was not answered. It still counts as a working member.
    MemberSuspected {
        /// Whom.
        id: NodeId,
        /// By whom.
        accuser: NodeName,
    },
    /// A probed member answered by a stream and by nothing else: datagrams between here and there do not get through, which somebody
    /// should look at. It is not accused.
    AnsweredByStreamAlone {
        /// Who.
        id: NodeId,
    },
    /// The suspicion was refuted before it ended.
    SuspicionRefuted {
        /// Who refuted.
        id: NodeId,
    },
    /// A suspicion ended without refutation. Reversible.
    MemberUnreachable {
        /// Whom.
        id: NodeId,
        /// At whose table.
        accuser: NodeName,
    },
    /// An unreachable member refuted: it is back.
    MemberReachable {
        /// Who.
        id: NodeId,
    },
    /// Terminal for this boot.
    MemberDown {
        /// Who.
        id: NodeId,
        /// Why.
        reason: DownReason,
        /// Who decided.
        decider: NodeName,
    },
    /// A member that is down was forgotten, long after.
    MemberForgotten {
        /// Who.
        id: NodeId,
    },
    /// This machine has spoken with another member for the first time in this boot.
    Joined {
        /// With whom.
        via: NodeId,
    },
    /// Others suspected this machine and it refuted with a greater incarnation.
    Refuted {
        /// The new incarnation.
        incarnation: u64,
        /// Who accused.
        accuser: NodeName,
    },
    /// This boot is over: the machine has stopped taking part. It waits for a chance to rejoin unless it left.
    SelfDown {
        /// Why.
        reason: DownReason,
        /// Who decided.
        decider: NodeName,
    },
    /// The policy leaves it to an operator what becomes of the unreachable. They stay so until they come back or are declared down. Told
    /// once for each change of the view.
    PartitionUndecided {
        /// Why.
        reason: Undecided,
    },
    /// The policy wants a [lease](crate::partition::Lease): ask for it, and call [`handle_lease`](super::Machine::handle_lease).
    LeaseWanted {
        /// Which question this is.
        number: u64,
        /// In whose name to ask: the oldest member of this side.
        owner: NodeId,
    },
    /// After [`Event::SelfDown`]: a part of the cluster that counts can be reached. Call [`rejoin`](super::Machine::rejoin) with a
    /// greater boot to come back.
    RejoinPossible,
    /// This machine lives again, under a new boot. What it knew of others is void.
    Rejoined {
        /// Its new self.
        id: NodeId,
    },
    /// The word of leaving has been spread as far as it will be; the owner may stop.
    LeaveComplete,
    /// Timers were handled late by `late`: the process did not run. The lost time counts against nobody.
    Paused {
        /// How late.
        late: Duration,
    },
}

/// Counters since the machine was made. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Packets made.
    pub packets_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Packets that were understood.
    pub packets_received: u64,
    /// Packets that were refused, with no effect on the state.
    pub packets_refused: u64,
    /// Of these, packets in a version of the protocol that this member does not read.
    pub versions_refused: u64,
    /// Probes that had no answer by their end.
    pub probes_failed: u64,
    /// Conversations over streams that this member asked for, because a datagram was not answered.
    pub stream_calls: u64,
    /// Probes that were answered by a stream alone: datagrams do not get through.
    pub stream_answers: u64,
    /// Accusations of this member that it refuted.
    pub refutations: u64,
    /// Exchanges of anti-entropy begun here.
    pub syncs_started: u64,
    /// Members that were not taken in because the table is full.
    pub members_refused: u64,
    /// Times that a pause was noticed.
    pub pauses: u64,
    /// Notices posted here.
    pub notices_posted: u64,
    /// Notices of others that arrived, each counted once.
    pub notices_arrived: u64,
    /// Notices that arrived again, or so late that nobody knows whether they had.
    pub notices_repeated: u64,
    /// Notices that did not arrive because a newer one of their origin and name waits here, or a later process of their origin has spoken.
    pub notices_superseded: u64,
    /// Notices that waited here when a newer one of their origin and name took their place.
    pub notices_replaced: u64,
    /// Notices that were sent less often than they should have been: too many waited, or this boot ended.
    pub notices_cut_short: u64,
    /// Notices that were refused because too many origins have spoken lately. A later copy may arrive.
    pub notices_refused: u64,
    /// Notices that were given up because the machine's owner did not take them in time.
    pub notices_unread: u64,
}
