//! What is made of what the members tell.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::arena::Arena;
use crate::memory;
use crate::systems::News;

/// Figures of one experiment and system, over all seeds.
#[derive(Default)]
pub(crate) struct Figures {
    /// Times that a member which was never faulted was believed lost.
    fp: u64,
    /// Of these, at members that were never faulted either.
    fp_healthy: u64,
    /// From a crash until the first member knows, seconds.
    detect_s: Vec<f64>,
    /// From a crash until all healthy members know.
    disseminate_s: Vec<f64>,
    /// Crashes that some healthy member never learnt of.
    missed: u64,
    messages: u64,
    bytes: u64,
    node_seconds: f64,
    /// Bytes by whether their sender was ever faulted, and by purpose.
    spent: BTreeMap<(bool, &'static str), u64>,
    /// How many members each believed to work, itself included: sum and count of looks.
    believed: (u64, u64),
    /// Of this process, for each row that some member has of another.
    row_bytes: f64,
}

impl Figures {
    /// Counts the false positives of an arena's log.
    pub(crate) fn count_false_positives(&mut self, arena: &Arena, faulted: &BTreeSet<usize>) {
        for (_, observer, News::Lost(subject)) in &arena.log {
            if !faulted.contains(subject) {
                self.fp += 1;
                self.fp_healthy += u64::from(!faulted.contains(observer));
            }
        }
    }

    /// Measures how long it took until crashes at `crashed_at` were known.
    pub(crate) fn time_crashes(
        &mut self,
        arena: &Arena,
        crashed: &BTreeSet<usize>,
        crashed_at: Duration,
    ) {
        let mut known: BTreeMap<usize, BTreeMap<usize, Duration>> = BTreeMap::new();
        for (at, observer, News::Lost(subject)) in &arena.log {
            if crashed.contains(subject) && !crashed.contains(observer) {
                known
                    .entry(*subject)
                    .or_default()
                    .entry(*observer)
                    .or_insert(*at - crashed_at);
            }
        }
        let observers = arena.nodes() - crashed.len();
        for subject in crashed {
            let times = known.get(subject);
            match times {
                Some(times) if times.len() == observers => {
                    self.detect_s
                        .extend(times.values().min().map(Duration::as_secs_f64));
                    self.disseminate_s
                        .extend(times.values().max().map(Duration::as_secs_f64));
                }
                _ => self.missed += 1,
            }
        }
    }

    /// Adds the traffic since an earlier reading.
    pub(crate) fn add_traffic(&mut self, arena: &Arena, since: (Duration, u64, u64)) {
        let (at, packets, bytes) = since;
        self.messages += arena.packets - packets;
        self.bytes += arena.bytes - bytes;
        self.node_seconds += (arena.now() - at).as_secs_f64() * arena.nodes() as f64;
    }

    /// Adds what the traffic since [`Arena::spent`] was last cleared was for.
    pub(crate) fn add_purposes(&mut self, arena: &Arena, faulted: &BTreeSet<usize>) {
        for ((node, what), bytes) in &arena.spent {
            let key = (faulted.contains(node), *what);
            *self.spent.entry(key).or_default() += bytes;
        }
    }

    /// Looks at how many members each believes to work.
    pub(crate) fn look_at_beliefs(&mut self, arena: &Arena) {
        for live in arena.live_counts() {
            self.believed.0 += live as u64;
            self.believed.1 += 1;
        }
    }

    fn bytes_for(&self, faulted: bool) -> Value {
        let of_these = self.spent.iter().filter(|((who, _), _)| *who == faulted);
        let each = of_these.map(|((_, what), bytes)| {
            let value = rounded(*bytes as f64 / self.node_seconds);
            ((*what).to_owned(), json!(value))
        });
        Value::Object(each.collect())
    }

    /// The memory that a formed cluster takes, its packets included. `before` is what this process had without it.
    pub(crate) fn measure_memory(&mut self, arena: &Arena, before: u64) {
        let rows = arena.nodes() * (arena.nodes() - 1);
        let grown = memory::resident_bytes().saturating_sub(before);
        self.row_bytes = self.row_bytes.max(grown as f64 / rows as f64);
    }

    /// A time that counts as dissemination, for experiments without crashes.
    pub(crate) fn add_time(&mut self, time: Duration) {
        self.disseminate_s.push(time.as_secs_f64());
    }

    pub(crate) fn to_json(&self) -> Value {
        let (detect, disseminate) = (
            Sorted::new(&self.detect_s),
            Sorted::new(&self.disseminate_s),
        );
        let mut result = json!({
            "fp": self.fp,
            "fp_healthy": self.fp_healthy,
            "detect_median_s": detect.at(0.5),
            "detect_p99_s": detect.at(0.99),
            "detect_p999_s": detect.at(0.999),
            "disseminate_median_s": disseminate.at(0.5),
            "disseminate_p99_s": disseminate.at(0.99),
            "missed": self.missed,
            "messages": self.messages,
            "messages_per_node_s": rounded(self.messages as f64 / self.node_seconds),
            "memory_bytes_per_row": rounded(self.row_bytes),
            "bytes_per_node_s": rounded(self.bytes as f64 / self.node_seconds),
        });
        if self.believed.1 > 0 {
            let believed = self.believed.0 as f64 / self.believed.1 as f64;
            let bytes = self.bytes as f64 / self.node_seconds;
            result["believed_live_mean"] = json!(rounded(believed));
            result["bytes_per_node_s_for_each_believed_live"] = json!(rounded(bytes / believed));
            result["bytes_sent_by_healthy"] = self.bytes_for(false);
            result["bytes_sent_by_faulted"] = self.bytes_for(true);
        }
        result
    }
}

/// The traffic so far.
pub(crate) fn traffic(arena: &Arena) -> (Duration, u64, u64) {
    (arena.now(), arena.packets, arena.bytes)
}

fn rounded(value: f64) -> Option<f64> {
    value.is_finite().then(|| (value * 10.0).round() / 10.0)
}

struct Sorted(Vec<f64>);

impl Sorted {
    fn new(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }

    /// The value of the nearest rank.
    fn at(&self, quantile: f64) -> Option<f64> {
        let rank = (quantile * self.0.len() as f64).ceil() as usize;
        let value = self.0.get(rank.saturating_sub(1))?;
        Some((value * 1000.0).round() / 1000.0)
    }
}
