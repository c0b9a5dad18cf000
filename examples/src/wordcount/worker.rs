//! The actors of a node: [`Worker`]s that count, and a [`Foreman`] who knows how many they are.

use treewarden::runtime::{Actor, Context, Failure};

use super::{
    chaos::Fault,
    messages::{ForemanMsg, WorkerMsg},
    tally::count_chunk,
};

/// Counts the words of one chunk after the other.
///
/// It keeps nothing between two chunks, so a crash costs the chunk in its hands and no more; those behind it in the
/// mailbox wait for the next incarnation.
#[derive(Debug, Default)]
pub struct Worker;

impl Actor for Worker {
    type Msg = WorkerMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: WorkerMsg, _cx: &mut Context<Self>) -> Result<(), Failure> {
        let WorkerMsg::Count { text, fault, reply } = msg;
        let counts = count_chunk(&text);
        // The worst moment for a crash: the work is done, and nobody has heard of it.
        match fault {
            Fault::None => reply.send(counts.into()),
            Fault::Panic => panic!("chaos: a panic with a chunk in hand"),
            Fault::Fail => return Err(Failure::msg("chaos: an error with a chunk in hand")),
            Fault::Hold => std::future::pending().await,
        }
        Ok(())
    }

    fn label(_: &WorkerMsg) -> &'static str {
        "count"
    }
}

/// Answers for its node even when all workers are busy.
#[derive(Debug)]
pub struct Foreman {
    workers: u32,
}

impl Foreman {
    /// The foreman of so many workers.
    pub fn new(workers: u32) -> Self {
        Self { workers }
    }
}

impl Actor for Foreman {
    type Msg = ForemanMsg;
    type Error = Failure;

    async fn handle(&mut self, msg: ForemanMsg, _cx: &mut Context<Self>) -> Result<(), Failure> {
        let ForemanMsg::Workers(reply) = msg;
        reply.send(self.workers);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use treewarden::runtime::{AskError, System};

    use super::*;
    use crate::wordcount::{blob::Blob, tally::Tally};

    async fn count(text: &[u8], fault: Fault) -> Result<Blob, AskError> {
        let system = System::new("test");
        let worker = system.spawn(Worker);
        let text = Blob::from(text.to_vec());
        worker
            .ask(|reply| WorkerMsg::Count { text, fault, reply })
            .await
    }

    #[tokio::test]
    async fn a_worker_answers_with_the_counts_of_its_chunk() {
        let counts = count(b"a b a", Fault::None).await.unwrap();
        let mut tally = Tally::default();
        tally.absorb(&counts).unwrap();
        assert_eq!((tally.count(b"a"), tally.count(b"b")), (2, 1));
    }

    #[tokio::test]
    async fn a_worker_that_crashes_with_a_chunk_in_hand_does_not_answer() {
        for fault in [Fault::Panic, Fault::Fail] {
            let answer = count(b"a", fault).await;
            assert_eq!(answer, Err(AskError::CrashedWhileHandling));
        }
    }

    #[tokio::test]
    async fn a_foreman_knows_how_many_workers_there_are() {
        let foreman = System::new("test").spawn(Foreman::new(7));
        assert_eq!(foreman.ask(ForemanMsg::Workers).await, Ok(7));
    }
}
