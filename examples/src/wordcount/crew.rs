//! The workers of one node, wherever it is: [`Crew`].

use std::{sync::Arc, time::Duration};

use treewarden::{
    cluster::{Node, membership::NodeId},
    runtime::{ActorRef, AskError},
};

use super::{
    archive::{Page, Superseded, Ticket},
    blob::Blob,
    chaos::Fault,
    messages::{Enlisted, FOREMAN, ForemanMsg, WorkerMsg, worker_name},
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
    /// Has the node work for the coordinator of this epoch.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn enlist(&self, epoch: u64) -> Result<Result<Enlisted, Superseded>, AskError> {
        let question = |reply| ForemanMsg::Enlist { epoch, reply };
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

    /// What the node has counted, from chunk `from` on: as much as fits into one message.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn counted(&self, from: u64) -> Result<Page, AskError> {
        let question = |reply| ForemanMsg::Counted { from, reply };
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
    /// If there is no answer. The chunk may have been counted nevertheless; the node may have the counts.
    pub async fn count(
        &self,
        number: u32,
        ticket: Ticket,
        text: Blob,
        fault: Fault,
    ) -> Result<Result<Blob, Superseded>, AskError> {
        let question = |reply| WorkerMsg::Count {
            ticket,
            text,
            fault,
            reply,
        };
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
