//! Many dynamic children: started, all failing at once and restarted, stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use treewarden_runtime::{Actor, ActorRef, Context, Failure, System};
use treewarden_supervisor::{Child, Supervisor};

use crate::memory::{peak_resident_bytes, resident_bytes};

/// What one number of children cost.
pub(crate) struct Cost {
    pub(crate) start_ns: f64,
    pub(crate) restart_ns: f64,
    pub(crate) stop_ns: f64,
    /// Of each child at rest.
    pub(crate) bytes: f64,
    /// The largest resident size of the process, in all of its life so far.
    pub(crate) peak_mb: f64,
}

/// Counts starts, and wakes whoever waits for a number of them.
#[derive(Default)]
struct Starts {
    count: AtomicUsize,
    goal: AtomicUsize,
    reached: Notify,
}

impl Starts {
    fn add(&self) {
        let count = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        if count == self.goal.load(Ordering::Acquire) {
            self.reached.notify_one();
        }
    }

    async fn until(&self, goal: usize) {
        self.goal.store(goal, Ordering::Release);
        if self.count.load(Ordering::Acquire) < goal {
            self.reached.notified().await;
        }
    }
}

struct Member {
    starts: Arc<Starts>,
}

impl Actor for Member {
    type Msg = ();
    type Error = Failure;

    async fn started(&mut self, _: &mut Context<Self>) -> Result<(), Failure> {
        self.starts.add();
        Ok(())
    }

    async fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<(), Failure> {
        Err(Failure::msg("told to fail"))
    }
}

pub(crate) async fn measure(count: usize) -> Cost {
    let system = System::new("children");
    let starts = Arc::new(Starts::default());
    let tree = Supervisor::dynamic("children")
        .intensity(u32::MAX, Duration::from_secs(3600))
        .start(&system)
        .await
        .expect("an empty supervisor starts");
    // Written to before the memory is measured: what holds the references is not the children's.
    let mut members: Vec<Option<ActorRef<()>>> = (0..count).map(|_| None).collect();

    let before = resident_bytes();
    let start = Instant::now();
    for member in &mut members {
        let starts = starts.clone();
        let make = move |_| {
            let starts = starts.clone();
            async move { Ok(Member { starts }) }
        };
        let child = tree.start_child(Child::actor("member", make)).await;
        let child = child.expect("it starts");
        *member = Some(child.actor().expect("its messages have this type"));
    }
    let started = start.elapsed();
    let bytes = resident_bytes().saturating_sub(before);

    let start = Instant::now();
    for member in members.iter().flatten() {
        member.tell(()).await.expect("it runs");
    }
    starts.until(2 * count).await;
    let restarted = start.elapsed();
    drop(members);

    let start = Instant::now();
    let report = tree.shutdown().await;
    let stopped = start.elapsed();
    assert!(report.is_clean(), "{report}");

    let each = |time: Duration| time.as_nanos() as f64 / count as f64;
    Cost {
        start_ns: each(started),
        restart_ns: each(restarted),
        stop_ns: each(stopped),
        bytes: bytes as f64 / count as f64,
        peak_mb: peak_resident_bytes() as f64 / 1e6,
    }
}
