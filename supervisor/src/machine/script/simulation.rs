//! A world of children that obey the machine, in virtual time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{ChildLine, Fate, ScriptError, Step, parse};
use crate::machine::{
    AdminError, Answer, CallId, ChildKey, Command, Event, ExitCause, ExitClass, Flags, Machine,
    PlantedBug, Reason, Report, Request, Status, Strategy, Target, Timer,
};

/// The exit reasons of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `normal`.
    Normal,
    /// `shutdown`.
    Shutdown,
    /// `killed`.
    Killed,
    /// `panic`.
    Panic,
    /// `error`.
    Error,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 5] = [
        Outcome::Normal,
        Outcome::Shutdown,
        Outcome::Killed,
        Outcome::Panic,
        Outcome::Error,
    ];

    /// The word in scripts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Normal => "normal",
            Outcome::Shutdown => "shutdown",
            Outcome::Killed => "killed",
            Outcome::Panic => "panic",
            Outcome::Error => "error",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Reason for Outcome {
    fn class(&self) -> ExitClass {
        match self {
            Outcome::Normal => ExitClass::Normal,
            Outcome::Shutdown => ExitClass::Shutdown,
            Outcome::Killed => ExitClass::Killed,
            Outcome::Panic | Outcome::Error => ExitClass::Failure,
        }
    }
}

/// How much may follow from one event without time passing; a machine that is right never gets there.
const HAPPENINGS_MAX: u32 = 1_000;

/// What the simulation keeps with each child: its name.
pub type Handle = Arc<str>;

type Happening = Event<Handle, Outcome>;

/// A supervisor, its children and a clock.
#[derive(Debug)]
pub struct Simulation {
    machine: Machine<Handle, Outcome>,
    begun: bool,
    now: Duration,
    fates: HashMap<Arc<str>, (Fate, u32)>,
    names: HashMap<ChildKey, Arc<str>>,
    keys: HashMap<Arc<str>, ChildKey>,
    timers: BTreeMap<(Duration, u64), Timer>,
    calls_made: u64,
    transcript: Vec<String>,
    seen: Vec<Seen>,
    planted: Option<PlantedBug>,
    /// The machine did not come to rest, so nothing happens any more.
    is_wild: bool,
}

/// What anybody outside the supervisor can see of it: enough to compare it with another one.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A child was told to start.
    Start(Arc<str>),
    /// An incarnation ended.
    Down(Arc<str>, Outcome),
    /// A call was answered.
    Reply(u64, Result<Answer, AdminError<Outcome>>),
    /// The supervisor ended.
    End(ExitCause<Outcome>),
}

impl Simulation {
    /// A one_for_one supervisor with OTP's defaults, until a script says otherwise.
    #[must_use]
    pub fn new() -> Self {
        Simulation {
            machine: Machine::new(Flags::default(), 0),
            begun: false,
            now: Duration::ZERO,
            fates: HashMap::new(),
            names: HashMap::new(),
            keys: HashMap::new(),
            timers: BTreeMap::new(),
            calls_made: 0,
            transcript: Vec::new(),
            seen: Vec::new(),
            planted: None,
            is_wild: false,
        }
    }

    /// The same with a bug in the machine, to test the tests.
    #[must_use]
    pub fn with_bug(bug: PlantedBug) -> Self {
        let mut simulation = Simulation {
            planted: Some(bug),
            ..Simulation::new()
        };
        simulation.machine.plant(Some(bug));
        simulation
    }

    /// Runs a whole script and returns the transcript: each step, and the commands that it caused.
    ///
    /// # Errors
    ///
    /// If the script cannot be read.
    pub fn transcript_of(script: &str) -> Result<String, ScriptError> {
        let mut simulation = Simulation::new();
        for step in parse(script)? {
            simulation.run(&step);
        }
        Ok(simulation.transcript())
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine<Handle, Outcome> {
        &self.machine
    }

    /// The commands so far, a line each.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.transcript
    }

    /// The commands so far.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.transcript
            .iter()
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// What could be seen since the last time.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// Fires the timers that are set, and those that follow from them, without letting time pass.
    pub fn fire_timers_early(&mut self) {
        while let Some((_, timer)) = self.timers.pop_first() {
            self.happen(Event::TimerFired { timer });
        }
    }

    /// Writes a line of its own into the transcript.
    pub fn note(&mut self, line: impl Into<String>) {
        self.transcript.push(line.into());
    }

