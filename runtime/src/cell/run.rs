//! The life of an address: incarnations, one after the other, in one task.
//!
//! [`host`] is a future that does not care who polls it. It waits for an order; START runs one incarnation to its end
//! and reports it; RETIRE ends the address. An incarnation is made by its [`Starter`], handles messages until an order,
//! a failure, a panic or a kill ends it, is cleaned up, dropped, and only then reported: the next one never overlaps
//! with it.
//!
//! How long a poll goes on is the business of its `slice`, so that a busy actor does not starve the others of its worker.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{
    Cell,
    guarded::{Ended, Guarded},
    handling::{Cut, Handling},
    order,
    park::Park,
    slice::{Slice, YieldNow},
    starter::Starter,
    tenancy::{Deed, Order, Tenancy},
};
use crate::{
    actor::Actor,
    context::{Context, Init},
    dead_letter::DeadLetterReason,
    envelope::{Envelope, MessageContext},
    exit::{ExitReason, Suspect},
    host::Life,
    panics,
    reference::ActorRef,
    scope,
    watchdog::Watch,
};

/// The whole life of an address. If the cell has an observer its incarnations are started by order; without one there is a
/// single incarnation, and the address ends with it.
///
/// The address also ends if the future is dropped, polled or not.
pub(crate) fn host<A, S, W>(
    cell: Arc<Cell<A::Msg>>,
    mut starter: S,
    watch: W,
) -> impl Future<Output = ()> + Send
where
    A: Actor,
    S: Starter<A>,
    W: Watch,
{
    let deed = Deed(Some((cell, watch)));
    async move {
        let (cell, watch) = deed.claim();
        let mut tenancy = Tenancy::begin(&cell, watch);
        loop {
            match tenancy.next_order().await {
                Order::Start => {}
                Order::Retire => break,
            }
            let Some(life) = incarnation::<A, S, W>(&mut tenancy, &mut starter).await else {
                break; // given up: the address belongs to another
            };
            tenancy.runs = false;
            if !cell.core.report(life) {
                break;
            }
        }
        // The tenancy's drop ends the address, unless it was given up.
    }
}

/// An instance and its surroundings.
struct Instance<A: Actor> {
    actor: A,
    cx: Context<A>,
}

/// One incarnation, from its start to its report.
///
/// The future of this function is most of what an idle actor weighs, so little is kept across its awaits.
fn incarnation<'t, A, S, W>(
    tenancy: &'t mut Tenancy<'_, A::Msg, W>,
    starter: &'t mut S,
) -> impl Future<Output = Option<Life>> + Send + 't
where
    A: Actor,
    S: Starter<A>,
    W: Watch,
{
    tenancy.runs = true;
    tenancy.cell.core.begin_incarnation();
    tenancy.cell.queue.reopen();
    async move {
        let cell = tenancy.cell;
        let making = async {
            let myself = ActorRef { cell: cell.clone() };
            starter.start(Init { myself }).await
        };
        let mut instance = match Guarded::new(cell, making).await {
            Ended::Returned(Ok(Some(actor))) => Instance::new(actor, cell.clone()),
            Ended::Returned(Ok(None)) => return Some(ignored(cell)),
            Ended::Returned(Err(error)) => return Some(start_failed(cell, failed::<A>(error))),
            Ended::Killed => return Some(start_failed(cell, ExitReason::Killed)),
            Ended::Panicked(panic) => {
                return Some(start_failed(cell, ExitReason::Panicked(panic)));
            }
        };
        let Instance { actor, cx } = &mut instance;
        match Guarded::new(cell, async { actor.started(cx).await }).await {
            Ended::Returned(Ok(())) => tenancy.report_start(),
            Ended::Returned(Err(error)) => return Some(instance.start_failed(failed::<A>(error))),
            Ended::Killed => return Some(instance.start_failed(ExitReason::Killed)),
            Ended::Panicked(panic) => {
                return Some(instance.start_failed(ExitReason::Panicked(panic)));
            }
        }
        let mut reason = match Guarded::new(cell, serve(tenancy, &mut instance)).await {
            Ended::Returned(Ok(reason)) => reason,
            Ended::Returned(Err(Cut::Failed(error))) => failed::<A>(error),
            Ended::Returned(Err(Cut::Overran(error))) => {
                scope::end_cut();
                ExitReason::Failed(error.into())
            }
            Ended::Returned(Err(Cut::GivenUp)) => return instance.given_up(),
            Ended::Killed => return Some(instance.exited(ExitReason::Killed)),
            Ended::Panicked(panic) => {
                return match tenancy.recover() {
                    true => Some(instance.exited(ExitReason::Panicked(panic))),
                    false => instance.given_up(),
                };
            }
        };
        let Instance { actor, cx } = &mut instance;
        match Guarded::new(cell, async { actor.stopped(&reason, cx).await }).await {
            Ended::Returned(()) => {}
            Ended::Killed => reason = ExitReason::Killed,
            Ended::Panicked(panic) => reason = ExitReason::Panicked(panic),
        }
        Some(instance.exited(reason))
    }
}

