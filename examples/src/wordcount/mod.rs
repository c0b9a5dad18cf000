//! Counting words on a cluster whose parts are crashed and killed meanwhile, with a result that is exact.
//!
//! One launcher starts several node processes, on loopback or each in a network namespace. Each has a supervision tree of workers; one of them, the
//! cluster's singleton, has the coordinator too, which reads the files, hands chunks of them to the workers of all nodes,
//! and adds up what comes back. A chunk whose worker crashed or whose node died is handed to another worker. When the
//! coordinator's own node dies, another one begins from the beginning of the input, and is spared what the nodes that are left
//! have counted before: they keep it.
//!
//! | module | what |
//! |---|---|
//! | [`words`], [`tally`], [`plain`] | what a word is, how counts are added, and the plain count to compare with |
//! | [`input`], [`chunk`], [`output`] | which files, how they are cut, and where the counts go |
//! | [`ledger`], [`term`], [`archive`], [`chaos`] | pure: where every chunk is; what one coordinator knows; what nodes keep for the next one; what is broken when |
//! | [`messages`], [`worker`], [`crew`], [`peers`], [`coordinator`] | the actors, and who drives them |
//! | [`node`], [`neighbours`], [`node_process`] | one node, what it sees of the others, and its program |
//! | [`protocol`], [`processes`], [`hosts`], [`progress`], [`launcher`] | the processes, where they live, and who starts, kills and hears them |
//! | [`cli`], [`story`], [`report`], [`board`], [`console`] | what a person types and sees |

pub mod archive;
pub mod blob;
pub mod board;
pub mod chaos;
pub mod chunk;
pub mod cli;
pub mod console;
pub mod coordinator;
pub mod crew;
mod cuts;
pub mod hosts;
pub mod input;
pub mod job_error;
pub mod launcher;
pub mod ledger;
pub mod messages;
pub mod neighbours;
pub mod node;
pub mod node_process;
pub mod output;
pub mod peers;
pub mod plain;
pub mod processes;
pub mod progress;
pub mod protocol;
mod pulse;
pub mod report;
#[cfg(test)]
mod scratch;
pub mod story;
pub mod tally;
pub mod term;
pub mod words;
pub mod worker;
