//! Frames: what one link carries, as bytes. A pure codec, without socket or clock.
//!
//! ```text
//! frame = length:u32 (little-endian, of what follows)  framing:u8  kind:u8  body
//! ```
//!
//! The body is the frame's fields in postcard's encoding; the kind is its variant number, which never changes its
//! meaning: new kinds are added at the end. Rules:
//!
//! * The length is compared with the limit before anything is allocated, and a buffer grows with the bytes that have
//!   arrived, not with the length that was claimed; but one frame that is within the limit of a link may have its 129 KiB at once.
//! * A frame borrows from the buffer that it was read from. Nothing is copied to decode it. A big one has a buffer of its own, which
//!   can be kept.
//! * Whatever does not fit is a [`FrameError`]; the link that it came from is closed, because its next frame cannot be
//!   found with certainty.

mod decoder;
mod encoding;
mod raw;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::lane::Lane;

pub use decoder::Decoder;
pub use encoding::encode;
pub(crate) use encoding::{encode_fragment_head, encode_reply_fragment_head, encode_tell_head};

/// Version of the framing itself; in every frame, so that a link that lost its place is noticed.
pub const FRAMING: u8 = 1;

/// Bytes of a frame before its framing byte.
pub const LENGTH_BYTES: usize = 4;

/// Longest frame before both sides know each other, in bytes after the length.
pub const HANDSHAKE_FRAME_BYTES_MAX: usize = 1024;

/// What of a message or an answer goes into one frame, in bytes. Longer ones travel in fragments.
pub const FRAGMENT_BYTES: usize = 128 * 1024;

/// Longest frame once both sides know each other, in bytes after the length: a fragment and what is around it.
pub const FRAME_BYTES_MAX: usize = FRAGMENT_BYTES + 1024;

/// Number of kinds: the first byte of a body is below it.
const KINDS: u8 = 23;

/// One frame. The order of the variants is the wire format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame<'a> {
    /// Handshake, first: who dials whom, and a challenge.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// Handshake, second: an encoded [`Welcome`] and the acceptor's proof that it has the key.
    Welcome {
        /// An encoded [`Welcome`].
        #[serde(with = "raw")]
        body: &'a [u8],
        /// A nonce and a tag; see the handshake.
        #[serde(with = "raw")]
        proof: &'a [u8],
    },
    /// Handshake, third: the dialer's proof.
    Confirm {
        /// A nonce and a tag; see the handshake.
        #[serde(with = "raw")]
        proof: &'a [u8],
    },
    /// Handshake, instead of any later step: there will be no link.
    Refuse {
        /// Why.
        reason: Refusal,
    },
    /// From now on `channel` stands for this actor and this type of message.
    Open {
        /// Never used twice in the life of a link.
        channel: u32,
        /// The name under which the actor is exposed.
        target: &'a str,
        /// [`RemoteMessage::NAME`](super::RemoteMessage::NAME).
        message: &'a str,
        /// [`RemoteMessage::VERSION`](super::RemoteMessage::VERSION).
        version: u32,
    },
    /// Nothing more will come on this channel.
    Close {
        /// Which.
        channel: u32,
    },
    /// What had come on a channel that was closed is with its mailbox, or refused: another may be opened for the same
    /// actor.
    Closed {
        /// Which.
        channel: u32,
    },
    /// A message.
    Tell {
        /// To whom.
        channel: u32,
        /// The message, in postcard's encoding.
        #[serde(with = "raw")]
        payload: &'a [u8],
    },
    /// A message with a context. Asks with a deadline travel so.
    TellWith {
        /// To whom.
        channel: u32,
        /// What travels with it.
        context: WireContext<'a>,
        /// The message, in postcard's encoding.
        #[serde(with = "raw")]
        payload: &'a [u8],
    },
    /// The mailbox behind a channel has taken messages: so much more may be sent.
    Credit {
        /// Which.
        channel: u32,
        /// Messages.
        messages: u32,
        /// Bytes of payload.
        bytes: u64,
    },
    /// A message was not accepted.
    Nack {
        /// On which channel.
        channel: u32,
        /// Which message of the channel; the first is 0.
        sequence: u64,
        /// Why.
        reason: Nack,
    },
    /// A channel was not opened. What was sent on it is dropped.
    OpenRefused {
        /// Which.
        channel: u32,
        /// Why.
        reason: OpenRefusal,
    },
    /// The answer to an ask.
    Reply {
        /// The number that the asking side gave to the reply.
        number: u64,
        /// The answer, in postcard's encoding.
        #[serde(with = "raw")]
        payload: &'a [u8],
    },
    /// There will be no answer to an ask.
    ReplyError {
        /// The number that the asking side gave to the reply.
        number: u64,
        /// Why.
        error: NoAnswer,
    },
    /// Tell the ends of an actor.
    Monitor {
        /// Chosen by the monitoring side; never used twice in the life of a link.
        number: u64,
        /// The name under which the actor is exposed.
        target: &'a str,
    },
    /// Tell them no more.
    Demonitor {
        /// Which monitoring.
        number: u64,
    },
    /// A monitored actor ended.
    Down {
        /// Which monitoring.
        number: u64,
        /// How.
        exit: WireExit<'a>,
    },
    /// Nothing but a sign of life.
    Ping,
    /// The last frame of a link that is closed in order.
    Goodbye,
    /// A message longer than a fragment begins.
    TellBegin {
        /// To whom.
        channel: u32,
        /// Bytes of the whole message.
        bytes: u32,
        /// What travels with it.
        context: Option<WireContext<'a>>,
    },
    /// The next part of such a message: [`FRAGMENT_BYTES`], or what is left.
    Fragment {
        /// To whom.
        channel: u32,
        /// Part of the message, in postcard's encoding.
        #[serde(with = "raw")]
        payload: &'a [u8],
    },
    /// An answer longer than a fragment begins.
    ReplyBegin {
        /// The number that the asking side gave to the reply.
        number: u64,
        /// Bytes of the whole answer.
        bytes: u32,
    },
    /// The next part of such an answer: [`FRAGMENT_BYTES`], or what is left.
    ReplyFragment {
        /// The number that the asking side gave to the reply.
        number: u64,
        /// Part of the answer, in postcard's encoding.
        #[serde(with = "raw")]
        payload: &'a [u8],
    },
}

