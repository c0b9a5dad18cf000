//! The machine itself: what it is doing, what waits for it, and how events reach the one or the other.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::backoff::Random;
use super::children::Children;
use super::command::TimerSubject;
use super::intensity::RestartLog;
use super::planted::PlantedBug;
use super::{
    AdminError, Answer, CallId, Child, ChildCounts, ChildKey, ChildSpec, Command, Event, ExitCause,
    Flags, Reason, Report, Request, SpecError, Status, Strategy, Timer,
};

/// A supervisor that decides and does not act; see the [module](super) for the order of calls. `H` is what the shell
/// keeps with each child, `R` its exit reason.
#[derive(Debug)]
pub struct Machine<H, R> {
    pub(super) flags: Flags,
    pub(super) children: Children<H, R>,
    pub(super) activity: Activity<R>,
    pub(super) restart_log: RestartLog,
    pub(super) random: Random,
    /// The deadline of the activity, if it has one.
    pub(super) deadline: Option<Deadline>,
    /// Children that were removed by commands that have not been polled: until then they can be looked at.
    leaving: HashMap<ChildKey, Child<H, R>>,
    inbox: VecDeque<Message<H>>,
    commands: VecDeque<Command<Leaving, R>>,
    timers_set: u64,
    children_visited: u64,
    #[cfg(feature = "unstable-machines")]
    pub(super) planted: Option<super::planted::PlantedBug>,
}

/// What the supervisor does just now. Each variant that names a child waits for an event of that child.
#[derive(Clone, Debug)]
pub(super) enum Activity<R> {
    /// `Begin` has not arrived.
    NotBegun,
    /// Nothing: the next message of the inbox is handled.
    Idle,
    /// The first start of all children; this one is starting.
    StartAll { starting: ChildKey },
    /// A child starts because of a call; `added` when its spec came with the call.
    StartForCall {
        call: CallId,
        child: ChildKey,
        added: bool,
    },
    /// A child is restarted alone.
    RestartOne { child: ChildKey },
    /// A group is stopped because `origin` failed; this one is stopping.
    StopGroup {
        origin: ChildKey,
        then: AfterGroupStop,
        stopping: ChildKey,
    },
    /// A group is started again because `origin` failed; this one is starting.
    StartGroup { starting: ChildKey },
    /// A child is stopped because of a call.
    TerminateForCall { call: CallId, child: ChildKey },
    /// All children are stopped one after the other; this one is stopping.
    StopAll {
        cause: ExitCause<R>,
        stopping: ChildKey,
        next: Option<ChildKey>,
    },
    /// All children are stopped together; so many have not ended.
    StopTogether { cause: ExitCause<R>, left: usize },
    /// The supervisor has ended.
    Ended,
}

/// What follows when the group of a failed child has been stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterGroupStop {
    /// It is started again at once.
    Start,
    /// The backoff of the child that failed is waited for.
    Wait,
}

/// A timer for the activity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) timer: Timer,
    pub(super) purpose: DeadlinePurpose,
    pub(super) waited: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadlinePurpose {
    /// A start has taken too long.
    Start,
    /// An orderly stop has taken too long.
    Stop,
    /// A killed child has still not ended.
    Hung,
}

/// Stands for the handle of a removed child until its command is polled.
#[derive(Debug)]
pub(super) struct Leaving;

/// What waits while the supervisor is busy, in order of arrival.
#[derive(Debug)]
enum Message<H> {
    Exit {
        child: ChildKey,
        generation: u64,
    },
    /// OTP's `try_again_restart`: a restart failed, and what had arrived before it is handled first.
    TryAgain {
        child: ChildKey,
        generation: u64,
    },
    BackoffOver {
        child: ChildKey,
        timer: Timer,
    },
    Call {
        call: CallId,
        request: Request<H>,
    },
}

impl<H, R: Reason> Machine<H, R> {
    /// A supervisor without children; `seed` decides about jitter alone.
    #[must_use]
    pub fn new(flags: Flags, seed: u64) -> Self {
        Machine {
            children: Children::new(flags.strategy != Strategy::Dynamic),
            restart_log: RestartLog::new(flags.intensity),
            activity: Activity::NotBegun,
            random: Random::new(seed),
            deadline: None,
            leaving: HashMap::new(),
            inbox: VecDeque::new(),
            commands: VecDeque::new(),
            timers_set: 0,
            children_visited: 0,
            #[cfg(feature = "unstable-machines")]
            planted: None,
            flags,
        }
    }

