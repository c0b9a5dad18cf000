//! Scripts against supervisors as they really run: the shell, on tokio, in paused time.
//!
//! The children are of a kind of their own that does what the script says. Shutdown timeouts are a millisecond, so that
//! waiting for them does not move the clock by a second that would matter to the intensity.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::CUT;
use tokio::task::JoinHandle;
use treewarden_runtime::host::Life;
use treewarden_runtime::{ExitReason, Failure, NodeSnapshot, System};
use treewarden_supervisor::machine::script::{ChildLine, Fate, Outcome, Step, parse};
use treewarden_supervisor::machine::{ChildSpec, Flags, Shutdown as ShutdownTime, Strategy};
use treewarden_supervisor::{
    AdminError, CallError, Child, ChildHandle, ChildKind, ChildPlace, StartError, Status,
    Supervisor, Tree,
};

/// Long enough for all deadlines of a step, and short enough for a whole script to take less than a second.
const STEP: Duration = Duration::from_millis(12);
const DEADLINE: Duration = Duration::from_millis(1);

/// The trace of a script. To be called in paused time.
///
/// # Panics
///
/// If the script cannot be read.
pub async fn trace(script: &str) -> String {
    let steps = parse(script).unwrap_or_else(|error| panic!("{error} in {script}"));
    let mut stage = Stage::default();
    for step in &steps {
        if !stage.run(step).await {
            break;
        }
    }
    if let Some(tree) = &stage.tree {
        stage.world.locked().fates.clear();
        tree.kill();
        tree.wait().await;
    }
    stage.trace
}

#[derive(Default)]
struct Stage {
    flags: Flags,
    world: World,
    starting: Option<JoinHandle<Result<Tree, StartError>>>,
    tree: Option<Tree>,
    handles: Arc<Mutex<HashMap<Arc<str>, ChildHandle>>>,
    added: HashSet<Arc<str>>,
    calls: Vec<(u64, JoinHandle<String>)>,
    calls_made: u64,
    steps_made: Option<u32>,
    trace: String,
}

impl Stage {
    /// Runs a step; false when the supervisor has ended.
    async fn run(&mut self, step: &Step) -> bool {
        match step {
            Step::Supervisor(flags) => self.flags = flags.clone(),
            Step::Begin(children) => self.begin(children),
            Step::Exit(id, reason) => self.world.exit(id, *reason),
            Step::Tick(time) => tokio::time::advance(*time).await,
            Step::Behave(id, fate, times) => drop(
                self.world
                    .locked()
                    .fates
                    .insert(id.clone(), (*fate, *times)),
            ),
            Step::Started(id) => self.world.release(id, Fate::Obey),
            Step::Failed(id) => self.world.release(id, Fate::Fail),
            Step::Add(child) => {
                self.added.insert(child.spec.id.clone());
                let (id, handles) = (child.spec.id.clone(), self.handles.clone());
                let child = self.world.child(child);
                self.call(|tree| async move {
                    let started = tree.start_child(child).await;
                    if let Ok(handle) = &started {
                        locked(&handles).insert(id.clone(), handle.clone());
                    }
                    answer(started.map(|_| format!("started {id}")))
                });
            }
            Step::Terminate(id) => {
                let (id, handle) = (id.clone(), locked(&self.handles).get(id).cloned());
                let is_dynamic = self.flags.strategy == Strategy::Dynamic;
                if is_dynamic && handle.is_none() && self.added.contains(&id) {
                    // Only a child that has started once has a key that its caller knows.
                    self.write(CUT);
                    return false;
                }
                let handle = handle.filter(|_| is_dynamic);
                self.call(|tree| async move {
                    let terminated = match handle {
                        Some(handle) => tree.terminate_child(&handle).await,
                        None => tree.terminate_child(id).await,
                    };
                    answer(terminated.map(|()| "ok".into()))
                });
            }
            Step::Restart(id) => {
                let id = id.clone();
                self.call(|tree| async move {
                    answer(
                        tree.restart_child(id.clone())
                            .await
                            .map(|_| format!("started {id}")),
                    )
                });
            }
            Step::Delete(id) => {
                let id = id.clone();
                self.call(|tree| async move {
                    answer(tree.delete_child(id).await.map(|()| "ok".into()))
                });
            }
            Step::Shutdown => {
                if let Some(tree) = self.tree.clone() {
                    tokio::spawn(async move { tree.shutdown().await });
                }
            }
            Step::Kill => {
                if let Some(tree) = &self.tree {
                    tree.kill();
                }
            }
            Step::Which | Step::Count => panic!("{step:?} is part of every trace"),
        }
        let Some(number) = self.steps_made else {
            return true;
        };
        self.steps_made = Some(number + 1);
        // Time that is paused moves when nothing else can: then everything that follows has happened.
        tokio::time::sleep(STEP).await;
        self.write(&format!("step {number}"));
        self.write_what_followed().await
    }

