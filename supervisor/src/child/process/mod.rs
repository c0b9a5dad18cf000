//! OS processes as children (feature `process`, on Unix).
//!
//! Each incarnation is one process, the leader of a process group of its own, with a task that waits for it. An order to stop is `SIGTERM` to the
//! group, an order to kill `SIGKILL`; when the leader has ended, whatever is left of its group is killed. The end is reported when the leader
//! has been waited for, so that there is no zombie and no overlap with the next incarnation.
//!
//! None is left behind when this process ends: in order, by the tree's shutdown; with the runtime, because the group is killed when the task is
//! dropped; by `SIGKILL` or a crash, because a small [reaper](reaper) notices.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | what a user says of a process, and the kind |
//! | `group` | signals to a process group, and its end |
//! | `output` | lines of output as events |
//! | `reaper` | who kills what is left when this process has died |

mod group;
mod output;
mod reaper;

use std::borrow::Cow;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tokio::process::Command;
use tokio::sync::watch;
use treewarden_runtime::{ExitReason, Panic};

use self::group::Group;
use self::output::Lines;
use self::reaper::Reaper;
use super::incarnation::{Ending, beyond};
use super::order::{Order, Orders};
use super::{ChildKind, ChildPlace};
use crate::sync::MutexExt;

type CommandFactory = dyn FnMut() -> Command + Send;
type Readiness = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Where a process writes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Output {
    /// Each line becomes a `tracing` event with the path of the child: standard output at level INFO, standard error at WARN. Of a line
    /// longer than 8 KiB the rest is left out, and the event says so.
    #[default]
    Events,
    /// Where this process writes to.
    Inherit,
    /// Nowhere.
    Discard,
}

/// An OS process to be.
///
/// ```
/// use std::time::Duration;
/// use tokio::process::Command;
/// use treewarden_supervisor::{Child, Process, Shutdown};
///
/// let database = Process::new(|| {
///     let mut command = Command::new("postgres");
///     command.args(["-D", "/var/lib/postgres"]);
///     command
/// })
/// .ready_when(|line| line.contains("ready to accept connections"));
///
/// let child = Child::process("database", database).shutdown(Shutdown::Timeout(Duration::from_secs(30)));
/// ```
#[derive(Clone)]
#[must_use = "a process does nothing until a supervisor starts it"]
pub struct Process {
    factory: Arc<Mutex<CommandFactory>>,
    output: Output,
    ready_when: Option<Readiness>,
    reaper: bool,
}

impl Process {
    /// The factory makes the command of each incarnation: program, arguments, environment, folder, standard input. Standard output and
    /// error, the process group and what happens when it is dropped are set here.
    pub fn new(factory: impl FnMut() -> Command + Send + 'static) -> Self {
        Process {
            factory: Arc::new(Mutex::new(factory)),
            output: Output::default(),
            ready_when: None,
            reaper: true,
        }
    }

    /// Where it writes to. Default: to events.
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// It counts as started when it writes a line, to standard output or error, of which `is_ready` is true; until then later siblings wait,
    /// and its end is a failed start. Implies [`Output::Events`]. Default: it has started when it exists.
    pub fn ready_when(mut self, is_ready: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.ready_when = Some(Arc::new(is_ready));
        self
    }

    /// Whether a reaper, a shell that waits for the end of this process, kills the group when this process dies without a chance to do it
    /// itself. Default: yes.
    pub fn reaper(mut self, reaper: bool) -> Self {
        self.reaper = reaper;
        self
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("output", &self.output)
            .field("reaper", &self.reaper)
            .finish_non_exhaustive()
    }
}

/// A process ended otherwise than with success: the failure in [`ExitReason::Failed`], to be found with `downcast_ref`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessFailed {
    /// Its exit code or signal.
    pub status: ExitStatus,
}

impl fmt::Display for ProcessFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => write!(f, "the process ended with exit code {code}"),
            (None, Some(signal)) => write!(f, "the process was ended by signal {signal}"),
            (None, None) => write!(f, "the process ended: {}", self.status),
        }
    }
}

impl std::error::Error for ProcessFailed {}

