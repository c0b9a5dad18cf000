//! [`Duty`]: tells an application when to begin and when to stop the work of a singleton.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::Instant;

use super::machine::{Machine, SingletonConfig, Verdict, Voter};
use super::touch::{Part, Touch};
use crate::agent::{AgentHandle, Events};
use crate::membership::{Event, MemberInfo, NodeId};

/// One node's part in a singleton. Made by [`Node::singleton`](crate::Node::singleton).
///
/// ```no_run
/// # use treewarden_cluster::{Node, singleton::{SingletonConfig, Verdict}};
/// # async fn begin(_epoch: u64) {}
/// # async fn stop() {}
/// # async fn run(node: &Node) {
/// let mut duty = node.singleton("scheduler", SingletonConfig::new(std::time::Duration::from_secs(3)));
/// while let Some(verdict) = duty.next().await {
///     match verdict {
///         Verdict::Begin(term) => begin(term.epoch).await,
///         Verdict::Stop => {
///             stop().await;
///             duty.stopped();
///         }
///     }
/// }
/// # }
/// ```
pub struct Duty {
    name: Arc<str>,
    agent: AgentHandle,
    events: Events,
    machine: Machine,
    /// Whether this boot is in contact with others, or founds the cluster.
    has_joined: bool,
    touch: Touch,
    founds: bool,
    started: Instant,
    leaving: watch::Receiver<bool>,
    desk: Arc<Desk>,
    number: u64,
}

/// The duties of a node that have something to stop before it may leave.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    working: Mutex<Vec<u64>>,
    changed: watch::Sender<()>,
}

impl Desk {
    fn set(&self, number: u64, works: bool) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        working.retain(|other| *other != number);
        if works {
            working.push(number);
        }
        drop(working);
        self.changed.send_replace(());
    }

    /// Resolves when nothing is at work.
    pub(crate) async fn all_stopped(&self) {
        let mut changed = self.changed.subscribe();
        loop {
            let is_empty = {
                let working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
                working.is_empty()
            };
            if is_empty || changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Duty {
    pub(crate) fn new(
        name: &str,
        agent: AgentHandle,
        founds: bool,
        config: SingletonConfig,
        (leaving, desk, number): (watch::Receiver<bool>, Arc<Desk>, u64),
    ) -> Self {
        Self {
            name: name.into(),
            events: agent.subscribe(),
            has_joined: founds || !agent.members().is_empty(),
            touch: Touch::new(agent.clone(), config.contact),
            agent,
            machine: Machine::new(config),
            founds,
            started: Instant::now(),
            leaving,
            desk,
            number,
        }
    }

    /// The name of the singleton.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this node does the work, as far as it has been told.
    #[must_use]
    pub fn is_working(&self) -> bool {
        self.machine.is_working()
    }

    /// Which member does the work, as far as this one knows: the oldest with the role that is not down, this one included. It may not have begun
    /// yet.
    #[must_use]
    pub fn host(&self) -> Option<NodeId> {
        let [host, _] = self.first_in_line();
        host
    }

    /// The two oldest members with the role that are not down.
    fn first_in_line(&self) -> [Option<NodeId>; 2] {
        let me = self.agent.id();
        let mine = (self.agent.state() == crate::membership::State::Alive && self.has_role(None))
            .then_some(me);
        let mut line: Vec<NodeId> = self
            .voters()
            .into_iter()
            .filter(|voter| !voter.state.is_down())
            .map(|voter| voter.id)
            .chain(mine)
            .collect();
        line.sort_by(|a, b| (a.boot, &a.name).cmp(&(b.boot, &b.name)));
        let mut line = line.into_iter();
        [line.next(), line.next()]
    }

    /// What to do next; `None` when the node has ended. After [`Verdict::Stop`], call [`stopped`](Self::stopped) when the work has been stopped: until
    /// then it is not begun again, and a [leave](crate::Node::leave) waits for it.
    ///
    /// Whoever drops a duty while it works has to have stopped the work. Cancel safe.
    pub async fn next(&mut self) -> Option<Verdict> {
        loop {
            if let Some(verdict) = self.look() {
                self.desk.set(self.number, true);
                return Some(verdict);
            }
            let due = self.machine.poll_timeout().map(|due| self.started + due);
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => self.note(&event),
                    // Nothing is decided here any more; what works has to stop all the same.
                    None if self.machine.is_working() => self.machine.leave(),
                    None => return None,
                },
                // An error means that the node is gone, and the events end.
                Ok(()) = self.leaving.changed() => {
                    if *self.leaving.borrow() {
                        self.machine.leave();
                    }
                }
                () = self.touch.changed() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// The work has been stopped.
    pub fn stopped(&mut self) {
        self.machine.stopped();
        self.desk.set(self.number, false);
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Joined { .. } => self.has_joined = true,
            Event::Rejoined { .. } => self.has_joined = self.founds,
            _ => {}
        }
    }

    fn look(&mut self) -> Option<Verdict> {
        let (me, state) = (self.agent.id(), self.agent.state());
        let line = self.first_in_line();
        let is_my_turn = line[0].as_ref() == Some(&me);
        self.touch.take(match line {
            _ if is_my_turn => Part::Host,
            [Some(host), heir] if heir.as_ref() == Some(&me) => Part::Heir(host),
            _ => Part::Bystander,
        });
        let in_touch = match is_my_turn {
            true => match self.touch.is_kept() {
                Some(is_kept) => is_kept,
                None if self.machine.is_working() => true,
                // Before the first look nothing is begun.
                None => return None,
            },
            false => true,
        };
        let has_role = self.has_role(None);
        let voters = self.voters();
        self.machine.observe(
            self.started.elapsed(),
            clock_ms(),
            (&me, state),
            (has_role, self.has_joined && in_touch),
            &voters,
        )
    }

    fn voters(&self) -> Vec<Voter> {
        let members = self.agent.members();
        let with_role = members
            .into_iter()
            .filter(|member| self.has_role(Some(member)));
        with_role
            .map(|member| Voter {
                id: member.id,
                state: member.state,
            })
            .collect()
    }

    /// Whether a member has the role; `None` for this one.
    fn has_role(&self, member: Option<&MemberInfo>) -> bool {
        let Some(role) = &self.machine.config().role else {
            return true;
        };
        match member {
            Some(member) => member.record.metadata.roles.contains(role),
            None => self.agent.metadata().roles.contains(role),
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        self.desk.set(self.number, false);
    }
}

impl fmt::Debug for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duty")
            .field("name", &self.name)
            .field("is_working", &self.is_working())
            .finish_non_exhaustive()
    }
}

/// The wall clock, for epochs alone.
fn clock_ms() -> u64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