    /// Runs one step, and everything that follows from it without time passing.
    pub fn run(&mut self, step: &Step) {
        match step {
            Step::Supervisor(flags) => {
                self.machine = Machine::new(flags.clone(), 0);
                self.machine.plant(self.planted);
                self.begun = false;
            }
            Step::Begin(children) => {
                for ChildLine { spec, .. } in children {
                    match self.machine.add(spec.clone(), spec.id.clone()) {
                        Ok(key) => self.name(key, &spec.id.clone()),
                        Err(error) => self.note(format!("  refused: {error}")),
                    }
                }
                self.begun = true;
                self.happen(Event::Begin);
            }
            Step::Exit(id, reason) => self.child_event(id, *reason),
            Step::Tick(time) => self.pass(*time),
            Step::Behave(id, fate, times) => drop(self.fates.insert(id.clone(), (*fate, *times))),
            Step::Started(id) => {
                if let Some((child, generation)) = self.hanging_start(id) {
                    self.happen(Event::Started { child, generation });
                }
            }
            Step::Failed(id) => {
                if let Some((child, generation)) = self.hanging_start(id) {
                    self.happen(Event::StartFailed {
                        child,
                        generation,
                        reason: Outcome::Error,
                    });
                }
            }
            Step::Add(ChildLine { spec, .. }) => {
                self.call(Request::StartChild {
                    spec: Box::new(spec.clone()),
                    handle: spec.id.clone(),
                });
            }
            Step::Terminate(id) => self.call(Request::TerminateChild(self.target(id))),
            Step::Restart(id) => self.call(Request::RestartChild(self.target(id))),
            Step::Delete(id) => self.call(Request::DeleteChild(self.target(id))),
            Step::Which => self.call(Request::WhichChildren),
            Step::Count => self.call(Request::CountChildren),
            Step::Shutdown => self.happen(Event::Shutdown),
            Step::Kill => self.happen(Event::Kill),
        }
    }

    fn target(&self, id: &Arc<str>) -> Target {
        match self.keys.get(id) {
            Some(key) if self.machine.flags().strategy == Strategy::Dynamic => Target::Key(*key),
            _ => Target::Id(id.clone()),
        }
    }

    fn name(&mut self, key: ChildKey, id: &Arc<str>) {
        self.names.insert(key, id.clone());
        self.keys.insert(id.clone(), key);
    }

    fn call(&mut self, request: Request<Handle>) {
        self.calls_made += 1;
        let call = CallId(self.calls_made);
        self.happen(Event::Call { call, request });
    }

    fn incarnation(&self, id: &str) -> Option<(ChildKey, u64)> {
        let key = *self.keys.get(id)?;
        self.machine
            .child(key)
            .map(|child| (key, child.generation()))
    }

    fn hanging_start(&self, id: &str) -> Option<(ChildKey, u64)> {
        let (key, generation) = self.incarnation(id)?;
        let starts = self.machine.child(key)?.status() == Status::Starting;
        starts.then_some((key, generation))
    }

