//! What is asked, and the ledger in which it is written down how that ended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// How long a sender waits for its answer.
pub(crate) const DEADLINE: Duration = Duration::from_millis(100);

/// What a request costs the one worker. In virtual time it is exact, and a whole number of the clock's milliseconds.
pub(crate) const SERVICE: Duration = Duration::from_millis(1);

/// What a request is worth, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Sheddable,
    Default,
    Critical,
}

impl Class {
    /// The class of a request, from a number that is uniform in 0..100: 5 % critical, 25 % default, 70 % sheddable.
    pub(crate) fn of_percent(percent: u32) -> Self {
        match percent {
            0..5 => Class::Critical,
            5..30 => Class::Default,
            _ => Class::Sheddable,
        }
    }
}

/// How the worker spends the time of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// It waits for something else.
    Sleep,
    /// It keeps its core busy.
    Spin,
}

/// A request. Dropped unserved, it was refused, shed or expired; nobody is told, since nobody waits in an open loop.
pub(crate) struct Request {
    /// When it was due to be sent: a driver that is late makes nothing look better.
    pub(crate) sent: Instant,
    pub(crate) class: Class,
    pub(crate) work: Work,
    pub(crate) ledger: Arc<Ledger>,
    /// In a closed loop: makes room for the next.
    pub(crate) _place: Option<OwnedSemaphorePermit>,
}

impl Request {
    pub(crate) fn deadline(&self) -> Instant {
        self.sent + DEADLINE
    }

    /// What the worker does with it.
    pub(crate) async fn serve(self) {
        match self.work {
            Work::Sleep => tokio::time::sleep(SERVICE).await,
            Work::Spin => {
                let end = std::time::Instant::now() + SERVICE;
                while std::time::Instant::now() < end {
                    std::hint::spin_loop();
                }
            }
        }
        self.ledger.served(self.class, self.sent.elapsed());
    }
}

/// What became of the requests of one run.
pub(crate) struct Ledger {
    /// When the load ends. What is served after that is no goodput, though its sender got it in time.
    end: Instant,
    entries: Mutex<Entries>,
}

#[derive(Clone, Default)]
pub(crate) struct Entries {
    /// By class.
    pub(crate) offered: [u64; 3],
    /// By class, within the deadline.
    pub(crate) served_in_time: [u64; 3],
    /// Served within the deadline, and before the end of the load.
    pub(crate) goodput: u64,
    pub(crate) served_late: u64,
    /// Of those that were served in time, microseconds.
    pub(crate) latencies_us: Vec<u32>,
}

impl Ledger {
    pub(crate) fn until(end: Instant) -> Arc<Self> {
        Arc::new(Self {
            end,
            entries: Mutex::default(),
        })
    }

    pub(crate) fn offered(&self, class: Class) {
        self.entries(|entries| entries.offered[class as usize] += 1);
    }

    fn served(&self, class: Class, latency: Duration) {
        let before_the_end = Instant::now() <= self.end;
        self.entries(|entries| {
            if latency > DEADLINE {
                entries.served_late += 1;
            } else {
                entries.served_in_time[class as usize] += 1;
                entries.goodput += u64::from(before_the_end);
                entries.latencies_us.push(latency.as_micros() as u32);
            }
        });
    }

    pub(crate) fn close(&self) -> Entries {
        self.entries(std::mem::take)
    }

    fn entries<R>(&self, change: impl FnOnce(&mut Entries) -> R) -> R {
        change(&mut self.entries.lock().expect("nobody panics with the ledger"))
    }
}

impl Entries {
    pub(crate) fn served(&self) -> u64 {
        self.served_in_time.iter().sum::<u64>() + self.served_late
    }

    /// Of the requests of this class, those that were served in time, as a share of 1.
    pub(crate) fn share(&self, class: Class) -> f64 {
        self.served_in_time[class as usize] as f64 / (self.offered[class as usize].max(1)) as f64
    }

    /// The latency that 99 of 100 of those served in time do not exceed. `None`: none was.
    pub(crate) fn p99_ms(&self) -> Option<f64> {
        let mut latencies_us = self.latencies_us.clone();
        latencies_us.sort_unstable();
        let index = (latencies_us.len() * 99).div_ceil(100).checked_sub(1)?;
        Some(f64::from(latencies_us[index]) / 1000.0)
    }
}
