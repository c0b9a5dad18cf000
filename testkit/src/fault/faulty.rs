//! [`Faulty`]: an actor whose messages go through a [`FaultPlan`] first.

use std::{fmt, panic::resume_unwind};

use treewarden_runtime::{Actor, Context, ExitReason, Failure};

use super::plan::{Crash, Fault, FaultPlan, Injected};

/// An actor whose messages go through a [`FaultPlan`] first. Made by [`FaultPlan::wrap`] and [`FaultPlan::factory`].
///
/// To everyone else it is the actor: it has its messages, its labels, its address and its reasons to end.
pub struct Faulty<A: Actor> {
    actor: A,
    plan: FaultPlan<A::Msg>,
}

impl<A: Actor> Faulty<A> {
    pub(super) fn new(actor: A, plan: FaultPlan<A::Msg>) -> Self {
        Self { actor, plan }
    }

    async fn deliver(&mut self, message: A::Msg, cx: &Context<Self>) -> Result<(), Failure> {
        let handled = self.actor.handle(message, &mut cx.wrapped()).await;
        handled.map_err(Into::into)
    }

    fn crash(&self, nth: u64, crash: Crash) -> Result<(), Failure> {
        match crash {
            // Without the panic hook, which would fill the output of a test with what was to happen.
            Crash::Panic => resume_unwind(Box::new(format!("injected at message {nth}"))),
            Crash::Error => Err(Failure::msg(format!("injected at message {nth}"))),
        }
    }
}

impl<A: Actor> Actor for Faulty<A> {
    type Msg = A::Msg;
    type Error = Failure;

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        if let Some(nth) = self.plan.failing_start() {
            self.plan.record(Injected {
                fault: Fault::StartFailed,
                nth,
                label: "start",
                path: cx.path(),
                incarnation: cx.incarnation(),
            });
            return Err(Failure::msg(format!("injected at start {nth}")));
        }
        let started = self.actor.started(&mut cx.wrapped()).await;
        started.map_err(Into::into)
    }

    async fn handle(&mut self, message: A::Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
        let fate = self.plan.fate_of(&message);
        let (nth, label) = (fate.nth, A::label(&message));
        let plan = self.plan.clone();
        let record = |fault| {
            plan.record(Injected {
                fault,
                nth,
                label,
                path: cx.path(),
                incarnation: cx.incarnation(),
            });
        };
        if let Some(time) = fate.delay {
            record(Fault::Delayed(time));
            tokio::time::sleep(time).await;
        }
        if let Some(crash) = fate.crash {
            record(Fault::Crashed(crash));
            return self.crash(nth, crash);
        }
        if fate.is_lost {
            record(Fault::Lost);
            self.plan.keep_lost(message);
            return Ok(());
        }
        if fate.is_dropped {
            record(Fault::Dropped);
            return Ok(());
        }
        if let Some(copy) = fate.duplicate {
            record(Fault::Duplicated);
            self.deliver(copy, cx).await?;
        }
        self.deliver(message, cx).await?;
        if let Some(crash) = fate.crash_after {
            record(Fault::CrashedAfter(crash));
            return self.crash(nth, crash);
        }
        Ok(())
    }

    async fn stopped(&mut self, reason: &ExitReason, cx: &mut Context<Self>) {
        self.actor.stopped(reason, &mut cx.wrapped()).await;
    }

    fn label(message: &A::Msg) -> &'static str {
        A::label(message)
    }
}

impl<A: Actor> fmt::Debug for Faulty<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