fn ignored<M>(cell: &Cell<M>) -> Life {
    Life::Ignored {
        incarnation: cell.core.incarnation(),
    }
}

fn start_failed<M>(cell: &Cell<M>, reason: ExitReason) -> Life {
    let incarnation = cell.core.incarnation();
    cell.core.set_last_exit(incarnation, reason.clone());
    Life::StartFailed {
        incarnation,
        reason,
    }
}

impl<A: Actor> Instance<A> {
    fn new(actor: A, cell: Arc<Cell<A::Msg>>) -> Self {
        Self {
            actor,
            cx: Context::new(cell),
        }
    }

    /// Drops the instance, and says how its start ended.
    fn start_failed(self, reason: ExitReason) -> Life {
        let Self { actor, cx } = self;
        let reason = drop_actor(actor, reason);
        start_failed(&cx.cell, reason)
    }

    /// Drops the instance of an incarnation that was given up long ago, and has come back.
    fn given_up(self) -> Option<Life> {
        scope::end_cut();
        let Self { actor, cx } = self;
        drop_actor(actor, ExitReason::Hung);
        tracing::info!(path = %cx.cell.core.path(), "a handler that was given up has come back; its state has been dropped");
        None
    }

    /// Drops the instance, and says how it ended.
    fn exited(self, reason: ExitReason) -> Life {
        let Self { actor, mut cx } = self;
        let core = &cx.cell.core;
        core.no_longer_runs();
        // If its handler has returned, this has been told before.
        if let Some(context) = &cx.message {
            context.settle(false);
        }
        let suspect = cx.in_handler.map(|label| Suspect {
            sequence: core.handled(),
            label,
            context: cx.message.take().map(Arc::unwrap_or_clone),
        });
        let reason = drop_actor(actor, reason);
        let incarnation = core.incarnation();
        core.set_last_exit(incarnation, reason.clone());
        cx.cell.settle_stash();
        Life::Exited {
            incarnation,
            reason,
            suspect,
        }
    }
}

/// Drops the user's state; its destructor may panic.
fn drop_actor<A>(actor: A, reason: ExitReason) -> ExitReason {
    match catch_unwind(AssertUnwindSafe(|| drop(actor))) {
        Ok(()) => reason,
        // What ended it matters more than what happened in its destructor.
        Err(_) if !reason.is_orderly() => reason,
        Err(payload) => ExitReason::Panicked(panics::describe(payload)),
    }
}

fn failed<A: Actor>(error: A::Error) -> ExitReason {
    ExitReason::Failed(error.into())
}

