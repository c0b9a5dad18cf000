//! The actors of a node: [`Worker`]s that count, and a [`Foreman`] who knows how many they are.

use std::time::Duration;

use treewarden::runtime::{Actor, Context, Failure};

use super::{
    archive::SharedArchive,
    blob::Blob,
    chaos::Fault,
    messages::{Enlisted, ForemanMsg, WorkerMsg},
    tally::count_chunk,
};

/// How long a worker that was told so keeps a chunk in hand, if nobody kills its node.
const HOLD_TIME_MAX: Duration = Duration::from_secs(10);

/// Counts the words of one chunk after the other.
///
/// It keeps nothing between two chunks, so a crash costs the chunk in its hands and no more; those behind it in the
/// mailbox wait for the next incarnation. What it has counted goes into the archive of its node before it answers.
#[derive(Debug, Default)]
pub struct Worker {
    archive: SharedArchive,
    pace: Duration,
}

impl Worker {
    /// A worker of the node with this archive, which takes so much longer for a chunk than it needs.
    pub fn new(archive: SharedArchive, pace: Duration) -> Self {
        Self { archive, pace }
    }
}

impl Actor for Worker {
    type Msg = WorkerMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: WorkerMsg, _cx: &mut Context<Self>) -> Result<(), Failure> {
        let WorkerMsg::Count {
            ticket,
            text,
            fault,
            reply,
        } = msg
        else {
            panic!("chaos: a panic that was asked for");
        };
        if let Err(superseded) = self.archive.with(|archive| archive.admit(ticket.epoch)) {
            reply.send(Err(superseded));
            return Ok(());
        }
        let counts = Blob::from(count_chunk(&text));
        if !self.pace.is_zero() {
            tokio::time::sleep(self.pace).await;
        }
        // The worst moment for a crash: the work is done, and nobody has heard of it.
        match fault {
            Fault::None => {
                self.archive.with(|archive| archive.keep(ticket, &counts));
                reply.send(Ok(counts));
                Ok(())
            }
            Fault::Panic => panic!("chaos: a panic with a chunk in hand"),
            Fault::Fail => Err(Failure::msg("chaos: an error with a chunk in hand")),
            Fault::Hold => {
                tokio::time::sleep(HOLD_TIME_MAX).await;
                Err(Failure::msg(
                    "chaos: a chunk was held and nobody killed the node",
                ))
            }
        }
    }

    fn label(msg: &WorkerMsg) -> &'static str {
        match msg {
            WorkerMsg::Count { .. } => "count",
            WorkerMsg::Crash => "crash",
        }
    }
}

/// Answers for its node even when all workers are busy.
#[derive(Debug)]
pub struct Foreman {
    workers: u32,
    archive: SharedArchive,
}

impl Foreman {
    /// The foreman of so many workers, and of the archive of their node.
    pub fn new(workers: u32, archive: SharedArchive) -> Self {
        Self { workers, archive }
    }
}

impl Actor for Foreman {
    type Msg = ForemanMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: ForemanMsg, _cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            ForemanMsg::Enlist { epoch, reply } => {
                let former = self.archive.with(|archive| archive.enlist(epoch));
                let workers = self.workers;
                reply.send(former.map(|former| Enlisted { workers, former }));
            }
            ForemanMsg::Counted { from, reply } => {
                reply.send(self.archive.with(|archive| archive.page(from)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use treewarden::runtime::{AskError, System};

    use super::*;
    use crate::wordcount::{
        archive::{Superseded, Ticket},
        tally::Tally,
    };

    const TICKET: Ticket = Ticket {
        epoch: 5,
        chunk: 7,
        print: 9,
    };

    async fn count(
        archive: &SharedArchive,
        text: &[u8],
        fault: Fault,
    ) -> Result<Result<Blob, Superseded>, AskError> {
        let system = System::new("test");
        let worker = system.spawn(Worker::new(archive.clone(), Duration::ZERO));
        let text = Blob::from(text.to_vec());
        worker
            .ask(|reply| WorkerMsg::Count {
                ticket: TICKET,
                text,
                fault,
                reply,
            })
            .await
    }

    #[tokio::test]
    async fn a_worker_answers_with_the_counts_of_its_chunk_and_its_node_keeps_them() {
        let archive = SharedArchive::default();
        let answer = count(&archive, b"a b a", Fault::None).await;
        let counts = answer.unwrap().unwrap();
        let mut tally = Tally::default();
        tally.absorb(&counts).unwrap();
        assert_eq!((tally.count(b"a"), tally.count(b"b")), (2, 1));
        let page = archive.with(|archive| archive.page(0));
        let kept = &page.entries[0];
        assert_eq!((kept.chunk, kept.print), (TICKET.chunk, TICKET.print));
        assert_eq!(kept.counts, counts);
    }

    #[tokio::test]
    async fn a_worker_that_crashes_with_a_chunk_in_hand_neither_answers_nor_keeps_anything() {
        for fault in [Fault::Panic, Fault::Fail] {
            let archive = SharedArchive::default();
            let answer = count(&archive, b"a", fault).await;
            assert_eq!(answer, Err(AskError::CrashedWhileHandling));
            assert_eq!(archive.with(|archive| archive.page(0)).entries, []);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_holds_a_chunk_crashes_if_nobody_kills_its_node() {
        let answer = count(&SharedArchive::default(), b"a", Fault::Hold).await;
        assert_eq!(answer, Err(AskError::CrashedWhileHandling));
    }

    #[tokio::test]
    async fn a_node_works_for_the_youngest_coordinator_alone() {
        let archive = SharedArchive::default();
        let foreman = System::new("test").spawn(Foreman::new(7, archive.clone()));
        let enlist = |epoch| foreman.ask(move |reply| ForemanMsg::Enlist { epoch, reply });
        let enlisted = |former| Ok(Ok(Enlisted { workers: 7, former }));
        assert_eq!(enlist(4).await, enlisted(0));
        assert_eq!(enlist(6).await, enlisted(4));
        assert_eq!(enlist(5).await, Ok(Err(Superseded { by: 6 })));
        let answer = count(&archive, b"a", Fault::None).await;
        assert_eq!(answer, Ok(Err(Superseded { by: 6 })));
    }
}
