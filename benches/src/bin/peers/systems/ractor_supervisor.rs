//! ractor with the supervisor of the crate ractor-supervisor. Only what needs a supervisor is measured: the rest is ractor's.

use std::panic::panic_any;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call, registry};
use ractor_supervisor::{
    ChildSpec, DynamicSupervisor, DynamicSupervisorOptions, Restart, SpawnFn, Supervisor,
    SupervisorArguments, SupervisorOptions, SupervisorStrategy,
};

use super::ractor::{Doomed, Member};
use crate::goal::Goal;
use crate::peer::{Doom, Life, tokio_runtime};
use crate::stats::percentile;
use crate::workload::{Measurement, RuntimeKind, Workload};

pub(super) fn measure(
    measurement: Measurement,
    kind: RuntimeKind,
    crashes: usize,
    children: usize,
) -> Option<Vec<(Workload, f64)>> {
    std::panic::set_hook(Box::new(|_| {}));
    let run = async move {
        match measurement {
            Measurement::Crash => Some(crash(crashes).await),
            Measurement::Restart => Some(restart(crashes).await),
            Measurement::Family => Some(family(children).await),
            _ => None,
        }
    };
    tokio_runtime(kind).block_on(async {
        match tokio::spawn(run).await {
            Ok(figures) => figures,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    })
}

struct Fragile;

enum FragileMsg {
    Crash,
    Answer(RpcReplyPort<()>),
}

impl Actor for Fragile {
    type Msg = FragileMsg;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<FragileMsg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<FragileMsg>,
        msg: FragileMsg,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            FragileMsg::Crash => panic_any("asked to crash"),
            FragileMsg::Answer(reply) => Ok(reply.send(())?),
        }
    }
}

fn child(id: &str, spawn_fn: SpawnFn) -> ChildSpec {
    ChildSpec {
        id: id.to_owned(),
        restart: Restart::Permanent,
        spawn_fn,
        backoff_fn: None,
        reset_after: None,
    }
}

async fn supervise(child: ChildSpec) {
    let arguments = SupervisorArguments {
        child_specs: vec![child],
        options: SupervisorOptions {
            strategy: SupervisorStrategy::OneForOne,
            max_restarts: usize::MAX,
            max_window: Duration::from_secs(1),
            reset_after: None,
        },
    };
    let spawned = Supervisor::spawn("supervisor".into(), arguments).await;
    spawned.expect("no name to clash");
}

/// The next incarnation is found by its name.
async fn fragile(old: Option<ractor::ActorId>) -> ActorRef<FragileMsg> {
    loop {
        match registry::where_is("fragile") {
            Some(cell) if Some(cell.get_id()) != old => return cell.into(),
            _ => tokio::task::yield_now().await,
        }
    }
}

async fn crash(count: usize) -> Vec<(Workload, f64)> {
    let spawn = SpawnFn::new(|supervisor, id| async move {
        let spawned = Supervisor::spawn_linked(id, Fragile, (), supervisor).await;
        Ok(spawned?.0.get_cell())
    });
    supervise(child("fragile", spawn)).await;
    let mut current = fragile(None).await;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        current.cast(FragileMsg::Crash).expect("supervised");
        current = fragile(Some(current.get_id())).await;
        // It is in the registry before it has started.
        while call!(current, FragileMsg::Answer).is_err() {
            tokio::task::yield_now().await;
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let micros = |percent| percentile(&times, percent).as_nanos() as f64 / 1000.0;
    vec![
        (Workload::CrashP50, micros(50)),
        (Workload::CrashP99, micros(99)),
    ]
}

async fn restart(count: usize) -> Vec<(Workload, f64)> {
    let goal = Goal::new(1);
    let doom = Doom::new(count as u64, goal.clone());
    let spawn = SpawnFn::new(move |supervisor, id| {
        let doom = doom.clone();
        async move {
            let spawned = Supervisor::spawn_linked(id, Doomed, doom, supervisor).await;
            Ok(spawned?.0.get_cell())
        }
    });
    let start = Instant::now();
    supervise(child("doomed", spawn)).await;
    goal.reached().await;
    let each = start.elapsed().as_nanos() as f64 / count as f64;
    vec![(Workload::Restart, each)]
}

async fn family(count: usize) -> Vec<(Workload, f64)> {
    let (started, all_started) = Goal::grouped(count);
    let (stopped, all_stopped) = Goal::grouped(count);
    let before = crate::memory::resident_bytes();
    let start = Instant::now();
    let options = DynamicSupervisorOptions {
        max_children: None,
        max_restarts: 1,
        max_window: Duration::from_secs(5),
        reset_after: None,
    };
    let spawned = DynamicSupervisor::spawn("family".into(), options).await;
    let supervisor = spawned.expect("no name to clash").0;
    for (number, (started, stopped)) in started.into_iter().zip(stopped).enumerate() {
        let life = Life { started, stopped };
        let spawn = SpawnFn::new(move |supervisor, id| {
            let life = life.clone();
            async move {
                let spawned = DynamicSupervisor::spawn_linked(id, Member, life, supervisor).await;
                Ok(spawned?.0.get_cell())
            }
        });
        let spec = child(&number.to_string(), spawn);
        let started = DynamicSupervisor::spawn_child(supervisor.clone(), spec).await;
        started.expect("the child starts");
    }
    all_started.reached().await;
    let up = start.elapsed();
    let bytes = crate::memory::resident_bytes().saturating_sub(before);
    let start = Instant::now();
    supervisor.stop(None);
    all_stopped.reached().await;
    let down = start.elapsed();
    let count = count as f64;
    vec![
        (Workload::ChildStart, up.as_nanos() as f64 / count),
        (Workload::ChildStop, down.as_nanos() as f64 / count),
        (Workload::ChildBytes, bytes as f64 / count),
    ]
}
