//! Actors on tokio: bounded mailboxes, a control lane, exits, monitors, names, dead letters.

mod mailbox;

pub use mailbox::{Mailbox, MailboxLoad, OnFull, Overflow, OverflowPolicy, WeighsOtherMessages};
