//! What the coordinator and the nodes say to each other, through the cluster.
//!
//! The same messages go to actors on this node and on others. The nodes need no common disk: a chunk travels in its
//! message.

use serde::{Deserialize, Serialize};
use treewarden::{cluster::remote::RemoteMessage, runtime::Reply};

use super::{blob::Blob, chaos::Fault};

/// What a worker is sent.
#[derive(Debug, Serialize, Deserialize)]
pub enum WorkerMsg {
    /// Count the words of `text`; the answer is what [`count_chunk`](super::tally::count_chunk) makes of it.
    Count {
        /// Whole words.
        text: Blob,
        /// What is to happen before the answer.
        fault: Fault,
        /// Where the counts go.
        reply: Reply<Blob>,
    },
}

impl RemoteMessage for WorkerMsg {
    const NAME: &'static str = "wordcount/worker";
    const VERSION: u32 = 1;
}

/// What the foreman of a node is sent.
#[derive(Debug, Serialize, Deserialize)]
pub enum ForemanMsg {
    /// How many workers does the node have? Their names are [`worker_name`] of 1 to that number.
    Workers(Reply<u32>),
}

impl RemoteMessage for ForemanMsg {
    const NAME: &'static str = "wordcount/foreman";
    const VERSION: u32 = 1;
}

/// The name of a foreman.
pub const FOREMAN: &str = "foreman";

/// The name of a worker, by its number from 1.
pub fn worker_name(number: u32) -> String {
    format!("worker-{number}")
}
