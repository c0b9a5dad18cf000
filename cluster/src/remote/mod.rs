//! References to actors on other nodes: tell, ask and monitor over TCP.
//!
//! A node [exposes](Links::expose) actors under names; another holds a [`RemoteRef`] to a name at one boot of one node.
//! What is told is delivered **at most once**, in the order of each sender, and a full mailbox makes its remote senders
//! wait as it makes local ones wait. Messages are [`RemoteMessage`]s: registered by name and version, encoded with
//! postcard.
//!
//! | file | subject |
//! |---|---|
//! | `reference`, `acknowledged`, `monitor`, `message` | what users hold |
//! | `codec`, `shared_bytes` | messages as bytes, and bytes in them that are not copied |
//! | `links`, `exposed`, `directory` | what a node has: links, names, and the seam to membership |
//! | `peer`, `place`, `dial` | the dialing side of a link: channels, asks in flight, the connection |
//! | `inbound`, `channel`, `deliveries` | the accepting side: mailboxes, backlogs, answers, what was handled already |
//! | `frame`, `auth`, `handshake` | what goes over the wire; `frame` and `auth` are pure |
//! | `credit` | how much may be on its way; pure |
//! | `outbox`, `large`, `pipe` | frames that wait to be written, long messages in fragments, and the writer |
//! | `lane` | connections of their own for what must not wait for each other |
//!
//! # Rules
//!
//! * A link is one TCP connection, dialed by the side that holds the references, and belongs to one boot of each node. A
//!   message for one boot never reaches another.
//! * No reader waits for a mailbox: a message is taken off the wire only because its mailbox has given
//!   [credit](Window) for it. So a slow actor delays its own senders and nobody else.
//! * Everything is bounded: frames, queues, backlogs, channels, asks, handshakes.
//! * Nothing is lost in silence: what is not delivered is handed back, answered with an error, or counted ([`LinkCount`]).
//!
//! # What this does not do
//!
//! Encrypt: that is the [transport](crate::transport)'s work. The handshake proves that both ends have the key of the cluster, and under
//! TLS that each has a certificate for the node that it says to be.
//!
//! Messages are not stored. They are sent again only by [`RemoteRef::deliver`], until they are acknowledged or their deadline passes.

mod acknowledged;
mod auth;
mod channel;
mod codec;
mod config;
mod counters;
mod credit;
mod deliveries;
mod dial;
mod directory;
mod error;
mod exposed;
pub mod frame;
mod handshake;
mod inbound;
mod lane;
mod large;
mod links;
mod message;
mod monitor;
mod outbox;
mod patience;
mod peer;
mod pipe;
mod place;
mod reference;
mod shared_bytes;
mod sync_ext;

pub use acknowledged::{DeliveryError, RemoteDelivery};
pub use auth::{KEY_BYTES, LinkKeys};
pub use codec::{CodecError, Payload, from_postcard};
pub use config::{LinkConfig, LinkConfigError};
pub use counters::{LinkCount, LinkCounters};
pub use credit::Window;
pub use directory::{Directory, Location};
pub use error::{ExposeError, RemoteAskError, RemoteTellError, UnknownTarget};
pub use frame::{OpenRefusal, Refusal};
pub use handshake::{PROTOCOL, PROTOCOL_MIN};
pub use lane::Lane;
pub(crate) use links::Shared as LinksShared;
pub use links::{LinkIdentity, Links, LinksError};
pub use message::RemoteMessage;
pub use monitor::RemoteMonitor;
pub use reference::{RemoteAsk, RemoteRef, RemoteTell};
pub use shared_bytes::SharedBytes;

/// Longest name under which an actor can be exposed, in bytes.
pub const TARGET_BYTES_MAX: usize = 255;
