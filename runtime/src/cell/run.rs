//! The life of an address: incarnations, one after the other, in one task.
//!
//! [`host`] is a future that does not care who polls it. It waits for an order; START runs one incarnation to its end
//! and reports it; RETIRE ends the address. An incarnation is made by its [`Starter`], handles messages until an order,
//! a failure, a panic or a kill ends it, is cleaned up, dropped, and only then reported: the next one never overlaps
//! with it.
//!
//! A poll handles up to [`SLICE_MESSAGES_MAX`] messages or goes on for [`SLICE_TIME_MAX`], whichever ends first, so that
//! a busy actor does not starve the others of its worker.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use super::{
    Cell,
    guarded::{Ended, Guarded},
    order,
};
use crate::{
    actor::Actor,
    ask::AskError,
    context::{Context, Init},
    dead_letter::DeadLetterReason,
    envelope::{Envelope, MessageContext},
    exit::{ExitReason, Suspect},
    host::{Life, Observer},
    mailbox::{Consumer, Signal},
    panics,
    reference::{ActorRef, AddressState},
    scope,
};

/// How many messages one poll handles at most.
const SLICE_MESSAGES_MAX: u32 = 128;
/// How many messages lie between two looks at the clock.
const SLICE_MESSAGES_PER_LOOK: u32 = 32;
/// How long one poll goes on, at the granularity of the looks.
const SLICE_TIME_MAX: Duration = Duration::from_millis(1);

/// Makes the instance of each incarnation. `None`: there is to be none this time (OTP's `ignore`).
pub(crate) trait Starter<A: Actor>: Send {
    fn start(
        &mut self,
        init: Init<A::Msg>,
    ) -> impl Future<Output = Result<Option<A>, A::Error>> + Send;
}

/// An actor that was made beforehand, for its one incarnation.
pub(crate) struct Once<A>(pub(crate) Option<A>);

impl<A: Actor> Starter<A> for Once<A> {
    fn start(
        &mut self,
        _init: Init<A::Msg>,
    ) -> impl Future<Output = Result<Option<A>, A::Error>> + Send {
        std::future::ready(Ok(self.0.take()))
    }
}

/// A function that makes an instance for each incarnation.
pub(crate) struct Factory<F>(pub(crate) F);

impl<A, F, Fut> Starter<A> for Factory<F>
where
    A: Actor,
    F: FnMut(Init<A::Msg>) -> Fut + Send,
    Fut: Future<Output = Result<Option<A>, A::Error>> + Send,
{
    fn start(
        &mut self,
        init: Init<A::Msg>,
    ) -> impl Future<Output = Result<Option<A>, A::Error>> + Send {
        (self.0)(init)
    }
}

/// The whole life of an address. With an observer its incarnations are started by order; without one there is a single
/// incarnation, and the address ends with it.
///
/// The address also ends if the future is dropped, polled or not.
pub(crate) fn host<A, S>(
    cell: Arc<Cell<A::Msg>>,
    mut starter: S,
    observer: Option<Arc<dyn Observer>>,
) -> impl Future<Output = ()> + Send
where
    A: Actor,
    S: Starter<A>,
{
    let deed = Deed(Some(cell));
    async move {
        let cell = deed.claim();
        let mut tenancy = Tenancy::begin(&cell, observer.as_deref());
        loop {
            match tenancy.next_order().await {
                Order::Start => {}
                Order::Retire => break,
            }
            let exit = incarnation::<A, S>(&cell, &mut tenancy, &mut starter).await;
            tenancy.running = None;
            match tenancy.observer {
                Some(observer) => observer.on_life(exit),
                None => break,
            }
        }
        // The tenancy's drop ends the address.
    }
}

/// An address whose task has not been polled yet.
struct Deed<M>(Option<Arc<Cell<M>>>);

impl<M> Deed<M> {
    fn claim(mut self) -> Arc<Cell<M>> {
        self.0.take().expect("a deed is claimed once")
    }
}

impl<M> Drop for Deed<M> {
    fn drop(&mut self) {
        if let Some(cell) = &self.0 {
            drop(Tenancy::begin(cell, None));
        }
    }
}

enum Order {
    Start,
    Retire,
}

/// The right to serve one address. Its drop ends the address, also when the task is dropped with its runtime.
struct Tenancy<'a, M> {
    cell: &'a Cell<M>,
    consumer: Consumer<'a, Envelope<M>>,
    observer: Option<&'a dyn Observer>,
    /// The incarnation that has begun and not been reported yet.
    running: Option<u64>,
}

impl<'a, M> Tenancy<'a, M> {
    fn begin(cell: &'a Cell<M>, observer: Option<&'a dyn Observer>) -> Self {
        let consumer = cell.queue.consume();
        Self {
            cell,
            consumer: consumer.expect("an address is hosted once, when it is made"),
            observer,
            running: None,
        }
    }

