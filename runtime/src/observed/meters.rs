//! The metrics of one observed actor: handles that are looked up once for each label, and one measurement.

use std::{ptr, thread::panicking, time::Instant};

use metrics::{Counter, Histogram, counter, histogram};

/// What is recorded of one instance.
pub(super) struct Meters {
    actor: &'static str,
    starts: Counter,
    /// An actor has few labels, so a list is faster than a map.
    labels: Vec<Meter>,
}

struct Meter {
    label: &'static str,
    handled: Counter,
    failed: Counter,
    panicked: Counter,
    cut: Counter,
    duration_s: Histogram,
}

impl Meters {
    pub(super) fn new(actor: &'static str) -> Self {
        Self {
            actor,
            starts: counter!("actor.starts", "actor" => actor),
            labels: Vec::new(),
        }
    }

    pub(super) fn started(&self) {
        self.starts.increment(1);
    }

    /// A handler begins. If the value is dropped before its end, the handler was left by a panic or was cut off.
    pub(super) fn begin(&mut self, label: &'static str) -> Measured<'_> {
        let known = self
            .labels
            .iter()
            .position(|meter| ptr::eq(meter.label, label) || meter.label == label);
        let index = known.unwrap_or_else(|| {
            self.labels.push(Meter::new(self.actor, label));
            self.labels.len() - 1
        });
        Measured {
            meter: &self.labels[index],
            began: Instant::now(),
            outcome: None,
        }
    }
}

impl Meter {
    #[cold]
    fn new(actor: &'static str, label: &'static str) -> Self {
        let outcome = |outcome: &'static str| counter!("actor.messages", "actor" => actor, "message" => label, "outcome" => outcome);
        Self {
            label,
            handled: outcome("handled"),
            failed: outcome("failed"),
            panicked: outcome("panicked"),
            cut: outcome("cut"),
            duration_s: histogram!(
                "actor.message.process.duration",
                "actor" => actor,
                "message" => label
            ),
        }
    }
}

/// A handler at work.
pub(super) struct Measured<'a> {
    meter: &'a Meter,
    began: Instant,
    /// Whether it returned `Ok`, once it has returned.
    outcome: Option<bool>,
}

impl Measured<'_> {
    pub(super) fn end(mut self, is_ok: bool) {
        self.outcome = Some(is_ok);
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let counter = match self.outcome {
            Some(true) => &self.meter.handled,
            Some(false) => &self.meter.failed,
            None if panicking() => &self.meter.panicked,
            None => &self.meter.cut,
        };
        counter.increment(1);
        self.meter.duration_s.record(self.began.elapsed());
    }
}
