//! Process groups: sets of addresses under a name, for those who look for anybody of a kind (OTP: `pg`).
//!
//! A group exists while it has members or somebody listens. Its members take messages of one type. An address stays a member across
//! restarts, and leaves when it is gone.

use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::broadcast;

use crate::id::ActorId;
use crate::reference::ActorRef;
use crate::registry::LookupError;

/// How many events a listener can be behind before it misses some.
const FEED_CAPACITY: usize = 1024;

/// The groups of one [`System`](crate::System).
///
/// ```
/// # use treewarden_runtime::{Actor, Context, Failure, System};
/// # struct Worker;
/// # impl Actor for Worker {
/// #     type Msg = u64;
/// #     type Error = Failure;
/// #     async fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<(), Failure> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let system = System::new("demo");
/// for _ in 0..3 {
///     system.groups().join("workers", &system.spawn(Worker))?;
/// }
/// for worker in system.groups().members::<u64>("workers")? {
///     worker.tell(7).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Groups {
    groups: DashMap<Arc<str>, Group>,
    /// The groups of each address, to be left when it ends. Never locked together with `groups`.
    groups_of: DashMap<ActorId, Vec<Arc<str>>>,
}

struct Group {
    /// Of the first that joined; `None` while only listeners are there.
    message_type: Option<&'static str>,
    members: Vec<Member>,
    /// Made for the first listener.
    feed: Option<broadcast::Sender<GroupEvent>>,
}

struct Member {
    id: ActorId,
    path: Arc<str>,
    reference: Box<dyn Any + Send + Sync>,
}

/// Somebody joined or left a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEvent {
    /// The group.
    pub group: Arc<str>,
    /// The address.
    pub member: ActorId,
    /// Its path.
    pub path: Arc<str>,
    /// What it did.
    pub change: GroupChange,
}

/// What a member did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// It joined.
    Joined,
    /// It left, or is gone.
    Left,
}

impl Groups {
    /// Makes `member` a member. False: it is one already.
    ///
    /// # Errors
    ///
    /// [`LookupError::OtherType`]: the members of this group take messages of another type. Nothing was changed.
    pub fn join<M: Send + 'static>(
        &self,
        group: impl Into<Arc<str>>,
        member: &ActorRef<M>,
    ) -> Result<bool, LookupError> {
        let name = group.into();
        {
            let mut group = self.groups.entry(name.clone()).or_insert_with(|| Group {
                message_type: None,
                members: Vec::new(),
                feed: None,
            });
            check_type::<M>(&name, group.message_type)?;
            if group.members.iter().any(|other| other.id == member.id()) {
                return Ok(false);
            }
            group.message_type = Some(type_name::<M>());
            group.members.push(Member {
                id: member.id(),
                path: member.path(),
                reference: Box::new(member.clone()),
            });
            group.tell(&name, member.id(), member.path(), GroupChange::Joined);
        }
        self.groups_of.entry(member.id()).or_default().push(name);
        member.cell.core.set_registered();
        // It may have ended before it was marked, and have had no group to leave then.
        if member.is_gone() {
            self.forget(member.id());
        }
        Ok(true)
    }

    /// Ends a membership. False: it was no member.
    pub fn leave<M: Send + 'static>(&self, group: &str, member: &ActorRef<M>) -> bool {
        let has_left = self.remove(group, member.id());
        if let Some(mut groups) = self.groups_of.get_mut(&member.id()) {
            groups.retain(|other| **other != *group);
        }
        has_left
    }

    /// The members, in the order in which they joined. None, if there is no such group. Some may just be restarting.
    ///
    /// # Errors
    ///
    /// [`LookupError::OtherType`]: they take messages of another type.
    pub fn members<M: Send + 'static>(&self, group: &str) -> Result<Vec<ActorRef<M>>, LookupError> {
        let Some(found) = self.groups.get(group) else {
            return Ok(Vec::new());
        };
        check_type::<M>(group, found.message_type)?;
        let references = found.members.iter();
        Ok(references
            .filter_map(|member| member.reference.downcast_ref::<ActorRef<M>>().cloned())
            .collect())
    }

    /// Who joins and leaves from now on. A listener that is more than 1024 events behind misses the oldest, and is told how many.
    pub fn subscribe(&self, group: impl Into<Arc<str>>) -> broadcast::Receiver<GroupEvent> {
        let mut group = self.groups.entry(group.into()).or_insert_with(|| Group {
            message_type: None,
            members: Vec::new(),
            feed: None,
        });
        let feed = group
            .feed
            .get_or_insert_with(|| broadcast::channel(FEED_CAPACITY).0);
        feed.subscribe()
    }

    /// The names of the groups that have members, in no particular order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.groups
            .iter()
            .filter(|group| !group.members.is_empty())
            .map(|group| group.key().clone())
            .collect()
    }

    /// An address has ended.
    pub(crate) fn forget(&self, id: ActorId) {
        let Some((_, groups)) = self.groups_of.remove(&id) else {
            return;
        };
        for group in groups {
            self.remove(&group, id);
        }
    }

    fn remove(&self, name: &str, id: ActorId) -> bool {
        // Dropped after the lock: it may be the last reference.
        let mut removed = None;
        if let Some(mut group) = self.groups.get_mut(name)
            && let Some(at) = group.members.iter().position(|member| member.id == id)
        {
            let member = group.members.remove(at);
            group.tell(&name.into(), id, member.path.clone(), GroupChange::Left);
            removed = Some(member);
        }
        self.groups
            .remove_if(name, |_, group| group.is_of_no_interest());
        removed.is_some()
    }
}

fn check_type<M>(name: &str, found: Option<&'static str>) -> Result<(), LookupError> {
    match found {
        Some(found) if found != type_name::<M>() => Err(LookupError::OtherType {
            name: name.into(),
            expected: type_name::<M>(),
            found,
        }),
        _ => Ok(()),
    }
}

impl Group {
    fn tell(&self, group: &Arc<str>, member: ActorId, path: Arc<str>, change: GroupChange) {
        if let Some(feed) = &self.feed {
            // Fails only if nobody listens.
            let _ = feed.send(GroupEvent {
                group: group.clone(),
                member,
                path,
                change,
            });
        }
    }

    fn is_of_no_interest(&self) -> bool {
        let is_heard = self
            .feed
            .as_ref()
            .is_some_and(|feed| feed.receiver_count() > 0);
        self.members.is_empty() && !is_heard
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
