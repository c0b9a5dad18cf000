//! Treewarden: one actor; the policies are those of its mailbox, and of a limiter in front of it.

use treewarden_resilience::limiter::{InFlight, Limiter, LimiterConfig};
use treewarden_runtime::{
    Actor, ActorRef, Context, Criticality, Failure, Mailbox, MessageContext, Shedding,
    SpawnOptions, System,
};

use super::{CAPACITY, Service, Starting};
use crate::request::{Class, Request};

struct Worker;

/// A request, with its place at the limiter if there is one.
struct Job {
    request: Request,
    in_flight: Option<InFlight>,
}

impl Actor for Worker {
    type Msg = Job;
    type Error = Failure;

    async fn handle(&mut self, job: Job, _: &mut Context<Self>) -> Result<(), Failure> {
        job.request.serve().await;
        if let Some(in_flight) = job.in_flight {
            in_flight.success(tokio::time::Instant::now().into_std());
        }
        Ok(())
    }
}

struct Front {
    worker: ActorRef<Job>,
    limiter: Option<Limiter>,
    /// Whether requests carry their deadline and class.
    context: bool,
}

impl Service for Front {
    fn submit(&self, request: Request) {
        let mut in_flight = None;
        if let Some(limiter) = &self.limiter {
            let share = match request.class {
                Class::Critical => 1.0,
                Class::Default => 0.8,
                Class::Sheddable => 0.6,
            };
            match limiter.try_acquire_within(share, tokio::time::Instant::now().into_std()) {
                Ok(place) => in_flight = Some(place),
                Err(_saturated) => return,
            }
        }
        let context = MessageContext::new()
            .with_deadline(request.deadline())
            .with_criticality(match request.class {
                Class::Critical => Criticality::Critical,
                Class::Default => Criticality::Default,
                Class::Sheddable => Criticality::Sheddable,
            });
        let job = Job { request, in_flight };
        // A request that is handed back is dropped, which is what its sender would do.
        let _refused = match self.context {
            true => self.worker.try_tell_with(job, context),
            false => self.worker.try_tell(job),
        };
    }
}

fn start(mailbox: Mailbox, context: bool, limited: bool) -> Starting {
    Box::pin(async move {
        let options = SpawnOptions::new().mailbox(mailbox);
        let worker = System::new("overload").spawn_with(options, Worker);
        Box::new(Front {
            worker: worker.expect("no name to clash"),
            limiter: limited.then(|| {
                let limiter = LimiterConfig::default().build();
                limiter.expect("the defaults are in bounds")
            }),
            context,
        }) as Box<dyn Service>
    })
}

pub(super) fn unbounded() -> Starting {
    start(Mailbox::unbounded(), false, false)
}

pub(super) fn bounded() -> Starting {
    start(Mailbox::bounded(CAPACITY), false, false)
}

pub(super) fn deadlines() -> Starting {
    start(Mailbox::bounded(CAPACITY), true, false)
}

pub(super) fn limiter() -> Starting {
    start(Mailbox::bounded(CAPACITY), true, true)
}

pub(super) fn codel() -> Starting {
    start(
        Mailbox::bounded(CAPACITY).shed(Shedding::codel()),
        true,
        false,
    )
}

pub(super) fn adaptive() -> Starting {
    start(
        Mailbox::bounded(CAPACITY).shed(Shedding::adaptive()),
        true,
        false,
    )
}
