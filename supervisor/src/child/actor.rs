//! Actors as children: orders go to the host of the address, which reports to the supervisor directly.

use std::borrow::Cow;
use std::future::Future;

use treewarden_runtime::host::{HostHandle, HostSpec};
use treewarden_runtime::{
    Actor, ActorRef, AddressState, DeadLetterReason, Failure, Init, NodeSnapshot,
};

use super::{ChildKind, ChildPlace, Found};

pub(super) struct ActorKind<M> {
    reference: ActorRef<M>,
    host: HostHandle,
    drain: bool,
    has_started: bool,
}

impl<M: Send + 'static> ActorKind<M> {
    pub(super) fn host<A, F, Fut>(
        place: ChildPlace,
        factory: F,
    ) -> Result<Box<dyn ChildKind>, Failure>
    where
        A: Actor<Msg = M>,
        F: FnMut(Init<M>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<A>, A::Error>> + Send + 'static,
    {
        let drain = place.options.drain;
        let mut spec = HostSpec::new(place.path)
            .mailbox(place.options.mailbox)
            .placement(place.options.placement);
        if let (Some(budget), Some(line)) = (place.options.budget, place.options.specified_at) {
            spec = spec.budget(budget, line);
        }
        let (reference, host) = place
            .system
            .host::<A, _, _>(spec, factory, place.observer)?;
        Ok(Box::new(ActorKind {
            reference,
            host,
            drain,
            has_started: false,
        }))
    }
}

impl<M: Send + 'static> ChildKind for ActorKind<M> {
    fn kind(&self) -> Cow<'static, str> {
        "actor".into()
    }

    fn start(&mut self, _incarnation: u64) {
        // The host counts incarnations as the supervisor does, from 1.
        self.has_started = true;
        self.host.start();
    }

    fn stop(&mut self) {
        self.host.stop(self.drain);
    }

    fn kill(&mut self) {
        self.host.kill();
    }

    fn mark(&mut self, state: AddressState) {
        self.host.mark(state);
    }

    fn discard_queue(&mut self) {
        self.host.discard_queue(DeadLetterReason::GroupRestart);
    }

    fn retire(&mut self) {
        if self.has_started {
            // Refuses messages from here on; the address itself goes a little later, in its own task.
            self.host.mark(AddressState::Stopped);
        }
        self.host.retire();
    }

    fn inspect(&self, node: &mut NodeSnapshot) {
        let now = self.host.inspect();
        node.queue_depth = now.queue_depth;
        node.handled = now.handled;
        node.shed = now.shed;
    }

    fn find(&self, path_below: &str) -> Option<Found> {
        path_below
            .is_empty()
            .then(|| Found::actor(self.reference.clone()))
    }
}
