//! What a coordinator hears of the nodes, and how it enlists them.

use tokio::task::AbortHandle;
use treewarden::runtime::AskError;

use super::{
    archive::{Entry, Superseded},
    crew::Crew,
    ledger::NodeIndex,
    messages::Enlisted,
};

/// What the coordinator hears of a node.
#[derive(Debug)]
pub struct Peer {
    /// Which node.
    pub node: NodeIndex,
    /// What is new.
    pub news: News,
}

/// What is new of a node.
#[derive(Debug)]
pub enum News {
    /// It takes part.
    Joined {
        /// Its name.
        name: String,
        /// Its workers.
        crew: Crew,
    },
    /// It cannot be reached.
    Unreachable,
    /// It can be reached again.
    Reachable,
    /// It takes no part any more, and never will.
    Lost,
}

/// A node that takes part.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) crew: Crew,
    /// None until its foreman has answered for the first time.
    pub(super) workers: Option<u32>,
    pub(super) is_set_aside: bool,
    /// Its foreman is being asked.
    pub(super) asking: Option<AbortHandle>,
}

impl Known {
    /// One that has just joined.
    pub(super) fn new(name: String, crew: Crew) -> Self {
        Self {
            name,
            crew,
            workers: None,
            is_set_aside: false,
            asking: None,
        }
    }
}

/// Has a node work for the coordinator of this epoch, and asks what it has counted for another one before, if `is_new`.
///
/// # Errors
///
/// If it does not answer.
pub(super) async fn enlist(
    crew: &Crew,
    epoch: u64,
    is_new: bool,
) -> Result<Result<(Enlisted, Vec<Entry>), Superseded>, AskError> {
    let enlisted = match crew.enlist(epoch).await? {
        Ok(enlisted) => enlisted,
        Err(superseded) => return Ok(Err(superseded)),
    };
    let mut entries = Vec::new();
    let mut from = (is_new && enlisted.former > 0).then_some(0);
    while let Some(at) = from {
        let page = crew.counted(at).await?;
        entries.extend(page.entries);
        from = page.next;
    }
    Ok(Ok((enlisted, entries)))
}