/// The dialer's first frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// The oldest protocol it speaks.
    pub protocol_min: u8,
    /// The newest protocol it speaks.
    pub protocol_max: u8,
    /// The cluster it belongs to.
    pub cluster: &'a str,
    /// The name of the dialer.
    pub from_name: &'a str,
    /// The boot of the dialer.
    pub from_boot: u64,
    /// The name of the node that it wants.
    pub to_name: &'a str,
    /// The boot of the node that it wants.
    pub to_boot: u64,
    /// Number of this link among the links from this boot; later ones are greater.
    pub link: u64,
    /// What kind of messages go over this link.
    pub lane: Lane,
    /// The longest message or answer it takes, in bytes.
    pub message_bytes_max: u32,
    /// Random bytes that the acceptor's proof has to cover.
    pub challenge: [u8; 32],
}

/// The acceptor's first frame, in the part that its proof covers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol of this link.
    pub protocol: u8,
    /// The longest message or answer it takes, in bytes.
    pub message_bytes_max: u32,
    /// Random bytes that the dialer's proof has to cover.
    pub challenge: [u8; 32],
}

/// Why two nodes have no link. Both count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// They are of different clusters.
    WrongCluster,
    /// They have no version of the protocol in common.
    WrongProtocol,
    /// One of them does not have the key of the cluster.
    WrongKey,
    /// The node at this address is not the one, or not the boot of the one, that was wanted.
    WrongNode,
    /// There is a newer link between the same two boots.
    Outdated,
    /// The dialer has been declared down; it has to come back under a new boot.
    DialerDown,
    /// Something else than a handshake was received.
    NotAHandshake,
    /// The handshake took too long.
    TooSlow,
    /// Too many handshakes are going on, or the node is shutting down.
    Busy,
    /// The certificate is missing, foreign, expired, or speaks for another node.
    WrongCertificate,
}

impl OpenRefusal {
    /// Whether it can be otherwise a moment later.
    pub(crate) fn may_pass(self) -> bool {
        match self {
            Self::UnknownTarget => true,
            Self::WrongType | Self::WrongVersion { .. } => false,
        }
    }
}

impl Refusal {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 10] = [
        Self::WrongCluster,
        Self::WrongProtocol,
        Self::WrongKey,
        Self::WrongNode,
        Self::Outdated,
        Self::DialerDown,
        Self::NotAHandshake,
        Self::TooSlow,
        Self::Busy,
        Self::WrongCertificate,
    ];

    /// One word for logs and metric labels.
    pub fn kind(self) -> &'static str {
        match self {
            Self::WrongCluster => "wrong_cluster",
            Self::WrongProtocol => "wrong_protocol",
            Self::WrongKey => "wrong_key",
            Self::WrongNode => "wrong_node",
            Self::Outdated => "outdated",
            Self::DialerDown => "dialer_down",
            Self::NotAHandshake => "not_a_handshake",
            Self::TooSlow => "too_slow",
            Self::Busy => "busy",
            Self::WrongCertificate => "wrong_certificate",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongCluster => "the nodes are of different clusters",
            Self::WrongProtocol => "the nodes have no version of the protocol in common",
            Self::WrongKey => "one of the nodes does not have the key of the cluster",
            Self::WrongNode => "another node, or another boot of the node, has this address",
            Self::Outdated => "there is a newer link between the same nodes",
            Self::DialerDown => "the dialing node was declared down; it has to rejoin",
            Self::NotAHandshake => "something else than a handshake was received",
            Self::TooSlow => "the handshake took too long",
            Self::Busy => "too many handshakes at once, or the node is shutting down",
            Self::WrongCertificate => {
                "the certificate is missing, foreign or expired, or speaks for another node"
            }
        })
    }
}