/// Handles messages until something ends it.
#[expect(
    clippy::manual_async_fn,
    reason = "an async function keeps room for its arguments twice"
)]
fn serve<'t, A: Actor, W: Watch>(
    tenancy: &'t mut Tenancy<'_, A::Msg, W>,
    instance: &'t mut Instance<A>,
) -> impl Future<Output = Result<ExitReason, Cut<A::Error>>> + Send + 't {
    async move {
        let mut slice = Slice::first(tenancy.messages_per_poll_max());
        loop {
            match take_next(tenancy, &mut instance.cx) {
                Next::Handle => {
                    slice.begin_message();
                    handle(tenancy, instance).await?;
                    instance.cx.settle_message();
                }
                // In a box, because it is rare, and whatever is awaited here is room in every actor.
                Next::Replay => {
                    slice.begin_message();
                    Box::pin(replay(tenancy, instance)).await?;
                    instance.cx.settle_message();
                }
                // Discarding takes time as well, so it counts.
                Next::PassOver => slice.begin_message(),
                Next::Park => {
                    if slice.expects_more() {
                        tenancy.consumer.publish();
                        YieldNow::default().await;
                    } else {
                        Park::new(tenancy).await;
                    }
                    slice = slice.next();
                    continue;
                }
                Next::End => return Ok(tenancy.ordered_exit()),
            }
            instance.cx.in_handler = None;
            if slice.is_spent() {
                YieldNow::default().await;
                slice = slice.next_of_many();
            }
        }
    }
}

/// What to do next.
enum Next {
    /// The message that lies ready in the queue.
    Handle,
    /// What was unstashed.
    Replay,
    /// Nothing: there was a message that is not to be handled.
    PassOver,
    Park,
    End,
}

/// Orders first, then the queue.
///
/// A message is looked at where it lies, and moved once: from its slot into the future of its handler.
#[inline(always)]
fn take_next<A: Actor, W: Watch>(
    tenancy: &mut Tenancy<'_, A::Msg, W>,
    cx: &mut Context<A>,
) -> Next {
    let cell = tenancy.cell;
    let orders = cell.core.orders();
    if orders & (order::STOP | order::SHUTDOWN | order::REPLAY) != 0
        && let Some(next) = next_by_order(orders)
    {
        return next;
    }
    let Tenancy {
        consumer,
        inherited,
        ..
    } = tenancy;
    let looked = consumer.look(|envelope| {
        if envelope.context.is_some() {
            admit(cell, cx, inherited, &mut envelope.context)?;
        } else if cx.message.is_some() {
            // Most messages have none, and nor had the one before: then nothing is to be stored.
            cx.message = None;
            *inherited = None;
        }
        begin(cell, cx, &envelope.message);
        Ok(())
    });
    match looked {
        Some(Ok(())) => Next::Handle,
        Some(Err(reason)) => tenancy.pass_over(reason),
        None if orders & order::DRAIN != 0 && cell.queue.is_empty() => Next::End,
        None => Next::Park,
    }
}

/// What the orders say; `None`: to go on.
#[cold]
fn next_by_order(orders: u32) -> Option<Next> {
    if orders & (order::STOP | order::SHUTDOWN) != 0 && orders & order::DRAIN == 0 {
        Some(Next::End)
    } else if orders & order::REPLAY != 0 {
        Some(Next::Replay)
    } else {
        None
    }
}

/// Takes the context of a message that is still to be handled, and puts it where the handler finds it. Else: why it is not.
#[cold]
fn admit<A: Actor>(
    cell: &Cell<A::Msg>,
    cx: &mut Context<A>,
    inherited: &mut Option<Arc<MessageContext>>,
    context: &mut Option<Arc<MessageContext>>,
) -> Result<(), DeadLetterReason> {
    let incarnation = cell.core.incarnation();
    if let Some(reason) = context
        .as_ref()
        .and_then(|context| not_to_be_handled(context, incarnation))
    {
        return Err(reason);
    }
    // If it has a slot, that is free for the next one from here on, and nothing else travels with it.
    let context = context.take().filter(|context| context.slot.is_none());
    inherited.clone_from(&context);
    cx.message = context;
    Ok(())
}

/// The handler of this message is next.
#[inline(always)]
fn begin<A: Actor>(cell: &Cell<A::Msg>, cx: &mut Context<A>, message: &A::Msg) {
    cell.core.begin_handling();
    cx.in_handler = Some(A::label(message));
}

