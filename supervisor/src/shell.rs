//! The shell of one supervisor: it tells the machine what happened, and does what the machine says.
//!
//! Rules:
//!
//! - A running supervisor is one tokio task ([`spawn`]). It alone feeds the machine while it runs. Whoever else looks at
//!   the children (snapshots, look-ups) locks the [core](crate::core) for the time of a look.
//! - Everything that reaches the supervisor comes through its inbox, in one order. The inbox has no bound, and needs
//!   none: a child has at most two events under way, and a caller one call.
//! - Orders to children are given with the core locked. They only wake tasks, so nothing comes back while it is locked.
//!   Locks are taken from parents to children, never the other way.
//! - The children of a subtree outlive its incarnations: when a supervisor is restarted, its children are the same
//!   addresses, so references into the subtree stay good.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use treewarden_runtime::ExitReason;

use crate::core::{End, Message};
use crate::machine::Event;
use crate::node::{Node, State};
use crate::sync::MutexExt;

/// How many messages are handled with one lock of the core.
const BATCH: usize = 64;

/// Starts the next incarnation of a supervisor: one task, until it has ended. Nothing happens if it runs already.
pub(crate) fn spawn(node: Arc<Node>) {
    let Some(inbox) = node.core.locked().begin(&node) else {
        return;
    };
    node.set_state(State::Starting);
    let system = node.system.clone();
    let mut incarnation = Incarnation {
        node,
        inbox: Some(inbox),
    };
    system.spawn_task(&Handle::current(), async move {
        let end = incarnation.run().await;
        incarnation.finish(end);
    });
}

/// A running supervisor. When it is dropped before its end, with its runtime, it counts as killed.
struct Incarnation {
    node: Arc<Node>,
    inbox: Option<mpsc::UnboundedReceiver<Message>>,
}

impl Incarnation {
    async fn run(&mut self) -> End {
        let node = &*self.node;
        let Some(inbox) = self.inbox.as_mut() else {
            return End::of(ExitReason::Killed);
        };
        let mut batch = Vec::with_capacity(BATCH);
        let mut next_timer = {
            let mut core = node.core.locked();
            let now = core.now();
            core.machine.handle(Event::Begin, now);
            if let Some(cause) = core.obey(node) {
                return core.end_of(node, cause);
            }
            core.next_timer()
        };
        loop {
            tokio::select! {
                biased;
                // The node holds a sender, so that the inbox is never closed.
                _ = inbox.recv_many(&mut batch, BATCH) => {}
                () = sleep_until(next_timer) => {}
            }
            let mut core = node.core.locked();
            for message in batch.drain(..) {
                core.handle(node, message);
                if let Some(cause) = core.obey(node) {
                    return core.end_of(node, cause);
                }
            }
            core.fire_due_timers();
            if let Some(cause) = core.obey(node) {
                return core.end_of(node, cause);
            }
            next_timer = core.next_timer();
        }
    }

    fn finish(&mut self, end: End) {
        let Some(inbox) = self.inbox.take() else {
            return;
        };
        let node = &self.node;
        {
            let mut core = node.core.locked();
            core.close(inbox);
            if node.is_root() {
                core.retire();
            }
        }
        node.announce_end(end);
    }
}

impl Drop for Incarnation {
    fn drop(&mut self) {
        self.finish(End::of(ExitReason::Killed));
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