    /// Adds a child that `Begin` will start, after those added before.
    ///
    /// # Errors
    ///
    /// If the id is taken or the combination of settings makes no sense; nothing was added.
    pub fn add(&mut self, spec: ChildSpec, handle: H) -> Result<ChildKey, SpecError> {
        spec.check(self.flags.auto_shutdown)?;
        let id = spec.id.clone();
        self.children
            .push(spec, handle)
            .ok_or(SpecError::DuplicateId { id })
    }

    /// Whether [`add`](Self::add) would take this specification, for those who have to make the handle first.
    ///
    /// # Errors
    ///
    /// As those of `add`.
    pub fn check(&self, spec: &ChildSpec) -> Result<(), SpecError> {
        spec.check(self.flags.auto_shutdown)?;
        match self.child_by_id(&spec.id) {
            None => Ok(()),
            Some(_) => Err(SpecError::DuplicateId {
                id: spec.id.clone(),
            }),
        }
    }

    /// The settings.
    #[must_use]
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// A child; `None` when it is gone, that is, when [`Command::Remove`] has been polled.
    #[must_use]
    pub fn child(&self, key: ChildKey) -> Option<&Child<H, R>> {
        self.children.get(key).or_else(|| self.leaving.get(&key))
    }

    /// What the shell gave with a child.
    #[must_use]
    pub fn handle_mut(&mut self, key: ChildKey) -> Option<&mut H> {
        let child = match self.children.get_mut(key) {
            Some(child) => Some(child),
            None => self.leaving.get_mut(&key),
        };
        child.map(|child| &mut child.handle)
    }

    /// The child with this id; never one of a dynamic supervisor.
    #[must_use]
    pub fn child_by_id(&self, id: &str) -> Option<ChildKey> {
        self.children.by_id(id)
    }

    /// All children.
    pub fn children_in_start_order(&self) -> impl Iterator<Item = (ChildKey, &Child<H, R>)> {
        self.children.iter_in_start_order()
    }

    /// How many children of which sort there are.
    #[must_use]
    pub fn counts(&self) -> ChildCounts {
        self.children.counts()
    }

