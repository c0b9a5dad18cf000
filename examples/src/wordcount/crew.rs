//! The workers of one node, wherever it is: [`Crew`].

use std::time::Duration;

use treewarden::runtime::{ActorRef, AskError};

use super::{
    blob::Blob,
    chaos::Fault,
    messages::{ForemanMsg, WorkerMsg},
};

/// How long a chunk may take, the way there and back included.
const COUNT_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a foreman may take.
const FOREMAN_TIME_MAX: Duration = Duration::from_secs(2);

/// The workers of one node and their foreman. Cloning it is cheap.
#[derive(Clone, Debug)]
pub enum Crew {
    /// On this node.
    Here {
        /// The foreman.
        foreman: ActorRef<ForemanMsg>,
        /// The workers, the first is number 1.
        workers: Vec<ActorRef<WorkerMsg>>,
    },
}

impl Crew {
    /// How many workers there are, if the node answers.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn workers(&self) -> Result<u32, AskError> {
        match self {
            Self::Here { foreman, .. } => {
                foreman
                    .ask(ForemanMsg::Workers)
                    .timeout(FOREMAN_TIME_MAX)
                    .await
            }
        }
    }

    /// Has worker `number` count `text`.
    ///
    /// # Errors
    ///
    /// If there is no answer. The chunk may have been counted nevertheless; nobody has the counts.
    pub async fn count(&self, number: u32, text: Blob, fault: Fault) -> Result<Blob, AskError> {
        let question = |reply| WorkerMsg::Count { text, fault, reply };
        match self {
            Self::Here { workers, .. } => {
                let worker = (number as usize).checked_sub(1);
                let worker = worker.and_then(|index| workers.get(index));
                worker
                    .ok_or(AskError::Dead)?
                    .ask(question)
                    .timeout(COUNT_TIME_MAX)
                    .await
            }
        }
    }
}
