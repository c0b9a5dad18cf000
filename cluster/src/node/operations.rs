//! What an operator does with a node that runs: taking it out of service and back, and letting it go without losing anything.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::Node;
use crate::{agent::CallError, membership::CORDON};

/// How often it is looked whether asks are answered.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What came of a [drain](Node::drain).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Asks of other nodes that were not answered in time. Their askers hear
    /// [`AskError::Disconnected`](treewarden_runtime::AskError::Disconnected).
    pub asks_left: u64,
}

impl Node {
    /// Takes this node out of service: the others are told that it is [cordoned](crate::membership::Metadata::is_cordoned), so routers over
    /// groups and placement give it nothing new. It stays a member, keeps its singletons, and handles what is sent to it. `note` says to
    /// people why; it replaces an earlier one.
    ///
    /// # Errors
    ///
    /// [`CallError`]; nothing has changed.
    pub async fn cordon(&self, note: &str) -> Result<(), CallError> {
        let mut metadata = self.agent().metadata();
        metadata.values.insert(CORDON.into(), note.into());
        self.agent().set_metadata(metadata).await
    }

    /// Puts this node back into service. Without a [cordon](Self::cordon) it changes nothing.
    ///
    /// # Errors
    ///
    /// [`CallError`]; nothing has changed.
    pub async fn uncordon(&self) -> Result<(), CallError> {
        let mut metadata = self.agent().metadata();
        if metadata.values.remove(CORDON).is_none() {
            return Ok(());
        }
        self.agent().set_metadata(metadata).await
    }

    /// Whether this node was taken out of service.
    pub fn is_cordoned(&self) -> bool {
        self.agent().metadata().is_cordoned()
    }

    /// Ends this node without losing work: tells the others that it drains (its
    /// [health](crate::membership::Metadata::health_percent) becomes 0), hands its singletons over, waits until its actors have answered the asks
    /// of other nodes or `patience` has passed, and then [shuts it down](Self::shutdown): what is queued for links is written, the others
    /// are told that it leaves, and it ends. Later asks of nodes that do not know yet are answered as long as it waits. Tells are not waited
    /// for: whoever needs to know that one was handled uses [`deliver`](crate::remote::RemoteRef::deliver).
    ///
    /// If this future is dropped the node goes on, without new work and singletons.
    pub async fn drain(&self, patience: Duration) -> Drained {
        let until = Instant::now() + patience;
        let mut metadata = self.agent().metadata();
        metadata.health_percent = 0;
        if let Err(error) = self.agent().set_metadata(metadata).await {
            tracing::debug!(%error, "the others cannot be told that this node wants no work");
        }
        self.inner.hand_over().await;
        let all_answered = async {
            while self.counters().asks_in_hand() > 0 {
                sleep(LOOK_INTERVAL).await;
            }
        };
        // What is left is told below.
        let _ = timeout_at(until, all_answered).await;
        let asks_left = self.counters().asks_in_hand();
        self.shutdown().await;
        Drained { asks_left }
    }
}
