//! What changes while a supervisor runs: the machine, its children, timers and callers; and how commands are obeyed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use treewarden_runtime::host::{Life, Observer};
use treewarden_runtime::{ExitReason, Failure, Panic, Suspect};

use crate::child::{Child, ChildKind, ChildPlace};
use crate::error::{CallError, GaveUp, StartError};
use crate::machine::{
    AdminError, Answer, CallId, Changed, ChildKey, Command, Escalation, Event, ExitCause,
    ExitClass, Machine, Reason, Report, Request, Strategy, Timer,
};
use crate::node::Node;
use crate::report::{TreeEvent, TreeLog, state_of};
use crate::supervisor::Supervisor;

impl Reason for ExitReason {
    fn class(&self) -> ExitClass {
        match self {
            ExitReason::Normal => ExitClass::Normal,
            ExitReason::Shutdown => ExitClass::Shutdown,
            ExitReason::Killed => ExitClass::Killed,
            _ => ExitClass::Failure,
        }
    }
}

/// What reaches a supervisor.
pub(crate) enum Message {
    /// A child reports.
    Life { child: ChildKey, life: Life },
    /// Somebody adds a child.
    StartChild { child: Box<Child>, reply: Reply },
    /// Somebody gives it other settings and specifications.
    Change {
        supervisor: Box<Supervisor>,
        reply: ChangeReply,
    },
    /// Somebody asks for something else.
    Call {
        request: Request<Slot>,
        reply: Reply,
    },
    /// The supervisor is to end in order.
    Shutdown,
    /// The supervisor is to end at once.
    Kill,
}

pub(crate) type Reply = oneshot::Sender<Result<Answer, CallError>>;
pub(crate) type ChangeReply = oneshot::Sender<Result<Changed, CallError>>;

/// What the shell keeps with each child.
pub(crate) struct Slot {
    pub(crate) kind: Box<dyn ChildKind>,
    pub(crate) path: Arc<str>,
    observer: Arc<ChildObserver>,
    /// What is known of the message in whose handler the latest incarnation ended, until it is reported.
    suspect: Option<Suspect>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({})", self.path)
    }
}

/// Brings the reports of a child to its supervisor.
struct ChildObserver {
    /// Known from the admission of the child on, which is before its first start.
    child: OnceLock<ChildKey>,
    inbox: mpsc::UnboundedSender<Message>,
    id: Arc<str>,
    path: Arc<str>,
    log: TreeLog,
}

impl Observer for ChildObserver {
    fn on_life(&self, life: Life) {
        if let Life::Overran {
            incarnation: generation,
            overrun,
        } = life
        {
            // Not through the inbox: this supervisor may be stuck behind the same worker.
            let id = self.id.clone();
            return self.log.record(TreeEvent {
                path: self.path.clone(),
                report: Report::Overran {
                    id,
                    generation,
                    overrun,
                },
                suspect: None,
            });
        }
        if let Some(child) = self.child.get() {
            // Nobody listens when the runtime is being dropped.
            let _ = self.inbox.send(Message::Life {
                child: *child,
                life,
            });
        }
    }
}

/// What was made for a change that is not made must not stay behind.
fn discard(made: &mut HashMap<Arc<str>, Slot>) {
    for (_, mut slot) in made.drain() {
        slot.kind.retire();
    }
}

/// Everything that changes while a supervisor runs.
pub(crate) struct Core {
    pub(crate) machine: Machine<Slot, ExitReason>,
    /// The children of the specification, in start order, and their keys unless they have been deleted.
    initial: Vec<(Child, Option<ChildKey>)>,
    calls: HashMap<CallId, Reply>,
    /// Changes that wait until the machine is idle.
    changes: VecDeque<(Box<Supervisor>, ChangeReply)>,
    calls_made: u64,
    dynamic_children_made: u64,
    timers: BTreeMap<(std::time::Duration, u64), Timer>,
    epoch: Instant,
    /// Here while the supervisor does not run.
    inbox: Option<mpsc::UnboundedReceiver<Message>>,
}

