//! [`Touch`]: a task that keeps an eye on whether this member is in touch with the others, while it is the one to do the work. It goes on while the
//! application is busy beginning or stopping that work, and what it has seen meanwhile is not forgotten. The member that is next in line keeps
//! an eye on the host instead: if that does not answer, it looks whether the process is gone.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::agent::AgentHandle;
use crate::membership::NodeId;
use crate::node::refusals;

/// What there is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It is not this member's turn, nor will it be next.
    Bystander,
    /// This member is next when that one goes.
    Heir(NodeId),
    /// This member is to do the work.
    Host,
}

/// How often it looks within the time in which the member has to be in touch.
const LOOKS: u32 = 6;
/// And how often when touch is not kept: then every moment counts, and answers may be on their way.
const LOOKS_WITHOUT: u32 = 30;

/// The eye, from the side of its duty. The task ends when it is dropped.
#[derive(Debug)]
pub(super) struct Touch {
    part: watch::Sender<Part>,
    seen: watch::Receiver<Seen>,
    losses: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// `None`: it has not looked yet since this member is the host.
    is_kept: Option<bool>,
    losses: u64,
}

impl Touch {
    pub(super) fn new(agent: AgentHandle, contact: Duration) -> Self {
        let (part, parts) = watch::channel(Part::Bystander);
        let (seeing, seen) = watch::channel(Seen::default());
        tokio::spawn(watch_over(agent, contact, parts, seeing));
        Self {
            part,
            seen,
            losses: 0,
        }
    }

    /// What to look at.
    pub(super) fn take(&self, part: Part) {
        self.part.send_if_modified(|was| {
            let is_new = *was != part;
            *was = part;
            is_new
        });
    }

    /// Whether touch is kept, and was not lost since the last call; `None`: not known yet.
    pub(super) fn is_kept(&mut self) -> Option<bool> {
        let seen = *self.seen.borrow_and_update();
        let was_lost = std::mem::replace(&mut self.losses, seen.losses) != seen.losses;
        Some(seen.is_kept? && !was_lost)
    }

    /// Resolves when [`is_kept`](Self::is_kept) may say something else. Cancel safe.
    pub(super) async fn changed(&mut self) {
        if self.seen.changed().await.is_err() {
            std::future::pending().await // the task has ended with the runtime
        }
    }
}

async fn watch_over(
    agent: AgentHandle,
    contact: Duration,
    mut parts: watch::Receiver<Part>,
    seeing: watch::Sender<Seen>,
) {
    loop {
        let part = parts.borrow_and_update().clone();
        tokio::select! {
            // An error means that the duty is gone.
            changed = parts.changed() => if changed.is_err() {
                return;
            },
            () = play(&part, &agent, contact, &seeing) => {}
        }
        if part == Part::Host && *parts.borrow() != part {
            seeing.send_modify(|seen| seen.is_kept = None);
        }
    }
}

/// Looks again and again. Never ends.
async fn play(part: &Part, agent: &AgentHandle, contact: Duration, seeing: &watch::Sender<Seen>) {
    match part {
        Part::Bystander => std::future::pending().await,
        Part::Heir(host) => watch_host(agent, host, contact / 2).await,
        Part::Host => watch_contact(agent, contact, seeing).await,
    }
}

async fn watch_contact(agent: &AgentHandle, contact: Duration, seeing: &watch::Sender<Seen>) {
    let mut looked_at = Clocks::now();
    loop {
        let answer = timeout(contact, agent.is_in_touch(contact)).await;
        let is_kept = answer.unwrap_or(false) && looked_at.elapsed() <= contact;
        looked_at = Clocks::now();
        seeing.send_if_modified(|seen| {
            let before = seen.is_kept.replace(is_kept);
            seen.losses += u64::from(before == Some(true) && !is_kept);
            before != Some(is_kept)
        });
        let looks = if is_kept { LOOKS } else { LOOKS_WITHOUT };
        sleep(contact / looks).await;
    }
}

async fn watch_host(agent: &AgentHandle, host: &NodeId, patience: Duration) {
    let begun = Instant::now();
    loop {
        let is_silent = agent.is_silent(host.clone(), patience).await;
        if is_silent && begun.elapsed() > patience {
            refusals::look(agent.clone(), host.clone()).await;
        }
        sleep(patience / LOOKS).await;
    }
}

/// A moment by the clock that stands still while a machine is suspended, and by the one that does not.
struct Clocks(Instant, SystemTime);

impl Clocks {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    /// The longer of the two times since. A wall clock that was set back tells nothing; one that was set forward looks like a pause, which
    /// costs an interruption and no more.
    fn elapsed(&self) -> Duration {
        self.0.elapsed().max(self.1.elapsed().unwrap_or_default())
    }
}