/// Why a message was not accepted by the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Nack {
    /// It could not be decoded as what its type says.
    Undecodable,
    /// The mailbox was full, and its policy is to refuse.
    Full,
    /// It weighs more than the mailbox may hold.
    TooHeavy,
    /// The actor is stopped; its supervisor may start it again.
    Stopped,
    /// The actor is gone.
    Gone,
}

/// Why a channel was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OpenRefusal {
    /// Nothing is exposed under this name.
    UnknownTarget,
    /// The actor takes messages of another type.
    WrongType,
    /// The actor takes another version of the type.
    WrongVersion {
        /// The one it takes.
        takes: u32,
    },
}

/// Why there is no answer: [`AskError`](treewarden_runtime::AskError) as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NoAnswer {
    /// As the runtime's error of that name.
    Refused,
    /// As the runtime's error of that name.
    Expired,
    /// As the runtime's error of that name.
    Timeout,
    /// As the runtime's error of that name.
    Dead,
    /// As the runtime's error of that name.
    CrashedBeforeHandling,
    /// As the runtime's error of that name.
    CrashedWhileHandling,
    /// As the runtime's error of that name.
    NoReply,
    /// As the runtime's error of that name.
    SelfAsk,
    /// As the runtime's error of that name: the actor had passed the ask on to a third node.
    Disconnected,
    /// The answer is longer than the asking side reads, or too many answers wait for it to read them.
    TooLarge {
        /// Its length in bytes.
        bytes: u64,
    },
}

/// What travels with a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WireContext<'a> {
    /// Time that was left when the frame was made, in microseconds.
    pub remaining_us: Option<u64>,
    /// 0 sheddable, 1 default, 2 critical.
    pub criticality: u8,
    /// Which attempt this is; the first is 0.
    pub attempt: u32,
    /// The request that the message belongs to; 0 for none.
    pub request_id: u64,
    /// W3C `traceparent`.
    pub trace_parent: Option<&'a str>,
    /// The message is to be acknowledged.
    pub delivery: Option<WireDelivery>,
}

/// An attempt at a message that is sent until it is acknowledged. The acknowledgement is an empty [`Frame::Reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireDelivery {
    /// The boot under which its sender began it: the same for all attempts, also when the sender has gone on as another boot since.
    pub boot: u64,
    /// The same for all attempts; unique among what the sender began under that boot.
    pub delivery: u64,
    /// Under which number this attempt is answered.
    pub number: u64,
}

/// An end of an actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireExit<'a> {
    /// Which incarnation; `None`: the address itself is gone.
    pub incarnation: Option<u64>,
    /// Whether its supervisor starts another one.
    pub restart_follows: bool,
    /// How many earlier ends were merged into this.
    pub missed: u64,
    /// [`ExitReason::kind`](treewarden_runtime::ExitReason::kind), or `unknown_target`.
    pub kind: &'a str,
    /// What went wrong, for people.
    pub text: &'a str,
}

/// Why bytes are not a frame. The link is of no use after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame says that it is longer than is allowed here.
    TooLong {
        /// What it says, in bytes.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// The frame is too short for its framing byte and kind.
    TooShort,
    /// The framing byte is another one.
    Framing {
        /// What it is.
        found: u8,
    },
    /// There is no such kind in this version.
    UnknownKind {
        /// Its number.
        kind: u8,
    },
    /// The body is not what a frame of this kind has.
    Malformed {
        /// The number of the kind.
        kind: u8,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, bytes_max } => {
                write!(f, "a frame of {bytes} bytes, where {bytes_max} are allowed")
            }
            Self::TooShort => f.write_str("a frame without a kind"),
            Self::Framing { found } => write!(f, "framing {found} where {FRAMING} is spoken"),
            Self::UnknownKind { kind } => write!(f, "frame kind {kind} is not known here"),
            Self::Malformed { kind } => write!(f, "a malformed frame of kind {kind}"),
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests;
