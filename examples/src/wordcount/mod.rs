//! Counting words on a cluster whose parts are crashed and killed meanwhile, with a result that is exact.
//!
//! One launcher starts several node processes on loopback. Each has a supervision tree of workers; the first has the
//! coordinator too, which reads the files, hands chunks of them to the workers of all nodes, and adds up what comes
//! back. A chunk is counted when, and only when, its answer has arrived; a chunk whose worker crashed or whose node
//! died is handed to another worker.
//!
//! | module | what |
//! |---|---|
//! | [`words`], [`tally`], [`plain`] | what a word is, how counts are added, and the plain count to compare with |
//! | [`input`], [`chunk`], [`output`] | which files, how they are cut, and where the counts go |
//! | [`ledger`], [`chaos`] | pure: where every chunk is; what is broken when |
//! | [`messages`], [`worker`], [`crew`], [`coordinator`] | the actors, and who drives them |
//! | [`node`], [`neighbours`], [`node_process`] | one node, what it sees of the others, and its program |
//! | [`protocol`], [`processes`], [`progress`], [`launcher`] | the processes, and who starts, kills and hears them |
//! | [`cli`], [`story`], [`report`] | what a person types and sees |
//!
//! The coordinator is a single point of failure: it keeps its state in memory, and nobody takes over if its node dies.

pub mod blob;
pub mod chaos;
pub mod chunk;
pub mod cli;
pub mod coordinator;
pub mod crew;
pub mod input;
pub mod launcher;
pub mod ledger;
pub mod messages;
pub mod neighbours;
pub mod node;
pub mod node_process;
pub mod output;
pub mod plain;
pub mod processes;
pub mod progress;
pub mod protocol;
pub mod report;
#[cfg(test)]
mod scratch;
pub mod story;
pub mod tally;
pub mod words;
pub mod worker;
