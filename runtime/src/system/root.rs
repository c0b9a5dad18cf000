//! What a system pictures and shuts down: trees, and actors outside any tree.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use super::System;
use crate::{
    cell::{Cell, Core, order},
    host::Hosted,
    reference::{ActorRef, AddressState},
    snapshot::{Inspect, NodeSnapshot},
};

/// How long [`System::shutdown`] lets a single actor come to its end before it is killed.
const ACTOR_SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(5);

/// A tree, or an actor outside any tree: what a system pictures and shuts down.
pub trait Root: Inspect {
    /// Ends it in order, and resolves when it has ended.
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// The actor at this path, which may be anywhere: an [`ActorRef`], and the name of its type of messages.
    fn find(self: Arc<Self>, path: &str) -> Option<(Box<dyn Any + Send>, &'static str)> {
        let _ = path;
        None
    }
}

/// Keeps a root attached to its system. Dropping it detaches the root.
#[derive(Debug)]
pub struct RootAttachment {
    system: System,
    key: usize,
}

impl Drop for RootAttachment {
    fn drop(&mut self) {
        self.system.inner.roots.remove(self.key);
    }
}

impl System {
    /// Makes a tree part of this system's snapshots and of its shutdown, for as long as the attachment lives.
    ///
    /// For those who build supervisors.
    pub fn attach_root(&self, root: Weak<dyn Root>) -> RootAttachment {
        RootAttachment {
            system: self.clone(),
            key: self.attach_entry(root),
        }
    }

    /// Makes an actor outside any tree part of snapshots and of the shutdown.
    pub(super) fn attach_cell<M: Send + 'static>(&self, cell: &Arc<Cell<M>>) -> ActorRef<M> {
        let weak: Weak<dyn Root> = Arc::downgrade(cell) as Weak<dyn Root>;
        cell.core.set_root_key(self.attach_entry(weak));
        if self.is_closed() {
            // Spawned after the shutdown: its first order is to stop before its first message.
            cell.core.give_order(order::SHUTDOWN);
        }
        ActorRef { cell: cell.clone() }
    }

    fn attach_entry(&self, root: Weak<dyn Root>) -> usize {
        let number = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        self.inner.roots.insert(number, root)
    }

    /// An address of this system has ended.
    pub(crate) fn forget(&self, core: &Core) {
        if let Some(key) = core.root_key() {
            self.inner.roots.remove(key);
        }
        if core.is_registered() {
            self.inner.registry.forget(core.id);
            self.inner.groups.forget(core.id);
        }
    }
}

impl<M: Send + 'static> Inspect for Cell<M> {
    fn inspect(&self) -> NodeSnapshot {
        Hosted::inspect(self)
    }
}

impl<M: Send + 'static> Root for Cell<M> {
    fn find(self: Arc<Self>, path: &str) -> Option<(Box<dyn Any + Send>, &'static str)> {
        let is_it = *self.core.path() == *path;
        let reference: ActorRef<M> = ActorRef { cell: self };
        is_it.then(|| -> (Box<dyn Any + Send>, _) {
            (Box::new(reference), std::any::type_name::<M>())
        })
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let (mut monitor, inbox) = crate::monitor::Monitor::new();
            self.watch(inbox);
            self.stop(false);
            let ended = async {
                while self.core.state() != AddressState::Gone && monitor.next().await.is_some() {}
            };
            tokio::pin!(ended);
            if tokio::time::timeout(ACTOR_SHUTDOWN_TIME_MAX, &mut ended)
                .await
                .is_err()
            {
                tracing::warn!(path = %self.core.path(), "did not stop in time; killed");
                self.kill();
                ended.await;
            }
        })
    }
}