/// The future of the handler of the message that was looked at, with its surroundings.
#[inline(always)]
fn handle<'t, A: Actor, W: Watch>(
    tenancy: &'t mut Tenancy<'_, A::Msg, W>,
    instance: &'t mut Instance<A>,
) -> impl Future<Output = Result<(), Cut<A::Error>>> + Send + 't {
    tenancy.watch.begin(instance.cx.in_handler);
    let Envelope { message, context } = tenancy.consumer.take();
    debug_assert!(context.is_none(), "a handler's context is in its `Context`");
    // Spares the run loop a destructor.
    std::mem::forget(context);
    Handling {
        handler: instance.actor.handle(message, &mut instance.cx),
        tenancy,
    }
}

/// Handles the next of the messages that were unstashed.
async fn replay<A: Actor, W: Watch>(
    tenancy: &mut Tenancy<'_, A::Msg, W>,
    instance: &mut Instance<A>,
) -> Result<(), Cut<A::Error>> {
    let cell = tenancy.cell;
    let Instance { actor, cx } = instance;
    cx.message = None;
    tenancy.inherited = None;
    let Some(mut envelope) = cell.next_replayed() else {
        return Ok(());
    };
    if let Err(reason) = admit(cell, cx, &mut tenancy.inherited, &mut envelope.context) {
        cell.discard(envelope, reason);
        return Ok(());
    }
    begin(cell, cx, &envelope.message);
    tenancy.watch.begin(cx.in_handler);
    let handler = actor.handle(envelope.message, cx);
    Handling { handler, tenancy }.await
}

impl<M: Send + 'static, W: Watch> Tenancy<'_, M, W> {
    /// Discards the message that was looked at.
    #[cold]
    fn pass_over(&mut self, reason: DeadLetterReason) -> Next {
        if let Some(envelope) = self.consumer.pop() {
            self.cell.discard(envelope, reason);
        }
        Next::PassOver
    }

    fn ordered_exit(&self) -> ExitReason {
        if self.cell.core.orders() & order::SHUTDOWN != 0 {
            ExitReason::Shutdown
        } else {
            ExitReason::Normal
        }
    }
}

/// Why a message is passed over when its turn comes, if it is.
fn not_to_be_handled(context: &MessageContext, incarnation: u64) -> Option<DeadLetterReason> {
    if let Some(slot) = &context.slot
        && (slot.0.incarnation() != incarnation || slot.0.is_void())
    {
        return Some(DeadLetterReason::Stale);
    }
    if context.sentence.is_some() {
        return context.sentence;
    }
    match context.deadline() {
        Some(deadline) if deadline <= tokio::time::Instant::now() => {
            Some(DeadLetterReason::Expired)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Failure, System, cell::starter::Once};

    struct Small(u64);

    impl Actor for Small {
        type Msg = u64;
        type Error = Failure;

        async fn handle(&mut self, n: u64, _: &mut Context<Self>) -> Result<(), Failure> {
            self.0 += n;
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_actor_that_became_idle_gives_the_memory_of_its_mailbox_back() {
        let actor = System::new("test").spawn(Small(0));
        let holds_memory = || async {
            // The run loop parks, and its consumer is looked at in its place.
            tokio::task::yield_now().await;
            actor.cell.queue.holds_memory()
        };
        assert!(!holds_memory().await);
        actor.tell(1).await.unwrap();
        assert!(holds_memory().await);
        tokio::time::sleep(Duration::from_secs(4)).await;
        actor.tell(2).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(holds_memory().await, "it was used since the last sweep");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!holds_memory().await);
        actor.tell(3).await.unwrap();
        assert!(holds_memory().await);
    }

    /// Tokio allocates tasks in steps of 128 bytes; up to 272 bytes of future fit into 384, so that there is room for
    /// some state: each byte of it counts twice, before and after the start.
    #[tokio::test]
    async fn a_small_actor_fits_into_a_small_task() {
        let actor = System::new("test").spawn(Small(0));
        let cell = actor.cell.clone();
        let hosted = host::<Small, _, _>(cell, Once(Some(Small(0))), crate::watchdog::Unwatched);
        assert!(size_of_val(&hosted) <= 248, "{}", size_of_val(&hosted));
        assert!(size_of::<Cell<u64>>() <= 216, "{}", size_of::<Cell<u64>>());
        // It was never the host of that cell.
        std::mem::forget(hosted);
    }
}
