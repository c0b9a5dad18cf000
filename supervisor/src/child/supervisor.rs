//! Supervisors as children: a subtree. Its addresses outlive its incarnations.

use std::borrow::Cow;
use std::sync::Arc;

use treewarden_runtime::{AddressState, Failure, NodeSnapshot};

use super::{ChildKind, ChildPlace, Found};
use crate::node::Node;
use crate::supervisor::Supervisor;
use crate::sync::MutexExt;

pub(super) struct SupervisorKind {
    node: Arc<Node>,
}

impl SupervisorKind {
    pub(super) fn build(
        supervisor: &Supervisor,
        place: ChildPlace,
    ) -> Result<Box<dyn ChildKind>, Failure> {
        let ChildPlace {
            system,
            path,
            observer,
            log,
            ..
        } = place;
        let node = Node::build(supervisor, path, system, log, Some(observer))?;
        Ok(Box::new(SupervisorKind { node }))
    }
}

impl ChildKind for SupervisorKind {
    fn kind(&self) -> Cow<'static, str> {
        self.node.kind()
    }

    fn start(&mut self, incarnation: u64) {
        self.node.start_as_child(incarnation);
    }

    fn stop(&mut self) {
        self.node.order_shutdown();
    }

    fn kill(&mut self) {
        self.node.order_kill();
    }

    /// What follows for the supervisor follows for all addresses below it.
    fn mark(&mut self, state: AddressState) {
        self.node.for_each_child(|slot| slot.kind.mark(state));
    }

    fn discard_queue(&mut self) {
        self.node.for_each_child(|slot| slot.kind.discard_queue());
    }

    fn retire(&mut self) {
        self.node.core.locked().retire();
    }

    fn inspect(&self, node: &mut NodeSnapshot) {
        node.children = self.node.inspect_children();
    }

    fn find(&self, path_below: &str) -> Option<Found> {
        self.node.find_below(path_below)
    }
}
