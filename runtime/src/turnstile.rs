//! [`Turnstile`]: who decides when the tasks of a system run. For test kits.
//!
//! A tokio runtime polls its tasks in the order in which they were woken, more or less, so that tests see few of the
//! orders that a service will see. A system that is built with a turnstile hands it each of its tasks before tokio gets
//! them: the turnstile wraps the task, and lets it be polled when it chooses.

use std::{fmt, future::Future, pin::Pin};

/// A task, whatever it does.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Decides when the tasks of a [`System`](crate::System) are polled. See
/// [`SystemBuilder::turnstile`](crate::SystemBuilder::turnstile).
///
/// The actors of such a system handle one message in each poll, so that there is a choice after each message.
pub trait Turnstile: fmt::Debug + Send + Sync + 'static {
    /// The task as it is to be given to tokio.
    fn pass(&self, task: Task) -> Task;
}
