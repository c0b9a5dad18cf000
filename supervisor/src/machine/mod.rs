//! The decisions of a supervisor, without anything that acts: no task, no clock, no random source.
//!
//! A [`Machine`] is told what happened ([`Event`]) and when (`now`, the time since an arbitrary epoch, never going
//! back), and says what to do ([`Command`]). The order of calls:
//!
//! 1. [`Machine::new`], then [`Machine::add`] for each child in start order.
//! 2. [`Machine::handle`] with [`Event::Begin`].
//! 3. After each `handle`, [`Machine::poll_command`] until it returns `None`, and carry the commands out in order.
//! 4. After [`Command::Exit`] nothing follows, and every later call is answered with
//!    [`AdminError::ShuttingDown`].
//!
//! The semantics are those of OTP 25's `supervisor` module; what is added (backoff, deadlines for starts, history,
//! escalation as a failure, queues that survive a restart) is off or invisible unless it is asked for. One thing
//! happens at a time: while a child is being started or stopped, exits, retries and calls wait in an inbox, as
//! they would in the mailbox of OTP's process. Only [`Event::Shutdown`] and [`Event::Kill`] overtake, and may
//! interrupt a start.
//!
//! What happens to one child costs the same however many siblings it has; group restarts and shutdown cost the size
//! of the group.
//!
//! Where to read on: [`Restart::verdict`] is the policy; `restarting.rs` is how a restart is carried out, `groups.rs` what
//! it does to siblings; `starting.rs` and `stopping.rs` are about one child, `ending.rs` about all; `deadlines.rs` about
//! those who are late; `administration.rs` is the calls, `changing.rs` other specifications at run time.

mod administration;
mod backoff;
mod changing;
mod children;
mod command;
mod deadlines;
mod ending;
mod event;
mod flags;
mod groups;
mod intensity;
mod planted;
mod reason;
mod restart;
mod restarting;
#[cfg(feature = "unstable-machines")]
pub mod script;
mod shutdown;
mod significant;
mod spec;
mod starting;
mod stopping;
mod strategy;
mod supervisor;

pub use backoff::Backoff;
pub use changing::Changed;
pub use children::{Child, ChildKey, Failed, Status};
pub use command::{
    AdminError, Answer, ChildCounts, ChildInfo, Command, ExitCause, Limit, Mark, Report, Timer,
};
pub use event::{CallId, Event, Request, Target};
pub use flags::{Escalation, Flags};
pub use intensity::{Intensity, Resolution};
#[cfg(feature = "unstable-machines")]
pub use planted::PlantedBug;
pub use reason::{ExitClass, Reason};
pub use restart::{Restart, Verdict};
pub use shutdown::Shutdown;
pub use significant::AutoShutdown;
pub use spec::{ChildRole, ChildSpec, QueueFate, SpecError};
pub use strategy::Strategy;
pub use supervisor::Machine;
