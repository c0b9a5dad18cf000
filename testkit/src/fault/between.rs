//! Faults on the way to an actor that cannot be wrapped: because it belongs to somebody else, or because the faults are
//! to befall one of its senders alone.

use std::any::type_name;

use treewarden_runtime::{Actor, ActorRef, Context, Failure, System};

use super::plan::{Fault, FaultPlan, Injected};

/// Sends on what it is sent.
struct Way<M: Send + 'static> {
    target: ActorRef<M>,
    plan: FaultPlan<M>,
}

impl<M: Send + 'static> Actor for Way<M> {
    type Msg = M;
    type Error = Failure;

    async fn handle(&mut self, message: M, cx: &mut Context<Self>) -> Result<(), Failure> {
        let told = match cx.message().cloned() {
            Some(context) => self.target.tell_with(message, context).await,
            None => self.target.tell(message).await,
        };
        if told.is_err() {
            self.plan.record(Injected {
                fault: Fault::NotAccepted,
                nth: self.plan.messages(),
                label: type_name::<M>(),
                path: self.target.path(),
                incarnation: self.target.incarnation(),
            });
        }
        Ok(())
    }
}

impl<M: Send + 'static> FaultPlan<M> {
    /// A reference through which messages go to `target`, one after the other, with the faults of this plan on the way.
    ///
    /// It has a mailbox of its own: that it accepts a message does not say that the target will. What the target does not
    /// accept is recorded as [`Fault::NotAccepted`]. A crash ends the way, not the target.
    pub fn between(&self, system: &System, target: &ActorRef<M>) -> ActorRef<M> {
        system.spawn(self.wrap(Way {
            target: target.clone(),
            plan: self.clone(),
        }))
    }
}
