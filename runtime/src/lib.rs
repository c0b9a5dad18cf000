//! Actors on tokio, as Treewarden runs them.
//!
//! An [`Actor`] has one type of message and handles one at a time. A [`System`] spawns it and owns everything that
//! actors share. An [`ActorRef`] names its address: it can [`tell`](ActorRef::tell), [`ask`](ActorRef::ask),
//! [`monitor`](ActorRef::monitor), and it outlives restarts. Mailboxes are bounded unless that is written out
//! otherwise, stop and kill never wait behind messages, and no message is lost in silence: each is handled, handed back,
//! or counted in [`DeadLetters`].
//!
//! | where | what |
//! |---|---|
//! | `actor`, `context` | what the user writes, and what a handler can do |
//! | `reference`, `tell`, `ask`, `reply`, `recipient` | how actors are talked to |
//! | `router` | one address for many workers |
//! | `work` | work that workers take when they are free |
//! | `mailbox` | the queue |
//! | `cell` | what references share, and the run loop |
//! | `system`, `registry`, `groups`, `topic`, `snapshot`, `dead_letter` | what actors share |
//! | `exit`, `failure`, `panics`, `monitor` | how things end, and who hears of it |
//! | `stash` | messages set aside until the actor is ready for them |
//! | `observed` | actors whose handlers are seen: in spans, and in metrics (feature) |
//! | `stream`, `service` | streams into actors, actors as sinks, asks as tower services |
//! | `timer` | messages to oneself, later |
//! | `watchdog` | handlers that take too long |
//! | [`host`] | for those who build supervisors |
//! | `turnstile` | for those who build test kits |
//!
//! This crate starts nothing again: that is what the supervisor is for. It installs nothing process-wide unless
//! [`record_panic_locations`] is called. Panics can only be isolated where they unwind: under `panic = "abort"` the
//! process ends with the first one.

mod actor;
mod ask;
mod cell;
mod context;
mod dead_letter;
mod envelope;
mod exit;
mod failure;
mod groups;
pub mod host;
mod id;
mod idle;
mod mailbox;
mod monitor;
mod observed;
mod panics;
mod receipt;
mod recipient;
mod reference;
mod registry;
mod reply;
mod roots;
mod router;
mod scope;
#[cfg(feature = "tower")]
mod service;
mod snapshot;
mod stash;
mod stream;
mod sync_ext;
mod system;
mod tell;
mod timer;
mod topic;
mod turnstile;
mod watchdog;
#[cfg(feature = "wire")]
pub mod wire;
mod work;

pub use actor::Actor;
pub use ask::{Ask, AskError};
pub use context::{Context, Init};
pub use dead_letter::{DeadLetter, DeadLetterReason, DeadLetters};
pub use envelope::{Criticality, MessageContext};
pub use exit::{ExitReason, Panic, Suspect};
pub use failure::Failure;
pub use groups::{GroupChange, GroupEvent, Groups};
pub use id::ActorId;
pub use mailbox::{
    ByClass, Mailbox, MailboxLoad, OnFull, Overflow, OverflowPolicy, Shedding, WeighsOtherMessages,
};
pub use monitor::{Monitor, MonitorEvent, MonitorHandle};
pub use observed::Observed;
pub use panics::record_panic_locations;
pub use receipt::Receipt;
pub use recipient::{Deliver, Recipient, RecipientTell};
pub use reference::{ActorRef, AddressState, WeakActorRef};
pub use registry::{LookupError, NameTaken, Registry};
pub use reply::Reply;
pub use router::{
    Broadcast, Ejection, Gather, Gathered, Leaving, PeakEwma, RouteError, RoutedAsk,
    RoutedAskError, Router, RouterBuilder, Routing, TooFew, WorkerLoad,
};
/// Choosing by a [`Routing`] among things that are no local actors, leaving out those that fail, and asking all of them: what routers
/// over other nodes are made from. Pure.
pub mod routing {
    pub use crate::router::{
        Candidates, Draw, Health, Latency, Need, choose, collect, hash_of, mix,
    };
}
#[cfg(feature = "tower")]
pub use service::AskService;
pub use snapshot::{Inspect, NodeSnapshot, Snapshot};
pub use stash::{Stash, StashFull};
pub use stream::{ActorSink, Attachment, ReceiverStream, of_receiver};
pub use system::{
    Placement, Root, RootAttachment, SpawnError, SpawnOptions, System, SystemBuilder,
};
pub use tell::{Tell, TellAllError, TellError, Unsent};
pub use timer::{MissedTicks, Timer};
pub use topic::{Published, SlowSubscriber, Subscription, Topic};
pub use turnstile::{Task, Turnstile};
pub use watchdog::{HandlerBudget, HandlerOverran, Measure, Overrun, Whereabouts};
pub use work::{PushError, Work, WorkCounts, WorkQueue, WorkQueueBuilder};
