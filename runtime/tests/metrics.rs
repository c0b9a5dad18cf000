//! What an observed actor shows to a recorder of the crate `metrics`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use treewarden_runtime::{Actor, Context, Failure, Observed, System};

/// Counts, by name and labels.
#[derive(Clone, Default)]
struct Books(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Books {
    fn account(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        self.0
            .lock()
            .expect("nobody panics here")
            .entry(name)
            .or_default()
            .clone()
    }

    /// Those that are not zero.
    fn read(&self) -> Vec<String> {
        let accounts = self.0.lock().expect("nobody panics here");
        let read = accounts
            .iter()
            .map(|(name, count)| (name, count.load(Ordering::SeqCst)));
        read.filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name}: {count}"))
            .collect()
    }
}

/// Counts the values, and refuses what is no time.
struct Times(Arc<AtomicU64>);

impl HistogramFn for Times {
    fn record(&self, value_s: f64) {
        assert!((0.0..10.0).contains(&value_s), "{value_s} s");
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Recorder for Books {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.account(key))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Times(self.account(key))))
    }
}

struct Worker;

#[derive(Clone, Copy)]
enum Task {
    Work,
    Fail,
    Panic,
    Sleep,
}

impl Actor for Worker {
    type Msg = Task;
    type Error = Failure;

    fn label(task: &Task) -> &'static str {
        match task {
            Task::Sleep => "sleep",
            Task::Work | Task::Fail | Task::Panic => "work",
        }
    }

    async fn handle(&mut self, task: Task, _: &mut Context<Self>) -> Result<(), Failure> {
        match task {
            Task::Work => Ok(()),
            Task::Fail => Err(Failure::msg("told to")),
            Task::Panic => std::panic::resume_unwind(Box::new("told to")),
            Task::Sleep => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(())
            }
        }
    }
}

#[test]
fn each_handler_is_counted_by_its_outcome_and_timed() {
    let books = Books::default();
    metrics::with_local_recorder(&books, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        runtime.expect("a runtime").block_on(async {
            let system = System::new("test");
            for last in [Task::Work, Task::Fail, Task::Panic, Task::Sleep] {
                let worker = system.spawn(Observed::new(Worker));
                for task in [Task::Work, Task::Work, last] {
                    worker.tell(task).await.expect("it takes three");
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                worker.kill();
                worker.closed().await;
            }
        });
    });
    assert_eq!(
        books.read(),
        [
            "actor.message.process.duration actor=metrics::Worker message=sleep: 1",
            "actor.message.process.duration actor=metrics::Worker message=work: 11",
            "actor.messages actor=metrics::Worker message=sleep outcome=cut: 1",
            "actor.messages actor=metrics::Worker message=work outcome=failed: 1",
            "actor.messages actor=metrics::Worker message=work outcome=handled: 9",
            "actor.messages actor=metrics::Worker message=work outcome=panicked: 1",
            "actor.starts actor=metrics::Worker: 4",
        ]
    );
}
