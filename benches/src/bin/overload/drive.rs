//! One run: the capacity in a closed loop, then an open one at a multiple of it.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use crate::request::{Class, DEADLINE, Entries, Ledger, Request, Work};
use crate::systems::{Contender, Service};

/// How requests come, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Drive {
    pub(crate) real: bool,
    pub(crate) seed: u64,
    /// Of the closed loop that measures the capacity.
    pub(crate) calibration: Duration,
    /// Of the open loop.
    pub(crate) duration: Duration,
}

/// In a closed loop so many requests are on their way: enough to keep the worker busy, few enough that none is shed.
const IN_FLIGHT: usize = 3;

/// The driver wakes so often, and sends what has become due.
const TICK: Duration = Duration::from_millis(1);

impl Drive {
    /// Requests for each second that this system serves when it always has one to serve.
    pub(crate) fn capacity(&self, contender: Contender) -> f64 {
        self.on(contender, async |service, work| {
            let begin = Instant::now();
            let ledger = Ledger::until(begin + self.calibration);
            let places = Arc::new(Semaphore::new(IN_FLIGHT));
            while begin.elapsed() < self.calibration {
                let place = places.clone().acquire_owned().await;
                service.submit(Request {
                    sent: Instant::now(),
                    // What even an adaptive limit lets in.
                    class: Class::Critical,
                    work,
                    ledger: ledger.clone(),
                    _place: place.ok(),
                });
            }
            ledger.close().served() as f64 / begin.elapsed().as_secs_f64()
        })
    }

    /// What became of the requests at `rate` for each second.
    pub(crate) fn run(&self, contender: Contender, rate: f64) -> Entries {
        self.on(contender, async |service, work| {
            let mut random = StdRng::seed_from_u64(self.seed);
            let begin = Instant::now();
            let end = begin + self.duration;
            let ledger = Ledger::until(end);
            let mut due = begin;
            let mut tick = begin;
            while tick < end {
                tick += TICK;
                sleep_until(tick).await;
                while due <= tick && due < end {
                    let class = Class::of_percent(random.random_range(0..100));
                    ledger.offered(class);
                    service.submit(Request {
                        sent: due,
                        class,
                        work,
                        ledger: ledger.clone(),
                        _place: None,
                    });
                    // Exponential distances make a Poisson stream.
                    let distance_s = -(1.0 - random.random::<f64>()).ln() / rate;
                    due += Duration::from_secs_f64(distance_s);
                }
            }
            // What was sent last still has its time.
            sleep(DEADLINE + TICK).await;
            ledger.close()
        })
    }

    /// Starts the system on a runtime of its own, drives it, and ends both.
    fn on<R: Send>(
        &self,
        contender: Contender,
        drive: impl AsyncFnOnce(&dyn Service, Work) -> R,
    ) -> R {
        if !self.real {
            let runtime = Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime in this thread");
            return runtime.block_on(async {
                let service = contender.start().await;
                drive(&*service, Work::Sleep).await
            });
        }
        // The driver has this thread, the service a worker of its own.
        let server = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime with one worker");
        let service = server.block_on(async move {
            let started = tokio::spawn(contender.start());
            started.await.expect("the service starts")
        });
        let result = driver().block_on(drive(&*service, Work::Spin));
        drop(service);
        server.shutdown_background();
        result
    }
}

fn driver() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime in this thread")
}