    fn begin(&mut self, children: &[ChildLine]) {
        self.steps_made = Some(0);
        let supervisor = match self.flags.strategy {
            Strategy::OneForOne => Supervisor::one_for_one("app"),
            Strategy::OneForAll => Supervisor::one_for_all("app"),
            Strategy::RestForOne => Supervisor::rest_for_one("app"),
            Strategy::Dynamic => Supervisor::dynamic("app"),
        };
        let intensity = self.flags.intensity;
        let supervisor = supervisor
            .intensity(intensity.limit, intensity.period)
            .resolution(intensity.resolution)
            .auto_shutdown(self.flags.auto_shutdown)
            .escalation(self.flags.escalation)
            .children(children.iter().map(|child| self.world.child(child)));
        let supervisor = match self.flags.max_children {
            Some(most) => supervisor.max_children(most),
            None => supervisor,
        };
        self.starting = Some(tokio::spawn(async move {
            supervisor.start(&System::new("stage")).await
        }));
    }

    fn call<F>(&mut self, call: impl FnOnce(Tree) -> F)
    where
        F: Future<Output = String> + Send + 'static,
    {
        self.calls_made += 1;
        if let Some(tree) = &self.tree {
            self.calls
                .push((self.calls_made, tokio::spawn(call(tree.clone()))));
        }
    }

    fn write(&mut self, line: &str) {
        writeln!(self.trace, "{line}").expect("writing to a string");
    }

    async fn write_what_followed(&mut self) -> bool {
        let seen = std::mem::take(&mut self.world.locked().seen);
        for line in seen {
            self.write(&line);
        }
        if let Some(starting) = self.starting.take_if(|starting| starting.is_finished()) {
            match starting.await.expect("starting does not panic") {
                Ok(tree) => self.tree = Some(tree),
                Err(StartError::Child { path, .. }) => {
                    self.write(&format!(
                        "end failed_to_start {}",
                        path.rsplit('/').next().unwrap_or_default()
                    ));
                    return false;
                }
                Err(error) => {
                    self.write(&format!("end {error}"));
                    return false;
                }
            }
        }
        let (answered, waiting) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition::<Vec<_>, _>(|(_, call)| call.is_finished());
        self.calls = waiting;
        for (number, call) in answered {
            let answer = call.await.expect("calls do not panic");
            self.write(&format!("reply {number} {answer}"));
        }
        let Some(tree) = self.tree.clone() else {
            return true;
        };
        if let Ok(reason) = tokio::time::timeout(Duration::ZERO, tree.wait()).await {
            self.write(&format!("end {}", reason.kind()));
            return false;
        }
        let is_busy = |child: &NodeSnapshot| matches!(&*child.state, "starting" | "stopping");
        if !tree.inspect().children.iter().any(is_busy) {
            self.write_state(&tree).await;
        }
        true
    }

    async fn write_state(&mut self, tree: &Tree) {
        let children = tree.which_children().await.expect("it runs");
        let word = |status: Status| match status {
            status if status.is_without_instance() => "stopped",
            Status::Restarting => "restarting",
            _ => "running",
        };
        let mut lines: Vec<_> = children
            .iter()
            .map(|child| format!("{} {}", child.id, word(child.status)))
            .collect();
        if self.flags.strategy == Strategy::Dynamic {
            lines.sort();
        }
        self.write(&format!("children {}", lines.join(", ")));
        let counts = tree.count_children().await.expect("it runs");
        let (specs, active) = (counts.specs, counts.active);
        self.write(&format!(
            "counts {specs} {active} {} {}",
            counts.supervisors, counts.workers
        ));
    }
}

fn answer(result: Result<String, CallError>) -> String {
    match result {
        Ok(answer) => answer,
        Err(AdminError::AlreadyStarted(_)) => "already_started".into(),
        Err(AdminError::AlreadyPresent) => "already_present".into(),
        Err(AdminError::Running) => "running".into(),
        Err(AdminError::Restarting) => "restarting".into(),
        Err(AdminError::NotFound) => "not_found".into(),
        Err(AdminError::Dynamic) => "dynamic".into(),
        Err(AdminError::Declined) => "ignored".into(),
        Err(AdminError::StartFailed(_)) => "start_failed".into(),
        Err(AdminError::Invalid(_)) => "invalid".into(),
        Err(AdminError::ShuttingDown) => "shutting_down".into(),
        Err(other) => format!("{other:?}"),
    }
}