pub(super) struct ProcessKind {
    place: ChildPlace,
    process: Process,
    reaper: Option<Arc<Reaper>>,
    orders: Orders,
    /// The id of the newest process, for people.
    id: Arc<Mutex<Option<u32>>>,
}

impl ProcessKind {
    pub(super) fn new(place: ChildPlace, process: Process) -> Self {
        ProcessKind {
            reaper: process.reaper.then(Arc::default),
            place,
            process,
            orders: Orders::default(),
            id: Arc::default(),
        }
    }
}

impl ChildKind for ProcessKind {
    fn kind(&self) -> Cow<'static, str> {
        match *self.id.locked() {
            Some(id) => format!("process {id}").into(),
            None => "process".into(),
        }
    }

    fn start(&mut self, incarnation: u64) {
        let mut ending = Ending::new(self.place.observer.clone(), incarnation);
        let runtime = match self.place.system.runtime(&self.place.options.placement) {
            Ok(runtime) => runtime,
            Err(error) => return ending.report(ExitReason::Failed(error.into())),
        };
        let orders = self.orders.renew();
        let (process, path, id) = (
            self.process.clone(),
            self.place.path.clone(),
            self.id.clone(),
        );
        let reaper = self.reaper.clone();
        self.place.system.spawn_task(&runtime, async move {
            let reason = run(&process, reaper, &path, orders, &id, &mut ending).await;
            *id.locked() = None;
            ending.report(reason);
        });
    }

    fn stop(&mut self) {
        self.orders.give(Order::Stop);
    }

    fn kill(&mut self) {
        self.orders.give(Order::Kill);
    }
}

/// Runs one incarnation to its end, whatever that is.
async fn run(
    process: &Process,
    reaper: Option<Arc<Reaper>>,
    path: &Arc<str>,
    mut orders: watch::Receiver<Order>,
    id: &Mutex<Option<u32>>,
    ending: &mut Ending,
) -> ExitReason {
    let made = catch_unwind(AssertUnwindSafe(|| (process.factory.locked())()));
    let mut command = match made {
        Ok(command) => command,
        Err(payload) => return ExitReason::Panicked(Panic::from_payload(payload)),
    };
    let output = match process.ready_when {
        Some(_) => Output::Events,
        None => process.output,
    };
    let stdio = || match output {
        Output::Events => Stdio::piped(),
        Output::Inherit => Stdio::inherit(),
        Output::Discard => Stdio::null(),
    };
    command
        .stdout(stdio())
        .stderr(stdio())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(reaper) = &reaper {
        reaper.prepare();
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return ExitReason::Failed(error.into()),
    };
    let mut group = Group::of(&child, reaper);
    *id.locked() = child.id();
    let mut lines = Lines::of(&mut child, path, process.ready_when.clone());
    if process.ready_when.is_none() {
        ending.started();
    }
    let mut obeyed = Order::Run;
    let status = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status,
            order = beyond(&mut orders, obeyed) => {
                obeyed = order;
                match order {
                    Order::Kill => group.kill(),
                    Order::Stop | Order::Run => group.terminate(),
                }
            }
            () = lines.ready() => ending.started(),
        }
    };
    group.end();
    if lines.finish().await {
        // It was up, however soon after that it ended.
        ending.started();
    }
    let status = match status {
        Ok(status) => status,
        Err(error) => return ExitReason::Failed(error.into()),
    };
    let reason = reason_of(status, obeyed);
    if reason.is_orderly() {
        // Who ends without a failure has been up, whether or not it said so.
        ending.started();
    }
    reason
}

/// What a status means after this order.
fn reason_of(status: ExitStatus, obeyed: Order) -> ExitReason {
    const SIGTERM: i32 = 15;
    const SIGKILL: i32 = 9;
    // Shells, and programs that catch the signal, say so with 128 and its number.
    let was_terminated = status.signal() == Some(SIGTERM) || status.code() == Some(128 + SIGTERM);
    match obeyed {
        Order::Run if status.success() => ExitReason::Normal,
        Order::Stop if status.success() || was_terminated => ExitReason::Shutdown,
        Order::Kill if status.signal() == Some(SIGKILL) => ExitReason::Killed,
        Order::Kill if status.success() || was_terminated => ExitReason::Shutdown,
        _ => ExitReason::Failed(ProcessFailed { status }.into()),
    }
}
