//! Who is in the cluster, and who can be reached: a machine without socket, clock, task or source of randomness.
//!
//! SWIM (Das, Gupta and Motivala, 2002) finds failures, Lifeguard (Dadgar, Phillips and Currey, 2018) keeps slow members from accusing
//! healthy ones, and anti-entropy repairs whatever gossip missed. A suspicion that ends makes a member *unreachable*, which it can always
//! refute; only a [policy](crate::partition), an operator or the member's own leave makes it *down*, which is final for that boot.
//!
//! The owner of a [`Machine`] calls, in this order and again and again:
//!
//! 1. [`Machine::handle_packet`] for every datagram that has arrived, then [`Machine::handle_timeout`] if
//!    [`Machine::poll_timeout`] is due. After a pause of the process, packets come first: what waits in the socket may refute a suspicion.
//! 2. [`Machine::poll_transmit`] until it is empty, and sends; [`Machine::poll_call`], and begins conversations over streams if it has
//!    any. What comes by them goes to [`Machine::handle_stream`].
//! 3. [`Machine::poll_event`] and [`Machine::poll_notice`] until they are empty, and tells the application.
//! 4. [`Machine::poll_timeout`], and waits for that time or the next datagram.
//!
//! Time is a [`Duration`](std::time::Duration) since any fixed moment, the same moment for all calls.
//!
//! What is not here: sockets and encryption (`agent`, `datagram`), streams, consensus. Members trust each other: who holds the group's
//! key can lie.

mod broadcasts;
mod claim;
mod config;
mod event;
mod health;
mod identity;
mod machine;
mod metadata;
mod notice;
mod notices;
mod rng;
mod suspicion;
mod table;
mod timers;
pub mod wire;

pub use claim::{Claim, DownReason, INCARNATION_MAX, State, Update};
pub use config::{Config, ConfigError, Lifeguard, PACKET_BYTES_MIN};
pub use event::{Event, MemberInfo, Stats, StreamCall, Transmit};
pub use identity::{BootUid, Identity, NAME_BYTES_MAX, NameError, NodeId, NodeName};
#[cfg(feature = "file")]
pub(crate) use machine::check_record;
pub use machine::{CommandError, Machine};
pub use metadata::{CORDON, Metadata, MetadataError, RECORD_BYTES_MAX, Record};
pub use notice::{
    NOTICE_BYTES_MAX, NOTICE_NAME_BYTES_MAX, NOTICES_OF_ONES_OWN_MAX, Notice, NoticeError,
};
pub use rng::Rng;
