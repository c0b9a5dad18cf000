//! The workers of one node, wherever it is: [`Crew`].

use std::{sync::Arc, time::Duration};

use treewarden::{
    cluster::{Node, membership::NodeId},
    runtime::{ActorRef, AskError},
};

use super::{
    blob::Blob,
    chaos::Fault,
    messages::{FOREMAN, ForemanMsg, WorkerMsg, worker_name},
};

/// How long a chunk may take, the way there and back included.
const COUNT_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a foreman may take.
const FOREMAN_TIME_MAX: Duration = Duration::from_secs(2);

/// The workers of one node and their foreman. Cloning it is cheap.
#[derive(Clone, Debug)]
pub enum Crew {
    /// On this node: no message leaves the process.
    Here {
        /// The foreman.
        foreman: ActorRef<ForemanMsg>,
        /// The workers, the first is number 1.
        workers: Vec<ActorRef<WorkerMsg>>,
    },
    /// On another node.
    There {
        /// This node.
        here: Arc<Node>,
        /// The other one.
        there: NodeId,
    },
}

impl Crew {
    /// How many workers there are, if the node answers.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn workers(&self) -> Result<u32, AskError> {
        let question = ForemanMsg::Workers;
        let timeout = FOREMAN_TIME_MAX;
        match self {
            Self::Here { foreman, .. } => foreman.ask(question).timeout(timeout).await,
            Self::There { here, there } => {
                let foreman = here.remote::<ForemanMsg>(there, FOREMAN);
                let answer = foreman.ask(question).timeout(timeout).await;
                answer.map_err(AskError::from)
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
        let timeout = COUNT_TIME_MAX;
        match self {
            Self::Here { workers, .. } => {
                let index = (number as usize).checked_sub(1);
                let worker = index.and_then(|index| workers.get(index));
                let worker = worker.ok_or(AskError::Dead)?;
                worker.ask(question).timeout(timeout).await
            }
            Self::There { here, there } => {
                let worker = here.remote::<WorkerMsg>(there, &worker_name(number));
                let answer = worker.ask(question).timeout(timeout).await;
                answer.map_err(AskError::from)
            }
        }
    }
}