    /// Whether nothing is being started or stopped.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.activity, Activity::Idle)
    }

    /// Whether `Exit` has been commanded.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.activity, Activity::Ended)
    }

    /// How many children have been looked at so far: the cost of all decisions, for tests of scale.
    #[must_use]
    pub fn children_visited(&self) -> u64 {
        self.children_visited
    }

    /// Prepares a supervisor that has ended for its next start, as a new one with the children of `keep`, in that
    /// order, and no others. Keys, generations and histories go on, so that nothing of the past is taken for news.
    /// Changes nothing before [`Command::Exit`].
    pub fn renew(&mut self, keep: &[ChildKey]) {
        if !self.has_ended() {
            return;
        }
        let kept: HashSet<_> = keep.iter().copied().collect();
        let all: Vec<_> = self
            .children
            .iter_in_start_order()
            .map(|(key, _)| key)
            .collect();
        for key in all {
            if !kept.contains(&key) {
                self.remove_child(key);
            } else if let Some(child) = self.children.get_mut(key) {
                child.failures_in_a_row = 0;
                child.failing_since = None;
                self.children.set_status(key, Status::Stopped);
            }
        }
        self.children.reorder(keep);
        self.restart_log = RestartLog::new(self.flags.intensity);
        self.activity = Activity::NotBegun;
    }

    /// Takes note of what happened at `now`. Then poll the commands.
    pub fn handle(&mut self, event: Event<H, R>, now: Duration) {
        match event {
            Event::Begin => {
                if matches!(self.activity, Activity::NotBegun) {
                    self.begin_starting_all(now);
                }
            }
            Event::Started { child, generation } => self.handle_started(child, generation, now),
            Event::Ignored { child, generation } => self.handle_ignored(child, generation, now),
            Event::StartFailed {
                child,
                generation,
                reason,
            }
            | Event::Exited {
                child,
                generation,
                reason,
            } => {
                self.handle_ended(child, generation, reason, now);
            }
            Event::TimerFired { timer } => match timer.subject {
                TimerSubject::Activity => self.handle_deadline(timer, now),
                TimerSubject::Backoff(child) => {
                    self.inbox.push_back(Message::BackoffOver { child, timer })
                }
            },
            Event::Call { call, request } => match self.activity {
                Activity::StopAll { .. } | Activity::StopTogether { .. } | Activity::Ended => {
                    self.reply(call, Err(AdminError::ShuttingDown));
                }
                _ => self.inbox.push_back(Message::Call { call, request }),
            },
            Event::Shutdown => self.begin_shutdown(ExitCause::Shutdown, now),
            Event::Kill => self.begin_kill(now),
        }
        self.handle_inbox(now);
    }

    /// The next thing to do; `None` when all has been said until the next event.
    pub fn poll_command(&mut self) -> Option<Command<H, R>> {
        loop {
            let command = self
                .commands
                .pop_front()?
                .try_map_handle(|key, Leaving| self.leaving.remove(&key).map(|child| child.handle));
            if command.is_some() {
                return command;
            }
        }
    }

    fn handle_inbox(&mut self, now: Duration) {
        while self.is_idle() {
            let Some(message) = self.inbox.pop_front() else {
                break;
            };
            match message {
                Message::Exit { child, generation } => {
                    let is_current = |c: &mut Child<H, R>| {
                        c.generation == generation && c.status() == Status::Ended
                    };
                    if self.visit(child).is_some_and(is_current) {
                        self.decide_about_exit(child, now);
                    }
                }
                Message::TryAgain { child, generation } => {
                    let is_current = |c: &mut Child<H, R>| {
                        c.generation == generation && c.status() == Status::Restarting
                    };
                    if self.visit(child).is_some_and(is_current) {
                        if self.has_bug(PlantedBug::RetryIsNotCounted) {
                            self.attempt_restart(child, now);
                            continue;
                        }
                        self.restart_or_give_up(child, now);
                    }
                }
                Message::BackoffOver { child, timer } => {
                    let timer_of_child = self.visit(child).map(|child| &mut child.backoff_timer);
                    if timer_of_child
                        .is_some_and(|current| current.take_if(|t| *t == timer).is_some())
                    {
                        self.attempt_restart(child, now);
                    }
                }
                Message::Call { call, request } => self.handle_request(call, request, now),
            }
        }
    }

    /// A child ended, whether it was starting, running or stopping.
    fn handle_ended(&mut self, key: ChildKey, generation: u64, reason: R, now: Duration) {
        let Some(child) = self
            .visit(key)
            .filter(|child| child.generation == generation)
        else {
            return;
        };
        match child.status() {
            Status::Starting => self.handle_start_failed(key, reason, now),
            Status::Running => {
                self.children.set_status(key, Status::Ended);
                if let Some(child) = self.children.get_mut(key) {
                    child.ended_with = Some(reason);
                }
                self.inbox.push_back(Message::Exit {
                    child: key,
                    generation,
                });
            }
            Status::Stopping => self.handle_stopped(key, reason, now),
            // The death of an incarnation is handled once.
            Status::Stopped | Status::AwaitingGroup | Status::Ended | Status::Restarting => {}
        }
    }

    pub(super) fn try_again_later(&mut self, child: ChildKey, generation: u64) {
        self.inbox
            .push_back(Message::TryAgain { child, generation });
    }

    /// Empties the inbox when the supervisor is about to end: calls are answered, the rest has become void.
    pub(super) fn refuse_waiting_calls(&mut self) {
        for message in std::mem::take(&mut self.inbox) {
            if let Message::Call { call, .. } = message {
                self.reply(call, Err(AdminError::ShuttingDown));
            }
        }
    }

    /// A child that is to be looked at; counted.
    pub(super) fn visit(&mut self, key: ChildKey) -> Option<&mut Child<H, R>> {
        self.children_visited += 1;
        self.children.get_mut(key)
    }

    pub(super) fn command(&mut self, command: Command<Leaving, R>) {
        self.commands.push_back(command);
    }

    pub(super) fn report(&mut self, child: ChildKey, report: Report<R>) {
        self.commands.push_back(Command::Report { child, report });
    }

    pub(super) fn reply(&mut self, call: CallId, result: Result<Answer, AdminError<R>>) {
        self.commands.push_back(Command::Reply { call, result });
    }

    pub(super) fn set_timer(&mut self, subject: TimerSubject, at: Duration) -> Timer {
        self.timers_set += 1;
        let timer = Timer {
            sequence: self.timers_set,
            at,
            subject,
        };
        self.command(Command::SetTimer { timer });
        timer
    }

    pub(super) fn set_deadline(
        &mut self,
        purpose: DeadlinePurpose,
        after: Duration,
        now: Duration,
    ) {
        self.clear_deadline();
        let timer = self.set_timer(TimerSubject::Activity, now.saturating_add(after));
        self.deadline = Some(Deadline {
            timer,
            purpose,
            waited: after,
        });
    }

    pub(super) fn clear_deadline(&mut self) {
        if let Some(Deadline { timer, .. }) = self.deadline.take() {
            self.command(Command::CancelTimer { timer });
        }
    }

    /// Drops a child and its spec.
    pub(super) fn remove_child(&mut self, key: ChildKey) {
        self.cancel_backoff(key);
        if let Some(child) = self.children.remove(key) {
            self.leaving.insert(key, child);
            self.command(Command::Remove {
                child: key,
                handle: Leaving,
            });
        }
    }
}
