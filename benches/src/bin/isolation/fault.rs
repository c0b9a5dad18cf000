//! The subtree that does harm: four actors that are never idle.

use std::thread;
use std::time::{Duration, Instant};

use treewarden_resilience::bulkhead::{Bulkhead, BulkheadConfig};
use treewarden_runtime::{
    Actor, ActorRef, Context, ExitReason, Failure, Placement, SpawnOptions, System,
};

/// How the subtree misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its actors send each other messages as fast as they can.
    Flood,
    /// Its handlers block their thread, and use no processor.
    Block,
    /// Its handlers compute without an await.
    Spin,
}

/// What stands between the subtree and its neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wall {
    None,
    /// The subtree runs on a runtime of its own with one worker.
    Dispatcher,
    /// Each of its actors has a thread of its own.
    OwnThread,
    /// A pool of one permit: one of its actors works at a time, on the common runtime.
    Permits,
}

impl Fault {
    pub(crate) const ALL: [Fault; 3] = [Fault::Flood, Fault::Block, Fault::Spin];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Flood => "flood",
            Fault::Block => "block",
            Fault::Spin => "spin",
        }
    }
}

impl Wall {
    pub(crate) const ALL: [Wall; 4] =
        [Wall::None, Wall::Dispatcher, Wall::OwnThread, Wall::Permits];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Wall::None => "none",
            Wall::Dispatcher => "dispatcher",
            Wall::OwnThread => "own thread",
            Wall::Permits => "permits",
        }
    }

    fn placement(self) -> Placement {
        match self {
            Wall::None | Wall::Permits => Placement::Caller,
            Wall::Dispatcher => Placement::Dispatcher(DISPATCHER.into()),
            Wall::OwnThread => Placement::OwnThread,
        }
    }
}

/// The name of the runtime of its own.
pub(crate) const DISPATCHER: &str = "subtree";

/// How many actors misbehave: twice the workers that they could have.
const ACTORS: usize = 4;

/// How long a handler blocks or spins.
const HOLD: Duration = Duration::from_millis(10);

struct Culprit {
    fault: Fault,
    permits: Option<Bulkhead>,
}

/// Do harm, and again.
struct Again;

impl Actor for Culprit {
    type Msg = Again;
    type Error = Failure;

    async fn handle(&mut self, _: Again, cx: &mut Context<Self>) -> Result<(), Failure> {
        let _permit = match &self.permits {
            Some(permits) => Some(permits.acquire(0).await?),
            None => None,
        };
        match self.fault {
            Fault::Flood => {
                // Two for each one that is handled: its mailbox is full at once, and stays so.
                let _full = cx.myself().try_tell(Again);
            }
            Fault::Block => thread::sleep(HOLD),
            Fault::Spin => {
                let end = Instant::now() + HOLD;
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            }
        }
        let _full = cx.myself().try_tell(Again);
        Ok(())
    }
}

/// The subtree at work.
pub(crate) struct Subtree(Vec<ActorRef<Again>>);

impl Subtree {
    /// On a runtime: that is where it works if nothing stands in between.
    pub(crate) fn start(system: &System, fault: Fault, wall: Wall) -> Self {
        let permits = (wall == Wall::Permits).then(|| {
            let pool = BulkheadConfig::new(1).waiting_max(ACTORS as u32).build();
            pool.expect("in bounds")
        });
        let culprits = (0..ACTORS).map(|_| {
            let culprit = Culprit {
                fault,
                permits: permits.clone(),
            };
            let options = SpawnOptions::new().placement(wall.placement());
            let culprit = system.spawn_with(options, culprit);
            let culprit = culprit.expect("the dispatcher exists, and the system gives threads");
            let begun = culprit.try_tell(Again);
            assert!(begun.is_ok(), "there is room for the first");
            culprit
        });
        Self(culprits.collect())
    }

    /// Ends it, and waits for the handlers that cannot be interrupted.
    pub(crate) async fn stop(self) {
        for culprit in &self.0 {
            culprit.stop();
        }
        for culprit in &self.0 {
            let reason = culprit.closed().await;
            assert!(matches!(reason, ExitReason::Normal), "{reason}");
        }
    }
}