    async fn next_order(&mut self) -> Order {
        poll_fn(|cx| {
            let core = &self.cell.core;
            self.cell.queue.signal().register(cx.waker());
            let taken =
                core.take_orders(order::START | order::DISCARD_GROUP | order::DISCARD_STOPPED);
            if taken & order::DISCARD_GROUP != 0 {
                self.discard_queue(DeadLetterReason::GroupRestart);
            }
            if taken & order::DISCARD_STOPPED != 0 {
                self.discard_queue(DeadLetterReason::Stopped);
            }
            if core.orders() & order::RETIRE != 0 {
                Poll::Ready(Order::Retire)
            } else if taken & order::START != 0 {
                Poll::Ready(Order::Start)
            } else {
                self.consumer.publish();
                Poll::Pending
            }
        })
        .await
    }

    /// Discards as many messages as there are now.
    fn discard_queue(&mut self, reason: DeadLetterReason) {
        for _ in 0..self.cell.queue.len() {
            let Some(envelope) = self.consumer.pop() else {
                break;
            };
            self.cell.discard(envelope, reason);
        }
        self.consumer.publish();
    }
}

impl<M> Drop for Tenancy<'_, M> {
    fn drop(&mut self) {
        let cell = self.cell;
        if let Some(incarnation) = self.running {
            // The task was dropped in the middle of an incarnation: its runtime is going away.
            cell.core.set_last_exit(incarnation, ExitReason::Killed);
            if let Some(observer) = self.observer {
                observer.on_life(Life::Exited {
                    incarnation,
                    reason: ExitReason::Killed,
                    suspect: None,
                });
            }
        }
        cell.core.set_state(AddressState::Gone);
        cell.queue.close();
        // A sender may have claimed a slot before the close and be about to fill it.
        while !cell.queue.is_empty() {
            match self.consumer.pop() {
                Some(envelope) => cell.discard(envelope, DeadLetterReason::Gone),
                None => std::thread::yield_now(),
            }
        }
        self.consumer.trim();
        cell.core.system.forget(&cell.core);
        cell.core.tell_gone();
    }
}

/// One incarnation, from its start to its report.
async fn incarnation<A, S>(
    cell: &Arc<Cell<A::Msg>>,
    tenancy: &mut Tenancy<'_, A::Msg>,
    starter: &mut S,
) -> Life
where
    A: Actor,
    S: Starter<A>,
{
    let core = &cell.core;
    let number = core.begin_incarnation();
    tenancy.running = Some(number);
    cell.queue.reopen();

    let mut cx = Context::new(cell.clone(), number);
    let started = {
        let init = Init {
            myself: ActorRef { cell: cell.clone() },
            incarnation: number,
            last_exit: core.last_exit(),
        };
        let start = async {
            let Some(mut actor) = starter.start(init).await? else {
                return Ok(None);
            };
            actor.started(&mut cx).await?;
            Ok(Some(actor))
        };
        Guarded::new(cell, pin!(Some(start))).await
    };
    let mut actor = match started {
        Ended::Returned(Ok(Some(actor))) => actor,
        Ended::Returned(Ok(None)) => {
            return Life::Ignored {
                incarnation: number,
            };
        }
        Ended::Returned(Err(error)) => return start_failed(cell, number, failed::<A>(error)),
        Ended::Killed => return start_failed(cell, number, ExitReason::Killed),
        Ended::Panicked(panic) => return start_failed(cell, number, ExitReason::Panicked(panic)),
    };
    core.set_state(AddressState::Running);
    if let Some(observer) = tenancy.observer {
        observer.on_life(Life::Started {
            incarnation: number,
        });
    }

    let served = {
        let serving = serve(cell, &mut tenancy.consumer, &mut actor, &mut cx);
        Guarded::new(cell, pin!(Some(serving))).await
    };
    let suspect = cx.in_handler.take().map(|label| Suspect {
        sequence: core.handled(),
        label,
        context: cx.message.take().map(|context| *context),
    });
    let (reason, clean_up) = match served {
        Ended::Returned(Ok(reason)) => (reason, true),
        Ended::Returned(Err(error)) => (failed::<A>(error), true),
        Ended::Killed => (ExitReason::Killed, false),
        Ended::Panicked(panic) => (ExitReason::Panicked(panic), false),
    };
    let reason = if clean_up {
        let cleaned = {
            let cleaning = async { actor.stopped(&reason, &mut cx).await };
            Guarded::new(cell, pin!(Some(cleaning))).await
        };
        match cleaned {
            Ended::Returned(()) => reason,
            Ended::Killed => ExitReason::Killed,
            Ended::Panicked(panic) => ExitReason::Panicked(panic),
        }
    } else {
        reason
    };
    let reason = match drop_guarded(actor) {
        Ok(()) => reason,
        // What ended it matters more than what happened in its destructor.
        Err(panic) if reason.is_orderly() => ExitReason::Panicked(panic),
        Err(_) => reason,
    };
    core.set_last_exit(number, reason.clone());
    Life::Exited {
        incarnation: number,
        reason,
        suspect,
    }
}

