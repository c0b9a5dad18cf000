//! Runs the plan, prints a table, and writes the list of results.

use std::io;

use serde_json::{Value, json};

use crate::cli::Plan;
use crate::request::{Class, DEADLINE, Entries};
use crate::systems::Contender;

/// How one contender did at one load.
struct Outcome {
    contender: Contender,
    load: f64,
    capacity_per_s: f64,
    seconds: f64,
    entries: Entries,
}

pub(crate) fn run(plan: Plan) -> io::Result<()> {
    println!(
        "{:<12} {:<41} {:>5} {:>9} {:>8} {:>9} {:>8} {:>10}",
        "system", "policy", "load", "goodput/c", "p99 ms", "critical", "default", "sheddable"
    );
    let mut results = Vec::new();
    for &contender in &plan.contenders {
        let capacity_per_s = plan.drive.capacity(contender);
        for &load in &plan.loads {
            let outcome = Outcome {
                contender,
                load,
                capacity_per_s,
                seconds: plan.drive.duration.as_secs_f64(),
                entries: plan.drive.run(contender, load * capacity_per_s),
            };
            println!("{}", outcome.as_row());
            results.push(outcome.as_json(plan.drive.real));
        }
    }
    if let Some(file) = plan.json {
        serde_json::to_writer_pretty(file, &results)?;
    }
    Ok(())
}

impl Outcome {
    fn goodput_over_capacity(&self) -> f64 {
        self.entries.goodput as f64 / (self.seconds * self.capacity_per_s)
    }

    fn as_row(&self) -> String {
        let p99_ms = match self.entries.p99_ms() {
            Some(p99_ms) => format!("{p99_ms:.1}"),
            None => "-".to_owned(),
        };
        format!(
            "{:<12} {:<41} {:>5} {:>9.3} {p99_ms:>8} {:>9.4} {:>8.4} {:>10.4}",
            self.contender.system,
            self.contender.policy,
            self.load,
            self.goodput_over_capacity(),
            self.entries.share(Class::Critical),
            self.entries.share(Class::Default),
            self.entries.share(Class::Sheddable),
        )
    }

    fn as_json(&self, real: bool) -> Value {
        json!({
            "system": self.contender.system,
            "policy": self.contender.policy,
            "load": self.load,
            "goodput_over_capacity": self.goodput_over_capacity(),
            "p99_ms": self.entries.p99_ms(),
            "deadline_ms": DEADLINE.as_millis() as u64,
            "critical_served": self.entries.share(Class::Critical),
            "default_served": self.entries.share(Class::Default),
            "sheddable_served": self.entries.share(Class::Sheddable),
            "capacity_per_s": self.capacity_per_s,
            "served_late": self.entries.served_late,
            "time": if real { "real" } else { "virtual" },
        })
    }
}
