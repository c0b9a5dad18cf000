//! Blocking functions as children: each incarnation is a thread.
//!
//! A thread cannot be interrupted, so an order to stop or to kill is something that the function has to look for. A function that does not
//! is waited for as long as the child's shutdown says; then it is reported as hung, and at a shutdown left behind by choice.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select_biased};
use treewarden_runtime::{ExitReason, Failure, Panic, System};

use super::incarnation::Ending;
use super::{ChildKind, ChildPlace};
use crate::sync::MutexExt;

type Function = dyn Fn(&BlockingContext) -> Result<(), Failure> + Send + Sync;

/// What a blocking function knows of its supervisor.
pub struct BlockingContext {
    stop: Receiver<Infallible>,
    ending: Mutex<Ending>,
    place: ChildPlace,
    incarnation: u64,
    last_exit: Option<ExitReason>,
}

impl BlockingContext {
    /// Says that the function is up: later siblings may start. Only the first call counts.
    pub fn ready(&self) {
        self.ending.locked().started();
    }

    /// Whether it is to stop. It then has the time of its [`Shutdown`](crate::Shutdown) to return.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.stop.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// A channel that nothing is ever sent through, and that is disconnected when the function is to stop: for a
    /// `crossbeam_channel::select!` beside channels of one's own.
    #[must_use]
    pub fn cancelled(&self) -> &Receiver<Infallible> {
        &self.stop
    }

    /// Says that it is ready, and works off what comes through the channel, until it is to stop, the channel is disconnected, or an item
    /// fails. What waits in the channel stays there, for the next incarnation; the item that failed or panicked is gone.
    ///
    /// # Errors
    ///
    /// The first error of `work`.
    pub fn each<T, E>(
        &self,
        items: &Receiver<T>,
        mut work: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        self.ready();
        loop {
            select_biased! {
                recv(self.stop) -> _ => return Ok(()),
                recv(items) -> item => match item {
                    Ok(item) => work(item)?,
                    Err(_) => return Ok(()),
                },
            }
        }
    }

    /// Which incarnation this is; the first is 1.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// How the incarnation before it ended, or failed to start.
    #[must_use]
    pub fn last_exit(&self) -> Option<&ExitReason> {
        self.last_exit.as_ref()
    }

    /// The path of the child.
    #[must_use]
    pub fn path(&self) -> &Arc<str> {
        &self.place.path
    }

    /// The system.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.place.system
    }
}

impl fmt::Debug for BlockingContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "BlockingContext({}, incarnation {})",
            self.place.path, self.incarnation
        )
    }
}

pub(super) struct BlockingKind {
    place: ChildPlace,
    function: Arc<Function>,
    /// Disconnects the incarnation's channel when dropped, also with the whole supervisor.
    reins: Option<Sender<Infallible>>,
    killed: Arc<AtomicBool>,
    last_exit: Arc<Mutex<Option<ExitReason>>>,
}

impl BlockingKind {
    pub(super) fn new(place: ChildPlace, function: Arc<Function>) -> Self {
        BlockingKind {
            place,
            function,
            reins: None,
            killed: Arc::default(),
            last_exit: Arc::default(),
        }
    }
}

impl ChildKind for BlockingKind {
    fn kind(&self) -> Cow<'static, str> {
        "blocking function".into()
    }

    fn start(&mut self, incarnation: u64) {
        let (reins, stop) = bounded(0);
        self.reins = Some(reins);
        self.killed = Arc::default();
        let context = BlockingContext {
            stop,
            ending: Mutex::new(Ending::new(self.place.observer.clone(), incarnation)),
            place: self.place.clone(),
            incarnation,
            last_exit: self.last_exit.locked().clone(),
        };
        let context = Arc::new(context);
        let (function, killed) = (self.function.clone(), self.killed.clone());
        let (last_exit, on_thread) = (self.last_exit.clone(), context.clone());
        let thread = std::thread::Builder::new().name(self.place.path.to_string());
        let spawned = thread.spawn(move || {
            let reason = run(&*function, &on_thread, &killed);
            *last_exit.locked() = Some(reason.clone());
            let mut ending = on_thread.ending.locked();
            // Who ends without a failure has been up, whether or not it said so.
            if reason.is_orderly() {
                ending.started();
            }
            ending.report(reason);
        });
        if let Err(error) = spawned {
            let mut ending = context.ending.locked();
            ending.report(ExitReason::Failed(error.into()));
        }
    }

    fn stop(&mut self) {
        self.reins = None;
    }

    fn kill(&mut self) {
        self.killed.store(true, Ordering::Release);
        self.reins = None;
    }
}

fn run(function: &Function, context: &BlockingContext, killed: &AtomicBool) -> ExitReason {
    let returned = catch_unwind(AssertUnwindSafe(|| function(context)));
    match returned {
        Err(payload) => ExitReason::Panicked(Panic::from_payload(payload)),
        Ok(Err(failure)) => ExitReason::Failed(failure),
        Ok(Ok(())) if killed.load(Ordering::Acquire) => ExitReason::Killed,
        Ok(Ok(())) if context.is_cancelled() => ExitReason::Shutdown,
        Ok(Ok(())) => ExitReason::Normal,
    }
}
