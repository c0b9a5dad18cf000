//! What kinds with a task of their own for each incarnation have in common: saying how it fares, and hearing orders.

use std::sync::Arc;

use tokio::sync::watch;
use treewarden_runtime::ExitReason;
use treewarden_runtime::host::{Life, Observer};

use super::order::Order;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Running,
    Ended,
}

/// Reports the beginning and the end of an incarnation, the end also when its runtime is dropped under it.
pub(super) struct Ending {
    observer: Arc<dyn Observer>,
    incarnation: u64,
    stage: Stage,
}

impl Ending {
    pub(super) fn new(observer: Arc<dyn Observer>, incarnation: u64) -> Self {
        Ending {
            observer,
            incarnation,
            stage: Stage::Starting,
        }
    }

    /// It is up. Only the first call counts.
    pub(super) fn started(&mut self) {
        if self.stage == Stage::Starting {
            self.stage = Stage::Running;
            self.observer.on_life(Life::Started {
                incarnation: self.incarnation,
            });
        }
    }

    pub(super) fn report(&mut self, reason: ExitReason) {
        let incarnation = self.incarnation;
        let event = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Ended => return,
            Stage::Starting => Life::StartFailed {
                incarnation,
                reason,
            },
            Stage::Running => Life::Exited {
                incarnation,
                reason,
                suspect: None,
            },
        };
        self.observer.on_life(event);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.report(ExitReason::Killed);
    }
}

/// The next order that is stronger than `obeyed`. When nobody is left who could give one, that is an order to stop.
pub(super) async fn beyond(orders: &mut watch::Receiver<Order>, obeyed: Order) -> Order {
    let given = orders.wait_for(|order| *order > obeyed).await;
    match given.map(|order| *order) {
        Ok(order) => order,
        Err(_) if obeyed == Order::Run => Order::Stop,
        Err(_) => std::future::pending().await,
    }
}
