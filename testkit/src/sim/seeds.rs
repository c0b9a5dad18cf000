//! Many runs, each with a seed of its own.

use std::{fmt::Write, future::Future, ops::Range, time::Duration};

use super::{
    env::Env,
    once::{Limits, Run, run_once},
};

/// Runs `body` once for each seed from 0 to below `seeds`, each on a tokio runtime of its own with a paused clock, and lets
/// the seed choose which task goes on at each moment. See [`Seeds`].
///
/// # Panics
///
/// At the first seed with which it fails, with the command that runs that seed alone.
#[track_caller]
pub fn run<F, Fut>(seeds: u64, body: F)
where
    F: Fn(Env) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    Seeds::first(seeds).run(body);
}

/// Which seeds a test runs with, and how long each run may go on.
///
/// The variable `TREEWARDEN_SEED=17` runs that seed alone, and `TREEWARDEN_SEEDS=10000` that many instead of those that the
/// test asks for.
#[derive(Clone, Debug)]
#[must_use = "seeds do nothing until something is run with them"]
pub struct Seeds {
    seeds: Range<u64>,
    limits: Limits,
}

impl Seeds {
    /// The seeds from 0 to below `count`.
    pub fn first(count: u64) -> Self {
        Self::range(0..count)
    }

    /// These seeds.
    pub fn range(seeds: Range<u64>) -> Self {
        Self {
            seeds,
            limits: Limits {
                time: Duration::from_secs(24 * 3600),
                turns: 1_000_000,
            },
        }
    }

    /// How long a run may go on by its own, paused clock. A day, unless this is called.
    pub fn time_max(mut self, time: Duration) -> Self {
        self.limits.time = time;
        self
    }

    /// How many turns a run may take. A million, unless this is called.
    pub fn turns_max(mut self, turns: u64) -> Self {
        self.limits.turns = turns;
        self
    }

    /// Runs `body` with each seed, or with those that the environment names.
    ///
    /// # Panics
    ///
    /// At the first seed with which it fails. The seed has been run a second time by then, so that the message can say
    /// whether the failure replays.
    #[track_caller]
    pub fn run<F, Fut>(self, body: F)
    where
        F: Fn(Env) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let seeds = Self::range(seeds_to_run(self.seeds));
        let seeds = Self {
            limits: self.limits,
            ..seeds
        };
        if let Some(run) = seeds.find_failure(&body) {
            let again = run_once(run.seed, self.limits, &body);
            panic!("{}", report(&run, again == run));
        }
    }

    /// The first run that fails, if one does. The environment does not matter.
    pub fn find_failure<F, Fut>(&self, body: F) -> Option<Run>
    where
        F: Fn(Env) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.runs(&body).find(|run| run.failed.is_some())
    }

    /// The runs, one for each seed, as they are asked for. The environment does not matter.
    pub fn runs<F, Fut>(&self, body: F) -> impl Iterator<Item = Run> + use<F, Fut>
    where
        F: Fn(Env) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let limits = self.limits;
        self.seeds
            .clone()
            .map(move |seed| run_once(seed, limits, &body))
    }
}

fn seeds_to_run(asked_for: Range<u64>) -> Range<u64> {
    match (number("TREEWARDEN_SEED"), number("TREEWARDEN_SEEDS")) {
        (Some(seed), _) => seed..seed.saturating_add(1),
        (None, Some(count)) => asked_for.start..asked_for.start.saturating_add(count),
        (None, None) => asked_for,
    }
}

/// # Panics
///
/// If the variable is set to something else than a number: a run with other seeds than were meant would mislead.
fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    match value.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable}={value}: it has to be a number"),
    }
}

fn report(run: &Run, replays: bool) -> String {
    let mut text = String::new();
    if let Some(failed) = &run.failed {
        let _ = writeln!(text, "{failed}");
    }
    let _ = writeln!(text, "  with seed {}, after {} turns", run.seed, run.turns);
    for note in &run.notes {
        let _ = writeln!(text, "  noted: {note}");
    }
    // The test harness names the thread after the test.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let seed = run.seed;
    let _ = match replays {
        true => write!(
            text,
            "  it replays: TREEWARDEN_SEED={seed} cargo test {test}"
        ),
        false => write!(
            text,
            "  it did not replay: a second run with TREEWARDEN_SEED={seed} went otherwise, so the test depends on \
             something beside its seed, such as a thread, the real clock or the order of a hash map"
        ),
    };
    text
}
