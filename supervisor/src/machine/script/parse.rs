//! Words into steps.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::machine::{
    AutoShutdown, Backoff, ChildRole, ChildSpec, Escalation, Flags, Intensity, QueueFate,
    Resolution, Restart, Shutdown, Strategy,
};

/// One step of a script. The words that make it are given with each.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// `supervisor STRATEGY [intensity N PERIOD] [seconds] [any|all] [otp] [max N] [hung TIME] [abandon]`: the
    /// settings; `seconds` measures the intensity in whole seconds, `otp` escalates with `shutdown`.
    Supervisor(Flags),
    /// `start CHILD...`: adds the children and starts the supervisor.
    Begin(Vec<ChildLine>),
    /// `exit ID normal|shutdown|killed|panic|error`: the child ends by itself.
    Exit(Arc<str>, Outcome),
    /// `tick TIME`: time passes, and timers that are due fire.
    Tick(Duration),
    /// `fail ID [N]`, `ignore ID [N]`, `hang ID`, `stubborn ID`, `stuck ID`, `obey ID`: how the child behaves from
    /// now on, or for the next `N` starts.
    Behave(Arc<str>, Fate, u32),
    /// `started ID`: a start that hung succeeds.
    Started(Arc<str>),
    /// `failed ID`: a start that hung fails.
    Failed(Arc<str>),
    /// `add CHILD`: `start_child`.
    Add(ChildLine),
    /// `terminate ID`: `terminate_child`.
    Terminate(Arc<str>),
    /// `restart ID`: `restart_child`.
    Restart(Arc<str>),
    /// `delete ID`: `delete_child`.
    Delete(Arc<str>),
    /// `which`: `which_children`.
    Which,
    /// `count`: `count_children`.
    Count,
    /// `shutdown`: the parent stops the supervisor.
    Shutdown,
    /// `kill`: the supervisor is killed.
    Kill,
}

use super::Outcome;

/// How a child behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Starts and stops when told to.
    Obey,
    /// Its starts fail.
    Fail,
    /// Its starts are declined.
    Ignore,
    /// Its starts take for ever.
    Hang,
    /// It does not stop when asked.
    Stubborn,
    /// It does not even end when killed.
    Stuck,
}

/// A child: `ID[:OPTION]...`.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildLine {
    /// What the machine is given.
    pub spec: ChildSpec,
    /// The options as written.
    pub options: Vec<ChildOption>,
}

/// The words after the id of a child.
#[derive(Clone, Debug, PartialEq)]
pub enum ChildOption {
    /// `permanent`, `transient`, `temporary`.
    Restart(Restart),
    /// `brutal`, `infinity`, or a time.
    Shutdown(Shutdown),
    /// `significant`.
    Significant,
    /// `supervisor`.
    Supervisor,
    /// `starts=TIME`: the deadline of a start.
    StartTimeout(Duration),
    /// `backoff=FIRST..CAP[xN]`: doubling delays without jitter; gives up after `N` failures in a row.
    Backoff(Backoff),
    /// `lose`: its queue is discarded when it fails.
    Lose,
    /// `keep`: its queue is kept when a sibling fails.
    Keep,
}

/// A word that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The step it is in.
    pub step: String,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.problem)
    }
}

impl Error for ScriptError {}

/// Reads a script.
///
/// # Errors
///
/// On the first word that makes no sense.
pub fn parse(script: &str) -> Result<Vec<Step>, ScriptError> {
    script
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|step| !step.is_empty())
        .map(|step| {
            parse_step(step).map_err(|problem| ScriptError {
                step: step.into(),
                problem,
            })
        })
        .collect()
}

fn parse_step(step: &str) -> Result<Step, String> {
    let mut words = step.split_whitespace();
    let verb = words.next().unwrap_or_default();
    let mut words = words.peekable();
    let mut next = |what: &str| words.next().ok_or_else(|| format!("{what} is missing"));
    let parsed = match verb {
        "supervisor" => return parse_flags(words.collect()),
        "start" => {
            return words
                .map(parse_child)
                .collect::<Result<_, _>>()
                .map(Step::Begin);
        }
        "exit" => Step::Exit(next("the id")?.into(), parse_outcome(next("the reason")?)?),
        "tick" => Step::Tick(parse_time(next("the time")?)?),
        "fail" | "ignore" | "hang" | "stubborn" | "stuck" | "obey" => {
            let fate = match verb {
                "fail" => Fate::Fail,
                "ignore" => Fate::Ignore,
                "hang" => Fate::Hang,
                "stubborn" => Fate::Stubborn,
                "stuck" => Fate::Stuck,
                _ => Fate::Obey,
            };
            let id = next("the id")?.into();
            let times = words.next().map_or(Ok(u32::MAX), parse_number)?;
            Step::Behave(id, fate, times)
        }
        "started" => Step::Started(next("the id")?.into()),
        "failed" => Step::Failed(next("the id")?.into()),
        "add" => Step::Add(parse_child(next("the child")?)?),
        "terminate" => Step::Terminate(next("the id")?.into()),
        "restart" => Step::Restart(next("the id")?.into()),
        "delete" => Step::Delete(next("the id")?.into()),
        "which" => Step::Which,
        "count" => Step::Count,
        "shutdown" => Step::Shutdown,
        "kill" => Step::Kill,
        other => return Err(format!("there is no step {other:?}")),
    };
    match words.next() {
        Some(surplus) => Err(format!("{surplus:?} is too much")),
        None => Ok(parsed),
    }
}

