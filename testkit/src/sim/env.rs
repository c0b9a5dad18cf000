//! [`Env`]: what the body of a test sees of its run.

use std::{
    fmt,
    future::Future,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{Arc, Mutex},
};

use tokio::{sync::Notify, task::JoinHandle};
use treewarden_runtime::System;

use super::turns::{Gate, Turns};
use crate::{fault::FaultPlan, random::mix, sync_ext::MutexExt};

/// One run of a test body: its system, its tasks and its seed. Cloning it costs one increment.
#[derive(Clone)]
pub struct Env {
    inner: Arc<Inner>,
}

struct Inner {
    seed: u64,
    system: System,
    turns: Arc<Turns>,
    notes: Mutex<Vec<String>>,
    /// What a spawned task panicked with.
    panicked: Mutex<Option<String>>,
    has_panicked: Notify,
}

impl Env {
    pub(super) fn new(seed: u64, turns: Arc<Turns>) -> Self {
        Self {
            inner: Arc::new(Inner {
                seed,
                system: Self::new_system(seed, &turns),
                turns,
                notes: Mutex::default(),
                panicked: Mutex::default(),
                has_panicked: Notify::new(),
            }),
        }
    }

    fn new_system(seed: u64, turns: &Arc<Turns>) -> System {
        System::builder("test")
            .seed(mix(seed))
            .turnstile(Arc::new(Gate(turns.clone())))
            .build()
    }

    /// The seed of this run.
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// A system whose actors, supervisors and children run when the seed says so.
    pub fn system(&self) -> &System {
        &self.inner.system
    }

    /// Another such system in the same run.
    pub fn another_system(&self) -> System {
        Self::new_system(mix(self.inner.seed), &self.inner.turns)
    }

    /// Spawns a task that runs when the seed says so. If it panics, the run has failed.
    ///
    /// What is spawned with [`tokio::spawn`] runs in the order of tokio, between any two of these.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let env = self.clone();
        tokio::spawn(self.inner.turns.wrap(async move {
            let mut future = pin!(future);
            let polled =
                poll_fn(
                    |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                        Ok(poll) => poll.map(Ok),
                        Err(payload) => std::task::Poll::Ready(Err(payload)),
                    },
                );
            match polled.await {
                Ok(output) => output,
                Err(payload) => {
                    let text = text_of(&*payload);
                    env.inner.panicked.locked().get_or_insert(text);
                    env.inner.has_panicked.notify_one();
                    resume_unwind(payload)
                }
            }
        }))
    }

    /// A fault plan that follows from the seed of this run.
    pub fn faults<M: Send + 'static>(&self) -> FaultPlan<M> {
        FaultPlan::seeded(self.random())
    }

    /// A random number that follows from the seed, and from what was drawn and run before.
    pub fn random(&self) -> u64 {
        self.inner.turns.random()
    }

    /// Lets others have a turn, or none of them: the seed says so.
    pub async fn yield_now(&self) {
        tokio::task::yield_now().await;
    }

    /// Writes down what happened, for the [`Run`](super::Run) and for the report of a failure.
    pub fn note(&self, what: impl Into<String>) {
        self.inner.notes.locked().push(what.into());
    }

    /// What was written down so far.
    pub fn notes(&self) -> Vec<String> {
        self.inner.notes.locked().clone()
    }

    /// Resolves with the text of the first panic of a spawned task.
    pub(super) async fn panicked(&self) -> String {
        loop {
            if let Some(text) = self.inner.panicked.locked().take() {
                return text;
            }
            self.inner.has_panicked.notified().await;
        }
    }
}

/// What a panic said.
pub(super) fn text_of(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is no text".to_owned()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("seed", &self.inner.seed)
            .field("turns", &self.inner.turns.given())
            .finish_non_exhaustive()
    }
}
