//! ractor: a factory with one worker, a time to live for each job, and a queue that discards its oldest.

use ractor::factory::queues::{DefaultQueue, Priority, PriorityManager, PriorityQueue, Queue};
use ractor::factory::routing::QueuerRouting;
use ractor::factory::{
    DiscardMode, DiscardSettings, Factory, FactoryArguments, FactoryMessage, Job, JobOptions,
    Worker, WorkerBuilder, WorkerId,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{CAPACITY, Service, Starting};
use crate::request::{Class, DEADLINE, Request};

/// ractor wants to print a message.
struct Printable(Request);

impl std::fmt::Debug for Printable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.class.fmt(f)
    }
}

/// The key of a job is its class, from which the queue makes its priority: 0 is the highest.
type Key = usize;

struct Serves;

impl Worker for Serves {
    type Key = Key;
    type Message = Printable;
    type Arguments = ();
    type State = ();

    async fn pre_start(
        &self,
        _: WorkerId,
        _: &ActorRef<FactoryMessage<Key, Printable>>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: WorkerId,
        _: &ActorRef<FactoryMessage<Key, Printable>>,
        Job { key, msg, .. }: Job<Key, Printable>,
        (): &mut (),
    ) -> Result<Key, ActorProcessingErr> {
        msg.0.serve().await;
        Ok(key)
    }
}

struct Builder;

impl WorkerBuilder<Serves, ()> for Builder {
    fn build(&mut self, _: WorkerId) -> (Serves, ()) {
        (Serves, ())
    }
}

#[derive(Default)]
struct ByClass(usize);

impl From<usize> for ByClass {
    fn from(index: usize) -> Self {
        Self(index)
    }
}

impl Priority for ByClass {
    fn get_index(&self) -> usize {
        self.0
    }
}

struct Manager;

impl PriorityManager<Key, ByClass> for Manager {
    fn is_discardable(&self, _: &Key) -> bool {
        true
    }

    fn get_priority(&self, key: &Key) -> Option<ByClass> {
        Some(ByClass(*key))
    }
}

impl Service for ActorRef<FactoryMessage<Key, Printable>> {
    fn submit(&self, request: Request) {
        let key = match request.class {
            Class::Critical => 0,
            Class::Default => 1,
            Class::Sheddable => 2,
        };
        let _gone = self.cast(FactoryMessage::Dispatch(Job {
            key,
            msg: Printable(request),
            options: JobOptions::new(Some(DEADLINE)),
            accepted: None,
        }));
    }
}

fn start<Q: Queue<Key, Printable>>(queue: Q) -> Starting {
    Box::pin(async move {
        let arguments = FactoryArguments::builder()
            .worker_builder(Box::new(Builder))
            .num_initial_workers(1)
            .router(QueuerRouting::default())
            .queue(queue)
            .discard_settings(DiscardSettings::Static {
                limit: CAPACITY,
                mode: DiscardMode::Oldest,
            })
            .build();
        let factory =
            Factory::<Key, Printable, (), Serves, QueuerRouting<Key, Printable>, Q>::default();
        let (factory, _) = Actor::spawn(None, factory, arguments)
            .await
            .expect("no name to clash");
        Box::new(factory) as Box<dyn Service>
    })
}

pub(super) fn fifo() -> Starting {
    start(DefaultQueue::default())
}

pub(super) fn priorities() -> Starting {
    start(PriorityQueue::<_, _, _, _, 3>::new(Manager))
}
