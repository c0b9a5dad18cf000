//! What this node exposes: names under which actors can be reached from other nodes.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex},
};

use treewarden_runtime::{ActorId, ActorRef, Monitor};

use super::{
    TARGET_BYTES_MAX,
    channel::{Channel, Inbound},
    error::ExposeError,
    frame::OpenRefusal,
    inbound::Answering,
    message::RemoteMessage,
    sync_ext::MutexExt,
};

/// The names of one node.
#[derive(Default)]
pub(crate) struct Exposures(Mutex<HashMap<Arc<str>, Arc<dyn Exposed>>>);

/// An actor that can be reached, whatever its messages.
pub(crate) trait Exposed: Send + Sync {
    fn id(&self) -> ActorId;
    fn is_gone(&self) -> bool;
    /// Name and version of its messages.
    fn message(&self) -> (&'static str, u32);
    /// A channel through which another node sends to it.
    fn open(&self, channel: u32, answering: Arc<Answering>) -> Box<dyn Inbound>;
    fn monitor(&self) -> Monitor;
}

struct Target<M>(ActorRef<M>);

impl<M: RemoteMessage> Exposed for Target<M> {
    fn id(&self) -> ActorId {
        self.0.id()
    }

    fn is_gone(&self) -> bool {
        self.0.is_gone()
    }

    fn message(&self) -> (&'static str, u32) {
        (M::NAME, M::VERSION)
    }

    fn open(&self, channel: u32, answering: Arc<Answering>) -> Box<dyn Inbound> {
        Box::new(Channel::new(channel, self.0.clone(), answering))
    }

    fn monitor(&self) -> Monitor {
        self.0.monitor()
    }
}

impl Exposures {
    /// Gives `target` a name; one that belongs to an actor that is gone is free.
    pub(crate) fn insert<M: RemoteMessage>(
        &self,
        name: &str,
        target: &ActorRef<M>,
    ) -> Result<(), ExposeError> {
        if !(1..=TARGET_BYTES_MAX).contains(&name.len()) {
            return Err(ExposeError::NameLength { bytes: name.len() });
        }
        let mut names = self.0.locked();
        match names.entry(name.into()) {
            Entry::Occupied(mut entry) => {
                let other = entry.get();
                if !other.is_gone() && other.id() != target.id() {
                    return Err(ExposeError::NameTaken { name: name.into() });
                }
                entry.insert(Arc::new(Target(target.clone())));
            }
            Entry::Vacant(entry) => {
                entry.insert(Arc::new(Target(target.clone())));
            }
        }
        Ok(())
    }

    /// Takes a name back, if it is `id`'s, or whoever's it is.
    pub(crate) fn remove(&self, name: &str, id: Option<ActorId>) -> bool {
        let mut names = self.0.locked();
        let is_meant = names
            .get(name)
            .is_some_and(|target| id.is_none_or(|id| target.id() == id));
        is_meant && names.remove(name).is_some()
    }

    /// The actor with this name, unless it is gone.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<dyn Exposed>> {
        let found = self.0.locked().get(name).cloned();
        found.filter(|target| !target.is_gone())
    }

    /// The actor with this name, if it takes these messages.
    pub(crate) fn find_for(
        &self,
        name: &str,
        message: &str,
        version: u32,
    ) -> Result<Arc<dyn Exposed>, OpenRefusal> {
        let target = self.find(name).ok_or(OpenRefusal::UnknownTarget)?;
        match target.message() {
            (taken, _) if taken != message => Err(OpenRefusal::WrongType),
            (_, takes) if takes != version => Err(OpenRefusal::WrongVersion { takes }),
            _ => Ok(target),
        }
    }

    pub(crate) fn clear(&self) {
        self.0.locked().clear();
    }
}

impl fmt::Debug for Exposures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.locked().keys()).finish()
    }
}
