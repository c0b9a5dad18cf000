//! Payments: the provider, behind a time-out and a breaker that all partitions share.
//!
//! A partition charges one order after the other, so the mailbox is the queue in front of the provider. It sheds what has waited too long:
//! whoever asked has given up, or is about to.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use treewarden::prelude::*;
use treewarden::resilience::breaker::{Breaker, BreakerConfig, CallError};
use treewarden::runtime::Shedding;
use treewarden::supervisor::PartitionSupervisor;

use super::provider::Provider;

const PARTITIONS: usize = 4;
const PROVIDER_TIME_MAX: Duration = Duration::from_millis(250);

pub(super) enum Msg {
    /// Charges an order. Charging the same one again is harmless.
    Charge {
        order: u64,
        cents: u64,
        reply: Reply<Charge>,
    },
    Crash,
}

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    Paid,
    /// The provider was not asked, or refused.
    NotPaid,
    /// The provider did not answer in time.
    Unknown,
}

struct Payments {
    provider: Arc<Provider>,
    breaker: Arc<Breaker>,
}

pub(super) fn partitions(provider: &Arc<Provider>) -> Result<PartitionSupervisor, Failure> {
    let breaker = BreakerConfig::default().open_for(Duration::from_secs(1));
    let breaker = Arc::new(breaker.build()?);
    let provider = provider.clone();
    let partitions = PartitionSupervisor::new("payments", PARTITIONS, move |number| {
        let (provider, breaker) = (provider.clone(), breaker.clone());
        Child::actor(number.to_string(), move |_| {
            let (provider, breaker) = (provider.clone(), breaker.clone());
            async move { Ok(Payments { provider, breaker }) }
        })
        .mailbox(Mailbox::bounded(64).shed(Shedding::adaptive()))
        .drain(true)
    });
    Ok(partitions.with(|supervisor| supervisor.intensity(20, Duration::from_secs(10))))
}

impl Actor for Payments {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            Msg::Charge {
                order,
                cents,
                reply,
            } => {
                let charge = self.charge(order, cents).await;
                reply.send(charge);
            }
            Msg::Crash => return Err(Failure::msg("somebody asked for a crash")),
        }
        Ok(())
    }
}

impl Payments {
    async fn charge(&self, order: u64, cents: u64) -> Charge {
        // The time-out inside the breaker: a provider that hangs opens it.
        let call = async {
            match timeout(PROVIDER_TIME_MAX, self.provider.charge(order, cents)).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_down)) => Err(Charge::NotPaid),
                Err(_elapsed) => Err(Charge::Unknown),
            }
        };
        match self.breaker.call(call).await {
            Ok(()) => Charge::Paid,
            Err(CallError::Failed(charge)) => charge,
            Err(CallError::Rejected(_)) => Charge::NotPaid,
        }
    }
}