impl Core {
    pub(crate) fn new(
        machine: Machine<Slot, ExitReason>,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Self {
        Core {
            machine,
            initial: Vec::new(),
            calls: HashMap::new(),
            changes: VecDeque::new(),
            calls_made: 0,
            dynamic_children_made: 0,
            timers: BTreeMap::new(),
            epoch: Instant::now(),
            inbox: Some(inbox),
        }
    }

    /// The time since the epoch of the machine.
    pub(crate) fn now(&self) -> std::time::Duration {
        self.epoch.elapsed()
    }

    /// The incarnation has ended: nobody is answered any more, and nothing is due.
    pub(crate) fn close(&mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        // Dropping the other end answers those who still wait. The core is locked, so no call is added.
        while inbox.try_recv().is_ok() {}
        self.calls.clear();
        self.changes.clear();
        self.timers.clear();
        self.inbox = Some(inbox);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.inbox.is_none()
    }

    /// Adds the children of the specification, before the first start.
    pub(crate) fn add_initial(
        &mut self,
        node: &Node,
        children: &[Child],
    ) -> Result<(), StartError> {
        for child in children {
            let key = self.add(node, child)?;
            self.initial.push((child.clone(), Some(key)));
        }
        Ok(())
    }

    fn add(&mut self, node: &Node, child: &Child) -> Result<ChildKey, StartError> {
        let refused = |error| StartError::Invalid {
            path: node.path.clone(),
            error,
        };
        // Before anything is made that would have to be undone.
        self.machine.check(&child.spec).map_err(refused)?;
        let slot = self
            .make(node, child)
            .map_err(|failure| StartError::Impossible {
                path: node.path_of(&child.spec.id),
                failure,
            })?;
        let observer = slot.observer.clone();
        let key = self
            .machine
            .add(child.spec.clone(), slot)
            .map_err(refused)?;
        let _ = observer.child.set(key);
        Ok(key)
    }

    /// Makes what the child is, and starts nothing.
    fn make(&mut self, node: &Node, child: &Child) -> Result<Slot, Failure> {
        let path = match self.machine.flags().strategy {
            Strategy::Dynamic => {
                self.dynamic_children_made += 1;
                format!(
                    "{}/{}#{}",
                    node.path, child.spec.id, self.dynamic_children_made
                )
                .into()
            }
            _ => node.path_of(&child.spec.id),
        };
        let observer = Arc::new(ChildObserver {
            child: OnceLock::new(),
            inbox: node.inbox.clone(),
            id: child.spec.id.clone(),
            path: Arc::clone(&path),
            log: node.log.clone(),
        });
        let place = ChildPlace {
            system: node.system.clone(),
            path: Arc::clone(&path),
            observer: observer.clone(),
            options: child.options.clone(),
            log: node.log.clone(),
        };
        let kind = (child.blueprint)(place)?;
        Ok(Slot {
            kind,
            path,
            observer,
            suspect: None,
        })
    }

    /// Prepares the next incarnation of the supervisor, and hands out its inbox; `None` if it runs already.
    pub(crate) fn begin(&mut self, node: &Node) -> Option<mpsc::UnboundedReceiver<Message>> {
        let mut inbox = self.inbox.take()?;
        // What arrived after the end of the incarnation before was not meant for this one.
        while inbox.try_recv().is_ok() {}
        if self.machine.has_ended() {
            let lost: Vec<_> = self
                .initial
                .iter()
                .map(|(_, key)| key.and_then(|key| self.machine.child(key)))
                .map(|child| child.is_none())
                .collect();
            for (index, lost) in lost.into_iter().enumerate() {
                if lost {
                    let child = self.initial[index].0.clone();
                    // It could be made and added before; should that fail now, it stays away as if it had been deleted.
                    self.initial[index].1 = self.add(node, &child).ok();
                }
            }
            let keep: Vec<_> = self.initial.iter().filter_map(|(_, key)| *key).collect();
            self.machine.renew(&keep);
            self.discharge();
        }
        self.timers.clear();
        Some(inbox)
    }

    /// Ends all addresses below: no order follows.
    pub(crate) fn retire(&mut self) {
        if !self.machine.has_ended() {
            self.machine.handle(Event::Shutdown, self.epoch.elapsed());
        }
        self.machine.renew(&[]);
        self.discharge();
    }

    /// Carries out the removals of a machine that does not run.
    fn discharge(&mut self) {
        while let Some(command) = self.machine.poll_command() {
            if let Command::Remove { mut handle, .. } = command {
                handle.kind.retire();
            }
        }
    }

    pub(crate) fn handle(&mut self, node: &Node, message: Message) {
        let event = match message {
            Message::Life { child, life } => match self.event_of_life(child, life) {
                Some(event) => event,
                None => return,
            },
            Message::Change { supervisor, reply } => {
                self.changes.push_back((supervisor, reply));
                return;
            }
            Message::Call { request, reply } => Event::Call {
                call: self.register(reply),
                request,
            },
            Message::StartChild { child, reply } => match self.make(node, &child) {
                Ok(handle) => {
                    let call = self.register(reply);
                    Event::Call {
                        call,
                        request: Request::StartChild {
                            spec: Box::new(child.spec),
                            handle,
                        },
                    }
                }
                Err(failure) => {
                    let _ = reply.send(Err(AdminError::StartFailed(ExitReason::Failed(failure))));
                    return;
                }
            },
            Message::Shutdown => Event::Shutdown,
            Message::Kill => Event::Kill,
        };
        self.machine.handle(event, self.epoch.elapsed());
    }

    /// Makes the changes that wait, if nothing is being started or stopped.
    fn make_changes(&mut self, node: &Node) {
        while self.machine.is_idle()
            && let Some((supervisor, reply)) = self.changes.pop_front()
        {
            // A caller that has gone away does not undo what it asked for.
            let _ = reply.send(self.change(node, *supervisor));
        }
    }

    fn change(&mut self, node: &Node, supervisor: Supervisor) -> Result<Changed, CallError> {
        let Supervisor {
            flags, children, ..
        } = supervisor;
        let specs: Vec<_> = children.iter().map(|child| child.spec.clone()).collect();
        // All that is new is made before anything is changed: it may turn out to be impossible.
        let mut made = HashMap::new();
        if self.machine.flags().strategy != Strategy::Dynamic {
            for child in &children {
                if self.machine.child_by_id(&child.spec.id).is_none() {
                    let slot = self.make(node, child);
                    let slot = slot.map_err(|failure| {
                        discard(&mut made);
                        AdminError::StartFailed(ExitReason::Failed(failure))
                    })?;
                    made.insert(child.spec.id.clone(), slot);
                }
            }
        }
        let changed = self.machine.change(flags, &specs).map_err(|error| {
            discard(&mut made);
            AdminError::Invalid(error)
        })?;
        for child in &children {
            if let Some(slot) = made.remove(&child.spec.id) {
                let observer = slot.observer.clone();
                if let Ok(key) = self.machine.add(child.spec.clone(), slot) {
                    let _ = observer.child.set(key);
                }
            }
        }
        let keyed = |child: Child| {
            let key = self.machine.child_by_id(&child.spec.id);
            (child, key)
        };
        // What a restart of the supervisor itself begins with from now on.
        self.initial = children.into_iter().map(keyed).collect();
        let order: Vec<_> = self.initial.iter().filter_map(|(_, key)| *key).collect();
        self.machine.reorder(&order);
        Ok(changed)
    }

    fn register(&mut self, reply: Reply) -> CallId {
        self.calls_made += 1;
        let call = CallId(self.calls_made);
        self.calls.insert(call, reply);
        call
    }

    /// `None`: the machine need not know.
    fn event_of_life(&mut self, child: ChildKey, life: Life) -> Option<Event<Slot, ExitReason>> {
        Some(match life {
            Life::Overran { .. } => return None,
            Life::Started {
                incarnation: generation,
            } => Event::Started { child, generation },
            Life::Ignored {
                incarnation: generation,
            } => Event::Ignored { child, generation },
            Life::StartFailed {
                incarnation: generation,
                reason,
            } => Event::StartFailed {
                child,
                generation,
                reason,
            },
            Life::Exited {
                incarnation: generation,
                reason,
                suspect,
            } => {
                if let Some(slot) = self.machine.handle_mut(child) {
                    slot.suspect = suspect;
                }
                Event::Exited {
                    child,
                    generation,
                    reason,
                }
            }
        })
    }

    pub(crate) fn fire_due_timers(&mut self) {
        let now = self.epoch.elapsed();
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            let timer = entry.remove();
            self.machine.handle(Event::TimerFired { timer }, now);
        }
    }

    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers
            .first_key_value()
            .map(|((at, _), _)| self.epoch + *at)
    }

    /// Does what the machine says; the cause of the end, when it has come.
    pub(crate) fn obey(&mut self, node: &Node) -> Option<ExitCause<ExitReason>> {
        while let Some(command) = self.machine.poll_command() {
            match command {
                Command::Start { child, generation } => self.start(child, generation),
                Command::Stop { child, .. } => self.with(child, |slot| slot.kind.stop()),
                Command::Kill { child, .. } => self.with(child, |slot| slot.kind.kill()),
                Command::Mark { child, mark } => {
                    self.with(child, |slot| slot.kind.mark(state_of(mark)))
                }
                Command::DiscardQueue { child } => {
                    self.with(child, |slot| slot.kind.discard_queue())
                }
                Command::Remove { mut handle, .. } => handle.kind.retire(),
                Command::SetTimer { timer } => {
                    self.timers.insert((timer.at, timer.sequence), timer);
                }
                Command::CancelTimer { timer } => {
                    self.timers.remove(&(timer.at, timer.sequence));
                }
                Command::Reply { call, result } => {
                    if let Some(reply) = self.calls.remove(&call) {
                        // A caller that has gone away does not undo what it asked for.
                        let _ = reply.send(result);
                    }
                }
                Command::Ready => node.announce_start(),
                Command::Report { child, report } => self.report(node, child, report),
                Command::Exit(cause) => return Some(cause),
            }
        }
        self.make_changes(node);
        None
    }

    fn with(&mut self, child: ChildKey, order: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.machine.handle_mut(child) {
            order(slot);
        }
    }

    fn start(&mut self, child: ChildKey, generation: u64) {
        self.with(child, |slot| {
            let _ = slot.observer.child.set(child);
            let ordered = catch_unwind(AssertUnwindSafe(|| slot.kind.start(generation)));
            if let Err(payload) = ordered {
                let reason = ExitReason::Panicked(Panic::from_payload(payload));
                slot.observer.on_life(Life::StartFailed {
                    incarnation: generation,
                    reason,
                });
            }
        });
    }

    fn report(&mut self, node: &Node, child: ChildKey, report: Report<ExitReason>) {
        let Some(slot) = self.machine.handle_mut(child) else {
            return;
        };
        let suspect = match report {
            Report::Exited { .. } | Report::Stopped { .. } | Report::StoppedBadly { .. } => {
                slot.suspect.take()
            }
            _ => None,
        };
        let event = TreeEvent {
            path: slot.path.clone(),
            report,
            suspect,
        };
        node.record(event);
    }

    pub(crate) fn end_of(&self, node: &Node, cause: ExitCause<ExitReason>) -> End {
        match cause {
            ExitCause::Shutdown | ExitCause::AutoShutdown { .. } => End::of(ExitReason::Shutdown),
            ExitCause::Killed => End::of(ExitReason::Killed),
            ExitCause::StartFailed { id, reason } => {
                let error = StartError::Child {
                    path: node.path_of(&id),
                    reason,
                };
                End {
                    reason: ExitReason::Failed(Failure::from(error.clone())),
                    start_error: Some(error),
                }
            }
            ExitCause::Escalated { id, limit, reason } => match self.machine.flags().escalation {
                Escalation::Shutdown => End::of(ExitReason::Shutdown),
                Escalation::Escalated => {
                    let child = node.path_of(&id);
                    End::of(ExitReason::Escalated(Failure::from(GaveUp {
                        child,
                        limit,
                        reason,
                    })))
                }
            },
        }
    }
}

/// How a supervisor ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) reason: ExitReason,
    pub(crate) start_error: Option<StartError>,
}

impl End {
    pub(crate) fn of(reason: ExitReason) -> Self {
        End {
            reason,
            start_error: None,
        }
    }
}