/// What the children do, and what was seen of them.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    fates: HashMap<Arc<str>, (Fate, u32)>,
    /// The place and the incarnation of the latest child with an id that runs.
    running: HashMap<Arc<str>, (ChildPlace, u64)>,
    hanging: HashMap<Arc<str>, (ChildPlace, u64)>,
    seen: Vec<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn locked(&self) -> std::sync::MutexGuard<'_, Inner> {
        locked(&self.0)
    }

    fn child(&self, ChildLine { spec, .. }: &ChildLine) -> Child {
        let (world, id) = (self.clone(), spec.id.clone());
        let child = Child::custom(spec.id.clone(), move |place| {
            Ok(Box::new(Scripted {
                world: world.clone(),
                id: id.clone(),
                place,
                live: HashSet::new(),
            }))
        });
        let shutdown = match spec.shutdown {
            ShutdownTime::Timeout(_) => ShutdownTime::Timeout(DEADLINE),
            other => other,
        };
        child.with_spec(ChildSpec {
            shutdown,
            ..spec.clone()
        })
    }

    fn exit(&self, id: &Arc<str>, reason: Outcome) {
        let Some((place, incarnation)) = self.locked().running.remove(id) else {
            return;
        };
        self.report_exit(id, &place, incarnation, reason);
    }

    fn report_exit(&self, id: &Arc<str>, place: &ChildPlace, incarnation: u64, outcome: Outcome) {
        self.locked().seen.push(format!("down {id} {outcome}"));
        let reason = match outcome {
            Outcome::Normal => ExitReason::Normal,
            Outcome::Shutdown => ExitReason::Shutdown,
            Outcome::Killed => ExitReason::Killed,
            Outcome::Panic | Outcome::Error => ExitReason::Failed(Failure::msg(outcome.word())),
        };
        place.observer().on_life(Life::Exited {
            incarnation,
            reason,
            suspect: None,
        });
    }

    fn release(&self, id: &Arc<str>, fate: Fate) {
        let Some((place, incarnation)) = self.locked().hanging.remove(id) else {
            return;
        };
        self.finish_start(id, place, incarnation, fate);
    }

    fn finish_start(&self, id: &Arc<str>, place: ChildPlace, incarnation: u64, fate: Fate) {
        let observer = place.observer().clone();
        match fate {
            Fate::Fail => {
                let reason = ExitReason::Failed(Failure::msg("told to"));
                observer.on_life(Life::StartFailed {
                    incarnation,
                    reason,
                });
            }
            Fate::Ignore => observer.on_life(Life::Ignored { incarnation }),
            Fate::Hang => drop(
                self.locked()
                    .hanging
                    .insert(id.clone(), (place, incarnation)),
            ),
            Fate::Obey | Fate::Stubborn | Fate::Stuck => {
                self.locked()
                    .running
                    .insert(id.clone(), (place, incarnation));
                observer.on_life(Life::Started { incarnation });
            }
        }
    }

    fn next_fate(&self, id: &Arc<str>) -> Fate {
        match self.locked().fates.get_mut(id) {
            None | Some((_, 0)) => Fate::Obey,
            Some((fate, u32::MAX)) => *fate,
            Some((fate, left)) => {
                *left -= 1;
                *fate
            }
        }
    }
}

/// A child that does what the script says.
struct Scripted {
    world: World,
    id: Arc<str>,
    place: ChildPlace,
    live: HashSet<u64>,
}

impl Scripted {
    fn end(&mut self, outcome: Outcome) {
        for incarnation in self.live.drain() {
            let mut world = self.world.locked();
            world.hanging.retain(|_, (place, other)| {
                place.path() != self.place.path() || *other != incarnation
            });
            let is_it = |running: &(ChildPlace, u64)| {
                running.0.path() == self.place.path() && running.1 == incarnation
            };
            if world.running.get(&self.id).is_some_and(is_it) {
                world.running.remove(&self.id);
            }
            drop(world);
            self.world
                .report_exit(&self.id, &self.place, incarnation, outcome);
        }
    }
}

impl ChildKind for Scripted {
    fn kind(&self) -> Cow<'static, str> {
        "scripted".into()
    }

    fn start(&mut self, incarnation: u64) {
        // The exits that the script ordered went past this object.
        self.live.clear();
        self.live.insert(incarnation);
        self.world.locked().seen.push(format!("start {}", self.id));
        let fate = self.world.next_fate(&self.id);
        self.world
            .finish_start(&self.id, self.place.clone(), incarnation, fate);
    }

    fn stop(&mut self) {
        let fate = self
            .world
            .locked()
            .fates
            .get(&self.id)
            .map_or(Fate::Obey, |(fate, _)| *fate);
        if !matches!(fate, Fate::Stubborn | Fate::Stuck) {
            self.end(Outcome::Shutdown);
        }
    }

    fn kill(&mut self) {
        self.end(Outcome::Killed);
    }
}