fn failed<A: Actor>(error: A::Error) -> ExitReason {
    ExitReason::Failed(error.into())
}

fn start_failed<M>(cell: &Cell<M>, incarnation: u64, reason: ExitReason) -> Life {
    cell.core.set_last_exit(incarnation, reason.clone());
    Life::StartFailed {
        incarnation,
        reason,
    }
}

/// Drops the user's value; its destructor may panic.
fn drop_guarded<T>(value: T) -> Result<(), crate::Panic> {
    catch_unwind(AssertUnwindSafe(|| drop(value))).map_err(panics::describe)
}

/// Handles messages until something ends it.
async fn serve<A: Actor>(
    cell: &Cell<A::Msg>,
    consumer: &mut Consumer<'_, Envelope<A::Msg>>,
    actor: &mut A,
    cx: &mut Context<A>,
) -> Result<ExitReason, A::Error> {
    let mut slice = Slice::default();
    loop {
        let orders = cell.core.orders();
        if orders & (order::STOP | order::SHUTDOWN) != 0 && orders & order::DRAIN == 0 {
            return Ok(ordered_exit(orders));
        }
        let Some(Envelope { message, context }) = consumer.pop() else {
            if orders & order::DRAIN != 0 && cell.queue.is_empty() {
                return Ok(ordered_exit(orders));
            }
            Park {
                consumer,
                signal: cell.queue.signal(),
                parked: false,
            }
            .await;
            slice = Slice::default();
            continue;
        };
        if let Some(reason) = context
            .as_deref()
            .and_then(|context| not_to_be_handled(context, cx.incarnation()))
        {
            cell.discard(Envelope { message, context }, reason);
            continue;
        }
        cell.core.begin_handling();
        cx.in_handler = Some(A::label(&message));
        cx.message = context;
        let handled = Handling {
            handler: pin!(actor.handle(message, cx)),
            consumer,
        }
        .await;
        match handled {
            Ok(()) => {
                if scope::has_orphans() {
                    scope::settle_orphans(AskError::NoReply);
                }
            }
            Err(error) => {
                scope::settle_orphans(AskError::CrashedWhileHandling);
                return Err(error);
            }
        }
        cx.in_handler = None;
        if slice.is_spent() {
            yield_now().await;
            slice = Slice::default();
        }
    }
}

fn ordered_exit(orders: u32) -> ExitReason {
    if orders & order::SHUTDOWN != 0 {
        ExitReason::Shutdown
    } else {
        ExitReason::Normal
    }
}

/// Why a message is passed over when its turn comes, if it is.
fn not_to_be_handled(context: &MessageContext, incarnation: u64) -> Option<DeadLetterReason> {
    if context
        .slot
        .as_ref()
        .is_some_and(|slot| slot.incarnation() != incarnation)
    {
        return Some(DeadLetterReason::StaleMonitor);
    }
    match context.deadline() {
        Some(deadline) if deadline <= tokio::time::Instant::now() => {
            Some(DeadLetterReason::Expired)
        }
        _ => None,
    }
}

/// A handler at work. While it is suspended, senders see all the room that there is.
struct Handling<'h, 'q, F, T> {
    handler: Pin<&'h mut F>,
    consumer: &'h mut Consumer<'q, T>,
}

impl<F: Future, T> Future for Handling<'_, '_, F, T> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        let polled = self.handler.as_mut().poll(cx);
        if polled.is_pending() {
            self.consumer.publish();
        }
        polled
    }
}

/// Sleeps until there may be a message or an order. Wake-ups can be spurious.
struct Park<'h, 'q, T> {
    consumer: &'h mut Consumer<'q, T>,
    signal: &'h Signal,
    parked: bool,
}

impl<T> Future for Park<'_, '_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<()> {
        if self.parked {
            self.signal.unpark();
            return Poll::Ready(());
        }
        self.parked = self.consumer.park();
        if self.parked {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

/// What one poll may still do.
#[derive(Default)]
struct Slice {
    messages: u32,
    began: Option<Instant>,
}

impl Slice {
    /// Counts a message.
    #[inline]
    fn is_spent(&mut self) -> bool {
        self.messages += 1;
        self.messages.is_multiple_of(SLICE_MESSAGES_PER_LOOK) && self.is_spent_by_the_clock()
    }

    #[cold]
    fn is_spent_by_the_clock(&mut self) -> bool {
        if self.messages >= SLICE_MESSAGES_MAX {
            return true;
        }
        // Real time on purpose: this is about the worker thread, not about what the application calls time.
        self.began.get_or_insert_with(Instant::now).elapsed() >= SLICE_TIME_MAX
    }
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