fn parse_flags(words: Vec<&str>) -> Result<Step, String> {
    let mut words = words.into_iter();
    let strategy = match words.next().unwrap_or_default() {
        "one_for_one" => Strategy::OneForOne,
        "one_for_all" => Strategy::OneForAll,
        "rest_for_one" => Strategy::RestForOne,
        "dynamic" => Strategy::Dynamic,
        other => return Err(format!("there is no strategy {other:?}")),
    };
    let mut flags = Flags::new(strategy);
    while let Some(word) = words.next() {
        let mut next = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word {
            "intensity" => {
                let (limit, period) = (parse_number(next()?)?, parse_time(next()?)?);
                flags.intensity = Intensity {
                    limit,
                    period,
                    ..flags.intensity
                };
            }
            "seconds" => flags.intensity.resolution = Resolution::WholeSeconds,
            "any" => flags.auto_shutdown = AutoShutdown::AnySignificant,
            "all" => flags.auto_shutdown = AutoShutdown::AllSignificant,
            "otp" => flags.escalation = Escalation::Shutdown,
            "max" => flags.max_children = Some(parse_number(next()?)? as usize),
            "hung" => flags.hung_after = Some(parse_time(next()?)?),
            "abandon" => flags.abandon_hung = true,
            other => return Err(format!("there is no setting {other:?}")),
        }
    }
    Ok(Step::Supervisor(flags))
}

fn parse_child(word: &str) -> Result<ChildLine, String> {
    let mut words = word.split(':');
    let options: Vec<_> = words
        .clone()
        .skip(1)
        .map(parse_option)
        .collect::<Result<_, _>>()?;
    let mut spec = ChildSpec::worker(words.next().unwrap_or_default());
    for option in &options {
        match option {
            ChildOption::Restart(restart) => spec.restart = *restart,
            ChildOption::Shutdown(shutdown) => spec.shutdown = *shutdown,
            ChildOption::Significant => spec.significant = true,
            ChildOption::Supervisor => {
                spec.role = ChildRole::Supervisor;
                spec.shutdown = Shutdown::SUPERVISOR;
            }
            ChildOption::StartTimeout(timeout) => spec.start_timeout = Some(*timeout),
            ChildOption::Backoff(backoff) => spec.backoff = Some(Arc::new(*backoff)),
            ChildOption::Lose => spec.queue_on_own_restart = QueueFate::DeadLetters,
            ChildOption::Keep => spec.queue_on_group_restart = QueueFate::Keep,
        }
    }
    Ok(ChildLine { spec, options })
}

fn parse_option(word: &str) -> Result<ChildOption, String> {
    Ok(match word {
        "permanent" => ChildOption::Restart(Restart::Permanent),
        "transient" => ChildOption::Restart(Restart::Transient),
        "temporary" => ChildOption::Restart(Restart::Temporary),
        "brutal" => ChildOption::Shutdown(Shutdown::BrutalKill),
        "infinity" => ChildOption::Shutdown(Shutdown::Infinity),
        "significant" => ChildOption::Significant,
        "supervisor" => ChildOption::Supervisor,
        "lose" => ChildOption::Lose,
        "keep" => ChildOption::Keep,
        _ => match word.split_once('=') {
            Some(("starts", time)) => ChildOption::StartTimeout(parse_time(time)?),
            Some(("backoff", delays)) => ChildOption::Backoff(parse_backoff(delays)?),
            Some(_) => return Err(format!("there is no option {word:?}")),
            None => ChildOption::Shutdown(Shutdown::Timeout(parse_time(word)?)),
        },
    })
}

fn parse_backoff(word: &str) -> Result<Backoff, String> {
    let (delays, most) = word
        .split_once('x')
        .map_or((word, None), |(delays, most)| (delays, Some(most)));
    let (first, cap) = delays
        .split_once("..")
        .ok_or("a backoff is written FIRST..CAP")?;
    let backoff = Backoff::exponential(parse_time(first)?, parse_time(cap)?).jitter(0.0);
    Ok(match most {
        Some(most) => backoff.max_consecutive(parse_number(most)?),
        None => backoff,
    })
}

fn parse_outcome(word: &str) -> Result<Outcome, String> {
    Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.word() == word)
        .ok_or(format!("there is no reason {word:?}"))
}

fn parse_number(word: &str) -> Result<u32, String> {
    word.parse()
        .map_err(|_| format!("{word:?} is not a number"))
}

fn parse_time(word: &str) -> Result<Duration, String> {
    let (number, unit) = word.split_at(
        word.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(word.len()),
    );
    let number = u64::from(parse_number(number)?);
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err(format!("{word:?} is not a time such as 5s or 100ms")),
    }
}