    fn child_event(&mut self, id: &Arc<str>, reason: Outcome) {
        let runs = |status: Status| {
            matches!(
                status,
                Status::Running | Status::Starting | Status::Stopping
            )
        };
        if let Some((child, generation)) = self.incarnation(id)
            && self
                .machine
                .child(child)
                .is_some_and(|child| runs(child.status()))
        {
            self.happen(Event::Exited {
                child,
                generation,
                reason,
            });
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((&(at, _), _)) = self.timers.first_key_value()
            && at <= until
            && let Some((_, timer)) = self.timers.pop_first()
        {
            self.now = at;
            self.note(format!("  timer {} fires at {at:?}", timer.sequence));
            self.happen(Event::TimerFired { timer });
        }
        self.now = until;
    }

    /// Lets something happen, and the children react to what the machine commands.
    fn happen(&mut self, event: Happening) {
        let mut happenings = VecDeque::from([event]);
        let mut happened = 0;
        while let Some(event) = happenings.pop_front() {
            happened += 1;
            if happened > HAPPENINGS_MAX {
                self.note("  and so on");
                self.is_wild = true;
            }
            if self.is_wild {
                return;
            }
            if let Event::Exited { child, reason, .. } = &event {
                self.seen.push(Seen::Down(self.id(*child), *reason));
            }
            self.machine.handle(event, self.now);
            while let Some(command) = self.machine.poll_command() {
                self.obey(command, &mut happenings);
            }
        }
    }

    fn obey(&mut self, command: Command<Handle, Outcome>, happenings: &mut VecDeque<Happening>) {
        match command {
            Command::Start { child, generation } => {
                if let Some(id) = self
                    .machine
                    .child(child)
                    .map(|child| child.handle().clone())
                {
                    self.name(child, &id);
                }
                let id = self.id(child);
                self.note(format!("  start {id} #{generation}"));
                self.seen.push(Seen::Start(id.clone()));
                happenings.extend(match self.fate_of_start(&id) {
                    Fate::Fail => Some(Event::StartFailed {
                        child,
                        generation,
                        reason: Outcome::Error,
                    }),
                    Fate::Ignore => Some(Event::Ignored { child, generation }),
                    Fate::Hang => None,
                    _ => Some(Event::Started { child, generation }),
                });
            }
            Command::Stop { child, generation } => {
                let id = self.id(child);
                self.note(format!("  stop {id} #{generation}"));
                if !matches!(self.fate(&id), Fate::Stubborn | Fate::Stuck) {
                    happenings.push_back(Event::Exited {
                        child,
                        generation,
                        reason: Outcome::Shutdown,
                    });
                }
            }
            Command::Kill { child, generation } => {
                let id = self.id(child);
                self.note(format!("  kill {id} #{generation}"));
                if self.fate(&id) != Fate::Stuck {
                    happenings.push_back(Event::Exited {
                        child,
                        generation,
                        reason: Outcome::Killed,
                    });
                }
            }
            Command::SetTimer { timer } => {
                let at = timer.at;
                self.timers.insert((at, timer.sequence), timer);
                self.note(format!("  timer {} for {at:?}", timer.sequence));
            }
            Command::CancelTimer { timer } => {
                self.timers.retain(|_, other| *other != timer);
                self.note(format!("  cancel timer {}", timer.sequence));
            }
            Command::Mark { child, mark } => {
                self.note(format!("  mark {} {mark:?}", self.id(child)).to_lowercase())
            }
            Command::DiscardQueue { child } => {
                self.note(format!("  discard the queue of {}", self.id(child)))
            }
            Command::Remove { child, .. } => {
                self.note(format!("  remove {}", self.id(child)));
            }
            Command::Reply { call, result } => {
                self.seen.push(Seen::Reply(call.0, result.clone()));
                let answer = match result {
                    Ok(Answer::Started(key)) => format!("ok, started {}", self.id(key)),
                    Ok(Answer::Ignored) => "ok, ignored".into(),
                    Ok(Answer::Done) => "ok".into(),
                    Ok(Answer::Counts(c)) => format!(
                        "{} specs, {} active, {} supervisors, {} workers",
                        c.specs, c.active, c.supervisors, c.workers
                    ),
                    Ok(Answer::Children(children)) => {
                        let line = |c: &crate::machine::ChildInfo| {
                            format!("{} {:?}", c.id, c.status).to_lowercase()
                        };
                        children.iter().map(line).collect::<Vec<_>>().join(", ")
                    }
                    Err(error) => format!("error: {error}"),
                };
                self.note(format!("  reply {}: {answer}", call.0));
            }
            Command::Ready => self.note("  ready"),
            Command::Report { report, .. } => {
                if let Some(line) = describe(&report) {
                    self.note(format!("  report {line}"));
                }
            }
            Command::Exit(cause) => {
                self.note(format!("  exit {cause:?}"));
                self.seen.push(Seen::End(cause));
            }
        }
    }

    /// The name of a child, also when it is gone; `?` if there never was one.
    #[must_use]
    pub fn id(&self, key: ChildKey) -> Arc<str> {
        self.names.get(&key).cloned().unwrap_or_else(|| "?".into())
    }

    fn fate(&self, id: &str) -> Fate {
        self.fates.get(id).map_or(Fate::Obey, |(fate, _)| *fate)
    }

    /// The fate of this start; failing and ignoring can be limited to so many starts.
    fn fate_of_start(&mut self, id: &str) -> Fate {
        match self.fates.get_mut(id) {
            None => Fate::Obey,
            Some((_, 0)) => Fate::Obey,
            Some((fate, u32::MAX)) => *fate,
            Some((fate, left)) => {
                *left -= 1;
                *fate
            }
        }
    }
}

impl Default for Simulation {
    fn default() -> Self {
        Simulation::new()
    }
}

/// Reports that say more than the commands around them.
fn describe(report: &Report<Outcome>) -> Option<String> {
    Some(match report {
        Report::Started { .. } | Report::Stopped { .. } | Report::Ignored { .. } => return None,
        Report::StartFailed {
            id,
            generation,
            reason,
        } => format!("{id} #{generation} failed to start: {reason}"),
        Report::Exited {
            id,
            generation,
            reason,
        } => format!("{id} #{generation} exited: {reason}"),
        Report::Restarting {
            id,
            after,
            failures_in_a_row,
        } => {
            format!("{id} restarts after {after:?}, failures in a row {failures_in_a_row}")
        }
        Report::StoppedBadly {
            id,
            generation,
            reason,
        } => format!("{id} #{generation} stopped badly: {reason}"),
        Report::Stalled {
            id,
            generation,
            waited,
            starting,
        } => {
            format!(
                "{id} #{generation} stalled {waited:?} while {}",
                if *starting { "starting" } else { "stopping" }
            )
        }
        Report::Hung {
            id,
            generation,
            abandoned,
        } => {
            format!(
                "{id} #{generation} hung, {}",
                if *abandoned { "abandoned" } else { "waiting" }
            )
        }
        Report::Escalated { id, limit, reason } => {
            format!("gives up on {id}: {reason}, limit {limit:?}")
        }
        // Never the machine's.
        Report::Overran { .. } => return None,
        Report::AutoShutdown { id } => format!("shuts down with {id}"),
    })
}
