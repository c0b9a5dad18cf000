//! kameo: one actor with a bounded mailbox.

use kameo::error::Infallible;
use kameo::mailbox;
use kameo::prelude::*;

use super::{CAPACITY, Service, Starting};
use crate::request::Request;

struct Worker;

impl Actor for Worker {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(state: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(state)
    }
}

impl Message<Request> for Worker {
    type Reply = ();

    async fn handle(&mut self, request: Request, _: &mut Context<Self, ()>) {
        request.serve().await;
    }
}

impl Service for ActorRef<Worker> {
    fn submit(&self, request: Request) {
        let _refused = self.tell(request).try_send();
    }
}

pub(super) fn bounded() -> Starting {
    Box::pin(async {
        let worker = Worker::spawn_with_mailbox(Worker, mailbox::bounded(CAPACITY));
        Box::new(worker) as Box<dyn Service>
    })
}

pub(super) fn bounded_by_default() -> Starting {
    Box::pin(async { Box::new(Worker::spawn(Worker)) as Box<dyn Service> })
}
