//! What the coordinator and the nodes say to each other, through the cluster.
//!
//! The same messages go to actors on this node and on others. The nodes need no common disk: a chunk travels in its
//! message.

use serde::{Deserialize, Serialize};
use treewarden::{cluster::remote::RemoteMessage, runtime::Reply};

use super::{
    archive::{Page, Superseded, Ticket},
    blob::Blob,
    chaos::Fault,
};

/// What a worker is sent.
#[derive(Debug, Serialize, Deserialize)]
pub enum WorkerMsg {
    /// Count the words of `text`; the answer is what [`count_chunk`](super::tally::count_chunk) makes of it.
    Count {
        /// Which chunk it is, and for whom.
        ticket: Ticket,
        /// Whole words.
        text: Blob,
        /// What is to happen before the answer.
        fault: Fault,
        /// Where the counts go, unless a younger coordinator is in office.
        reply: Reply<Result<Blob, Superseded>>,
    },
    /// Crash: a person wants to see what happens.
    Crash,
}

impl RemoteMessage for WorkerMsg {
    const NAME: &'static str = "wordcount/worker";
    const VERSION: u32 = 2;
}

/// A node works for a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enlisted {
    /// How many workers it has. Their names are [`worker_name`] of 1 to that number.
    pub workers: u32,
    /// The epoch of the coordinator for which it worked before; 0 if there was none.
    pub former: u64,
}

/// What the foreman of a node is sent.
#[derive(Debug, Serialize, Deserialize)]
pub enum ForemanMsg {
    /// Work for the coordinator of this epoch, and for no older one.
    Enlist {
        /// The epoch.
        epoch: u64,
        /// Who is there, unless a younger coordinator is in office.
        reply: Reply<Result<Enlisted, Superseded>>,
    },
    /// What has the node counted, from this chunk on?
    Counted {
        /// The number of the first chunk that is of interest.
        from: u64,
        /// Where the counts go.
        reply: Reply<Page>,
    },
}

impl RemoteMessage for ForemanMsg {
    const NAME: &'static str = "wordcount/foreman";
    const VERSION: u32 = 2;
}

/// The name of a foreman.
pub const FOREMAN: &str = "foreman";

/// The name of a worker, by its number from 1.
pub fn worker_name(number: u32) -> String {
    format!("worker-{number}")
}
