//! One run with one seed.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use super::{
    env::{Env, text_of},
    turns::Turns,
};

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// How many times a task was chosen and polled.
    pub turns: u64,
    /// A number that is the same for runs with the same choices, and another for others, but for chance.
    pub fingerprint: u64,
    /// What the body [wrote down](Env::note).
    pub notes: Vec<String>,
    /// How it failed, if it did.
    pub failed: Option<Failed>,
}

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failed {
    /// The body panicked.
    Panicked(String),
    /// A task panicked that the body had spawned.
    TaskPanicked(String),
    /// The body did not end before this time had passed in the run.
    OutOfTime(Duration),
    /// The body did not end within this many turns.
    OutOfTurns(u64),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(text) => f.write_str(text),
            Self::TaskPanicked(text) => write!(f, "a task panicked: {text}"),
            Self::OutOfTime(time) => write!(
                f,
                "it did not end within {time:?} of its own time: it waits for something that never comes"
            ),
            Self::OutOfTurns(turns) => {
                write!(
                    f,
                    "it did not end within {turns} turns: something goes in circles"
                )
            }
        }
    }
}

/// How long a run may go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) time: Duration,
    pub(super) turns: u64,
}

pub(super) fn run_once<F, Fut>(seed: u64, limits: Limits, body: &F) -> Run
where
    F: Fn(Env) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        // No I/O: it could not be replayed.
        .enable_time()
        .start_paused(true)
        // Tokio wakes who called its `yield_now` when it looks for events. After each poll, or else they would always be
        // the last.
        .event_interval(1)
        .build()
        .expect("a tokio runtime can be made");
    let turns = Turns::new(seed, limits.turns);
    let env = Env::new(seed, turns.clone());
    let failed = runtime.block_on(async {
        let body = match catch_unwind(AssertUnwindSafe(|| body(env.clone()))) {
            Ok(future) => future,
            Err(payload) => return Some(Failed::Panicked(text_of(&*payload))),
        };
        let conductor = tokio::spawn(turns.clone().conduct());
        let body = tokio::spawn(turns.wrap(body));
        tokio::select! {
            biased;
            // First, because the body often panics when it joins that task.
            text = env.panicked() => Some(Failed::TaskPanicked(text)),
            ended = body => match ended {
                Ok(()) => None,
                Err(error) => Some(Failed::Panicked(text_of(&*error.into_panic()))),
            },
            _ = conductor => Some(Failed::OutOfTurns(limits.turns)),
            () = tokio::time::sleep(limits.time) => Some(Failed::OutOfTime(limits.time)),
        }
    });
    let run = Run {
        seed,
        turns: turns.given(),
        fingerprint: turns.fingerprint(),
        notes: env.notes(),
        failed,
    };
    drop(runtime);
    run
}
