//! Tasks that somebody else has spawned, as children: known by their `JoinHandle`.
//!
//! An order to stop or to kill aborts the task, which lands at its next await; the end is reported when the handle says that the task has ended.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use treewarden_runtime::{ExitReason, Failure, Panic};

use super::incarnation::{Ending, beyond};
use super::order::{Order, Orders};
use super::{ChildKind, ChildPlace};
use crate::sync::MutexExt;

pub(super) type Handle<E> = JoinHandle<Result<(), E>>;
type Spawner<E> = dyn FnMut() -> Handle<E> + Send;

pub(super) struct JoinKind<E> {
    place: ChildPlace,
    spawner: Arc<Mutex<Spawner<E>>>,
    orders: Orders,
}

impl<E> JoinKind<E> {
    pub(super) fn new(place: ChildPlace, spawner: Arc<Mutex<Spawner<E>>>) -> Self {
        JoinKind {
            place,
            spawner,
            orders: Orders::default(),
        }
    }
}

impl<E: Into<Failure> + Send + 'static> ChildKind for JoinKind<E> {
    fn kind(&self) -> Cow<'static, str> {
        "joined task".into()
    }

    fn start(&mut self, incarnation: u64) {
        let mut ending = Ending::new(self.place.observer.clone(), incarnation);
        let runtime = match self.place.system.runtime(&self.place.options.placement) {
            Ok(runtime) => runtime,
            Err(error) => return ending.report(ExitReason::Failed(error.into())),
        };
        let (spawner, orders) = (self.spawner.clone(), self.orders.renew());
        self.place.system.spawn_task(&runtime, async move {
            let reason = run(&spawner, orders, &mut ending).await;
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

/// Aborts the task when it is dropped with its runtime.
struct Joined<E>(Handle<E>);

impl<E> Drop for Joined<E> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run<E: Into<Failure>>(
    spawner: &Mutex<Spawner<E>>,
    mut orders: watch::Receiver<Order>,
    ending: &mut Ending,
) -> ExitReason {
    let spawned = catch_unwind(AssertUnwindSafe(|| (spawner.locked())()));
    let mut joined = match spawned {
        Ok(handle) => Joined(handle),
        Err(payload) => return ExitReason::Panicked(Panic::from_payload(payload)),
    };
    ending.started();
    let mut obeyed = Order::Run;
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut joined.0 => break ended,
            order = beyond(&mut orders, obeyed) => {
                obeyed = order;
                joined.0.abort();
            }
        }
    };
    reason_of(ended, obeyed)
}

fn reason_of<E: Into<Failure>>(
    ended: Result<Result<(), E>, JoinError>,
    obeyed: Order,
) -> ExitReason {
    match (ended, obeyed) {
        (Ok(Ok(())), Order::Run) => ExitReason::Normal,
        (Ok(Ok(())), _) => ExitReason::Shutdown,
        (Ok(Err(error)), _) => ExitReason::Failed(error.into()),
        (Err(error), obeyed) => match (error.try_into_panic(), obeyed) {
            (Ok(payload), _) => ExitReason::Panicked(Panic::from_payload(payload)),
            (Err(_), Order::Stop) => ExitReason::Shutdown,
            // Aborted by somebody else, or with its runtime.
            (Err(_), Order::Run | Order::Kill) => ExitReason::Killed,
        },
    }
}
