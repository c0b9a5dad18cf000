//! Actors of the ractor crate as children (feature `ractor`).
//!
//! Each incarnation has a sentinel: a ractor actor that takes no messages of its own. The factory spawns its actor linked
//! to the sentinel, and ractor tells the sentinel how the actor ended. What the actor spawned and linked below itself
//! is ractor's business, and ends as ractor ends it.
//!
//! What ractor does not do, this cannot add: the actor's mailbox is unbounded, its reference goes stale with its
//! incarnation, and a panic arrives as an error with the panic's text.

use std::borrow::Cow;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use ::ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::{mpsc, watch};
use treewarden_runtime::{ExitReason, Failure, Panic};

use super::incarnation::{Ending, beyond};
use super::order::{Order, Orders};
use super::task::poll_caught;
use super::{ChildKind, ChildPlace};
use crate::sync::MutexExt;

pub(super) type RactorFuture = Pin<Box<dyn Future<Output = Result<ActorCell, Failure>> + Send>>;
type RactorFactory = dyn FnMut(ActorCell) -> RactorFuture + Send;

pub(super) struct RactorKind {
    place: ChildPlace,
    factory: Arc<Mutex<RactorFactory>>,
    orders: Orders,
}

impl RactorKind {
    pub(super) fn new(place: ChildPlace, factory: Arc<Mutex<RactorFactory>>) -> Self {
        RactorKind {
            place,
            factory,
            orders: Orders::default(),
        }
    }
}

impl ChildKind for RactorKind {
    fn kind(&self) -> Cow<'static, str> {
        "ractor".into()
    }

    fn start(&mut self, incarnation: u64) {
        let mut ending = Ending::new(self.place.observer.clone(), incarnation);
        let runtime = match self.place.system.runtime(&self.place.options.placement) {
            Ok(runtime) => runtime,
            Err(error) => return ending.report(ExitReason::Failed(error.into())),
        };
        let orders = self.orders.renew();
        let factory = self.factory.clone();
        let drain = self.place.options.drain;
        self.place.system.spawn_task(&runtime, async move {
            let reason = run(&factory, orders, drain, &mut ending).await;
            ending.report(reason);
        });
    }

    fn stop(&mut self) {
        self.orders.give(Order::Stop);
    }

    fn kill(&mut self) {
        self.orders.give(Order::Kill);
    }
}

/// Runs one incarnation to its end, whatever that is.
async fn run(
    factory: &Mutex<RactorFactory>,
    orders: watch::Receiver<Order>,
    drain: bool,
    ending: &mut Ending,
) -> ExitReason {
    // An actor ends once; the bound is never felt.
    let (told, ends) = mpsc::channel(1);
    let sentinel = match Actor::spawn(None, Sentinel, told).await {
        Ok((sentinel, _)) => sentinel,
        Err(error) => return ExitReason::Failed(error.into()),
    };
    let reason = supervise(factory, &sentinel, orders, ends, drain, ending).await;
    // Ractor ends what is still linked to it: an actor whose start was interrupted.
    if let Err(error) = sentinel.kill_and_wait(None).await {
        tracing::debug!(%error, "a sentinel had ended before it was asked to");
    }
    reason
}

async fn supervise(
    factory: &Mutex<RactorFactory>,
    sentinel: &ActorRef<u8>,
    mut orders: watch::Receiver<Order>,
    mut ends: mpsc::Receiver<ExitReason>,
    drain: bool,
    ending: &mut Ending,
) -> ExitReason {
    let made = catch_unwind(AssertUnwindSafe(|| (factory.locked())(sentinel.get_cell())));
    let mut starting = match made {
        Ok(future) => Some(future),
        Err(payload) => return ExitReason::Panicked(Panic::from_payload(payload)),
    };
    let actor = tokio::select! {
        biased;
        order = beyond(&mut orders, Order::Run) => return match order {
            Order::Kill => ExitReason::Killed,
            Order::Run | Order::Stop => ExitReason::Shutdown,
        },
        started = poll_caught(&mut starting) => match started {
            Ok(actor) => actor,
            Err(reason) => return reason,
        },
    };
    ending.started();
    let mut obeyed = Order::Run;
    let reason = loop {
        tokio::select! {
            biased;
            end = ends.recv() => break end.unwrap_or(ExitReason::Killed),
            order = beyond(&mut orders, obeyed) => {
                obeyed = order;
                match order {
                    Order::Kill => actor.kill(),
                    Order::Stop if drain && actor.drain().is_ok() => {}
                    Order::Stop | Order::Run => actor.stop(None),
                }
            }
        }
    };
    // Ractor tells of an end shortly before the actor has been cleaned up.
    if actor.wait(None).await.is_err() {
        tracing::debug!("waiting for an end without a limit cannot time out");
    }
    match reason {
        ExitReason::Normal if obeyed != Order::Run => ExitReason::Shutdown,
        reason => reason,
    }
}

/// Hears from ractor how one actor ends.
struct Sentinel;

impl Actor for Sentinel {
    /// Nothing is sent. A plain number is a message with and without ractor's feature `cluster`.
    type Msg = u8;
    type State = mpsc::Sender<ExitReason>;
    type Arguments = mpsc::Sender<ExitReason>;

    async fn pre_start(
        &self,
        _myself: ActorRef<u8>,
        told: mpsc::Sender<ExitReason>,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<u8>,
        event: SupervisionEvent,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let reason = match event {
            SupervisionEvent::ActorTerminated(_, _, why) => match why.as_deref() {
                Some("killed" | "actor_task_cancelled") => ExitReason::Killed,
                _ => ExitReason::Normal,
            },
            SupervisionEvent::ActorFailed(_, error) => {
                ExitReason::Failed(Failure::msg(error.to_string()))
            }
            // Of starts, groups and, with ractor's feature `cluster`, of more.
            _ => return Ok(()),
        };
        // Only the first end is of interest: the factory links one actor.
        let _ = told.try_send(reason);
        Ok(())
    }
}
