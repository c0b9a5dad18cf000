//! What this node exposes: names under which actors can be reached from other nodes.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    marker::PhantomData,
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
pub(crate) struct Exposures(Mutex<HashMap<Arc<str>, Named>>);

/// Who has a name.
struct Named {
    target: Arc<dyn Exposed>,
    /// The same actor for messages of other versions, or types.
    also: Vec<Arc<dyn Exposed>>,
}

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

/// An actor that takes `M`, for messages that arrive as `W`.
struct Target<W, M>(ActorRef<M>, PhantomData<fn(W)>);

impl<W: RemoteMessage, M: From<W> + Send + 'static> Exposed for Target<W, M> {
    fn id(&self) -> ActorId {
        self.0.id()
    }

    fn is_gone(&self) -> bool {
        self.0.is_gone()
    }

    fn message(&self) -> (&'static str, u32) {
        (W::NAME, W::VERSION)
    }

    fn open(&self, channel: u32, answering: Arc<Answering>) -> Box<dyn Inbound> {
        Box::new(Channel::<W, M>::new(channel, self.0.clone(), answering))
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
        let target = Arc::new(Target::<M, M>(target.clone(), PhantomData));
        let mut names = self.0.locked();
        match names.entry(name.into()) {
            Entry::Occupied(mut entry) => {
                let named = entry.get_mut();
                if !named.target.is_gone() && named.target.id() != target.id() {
                    return Err(ExposeError::NameTaken { name: name.into() });
                }
                if named.target.id() != target.id() {
                    named.also.clear();
                }
                named.target = target;
            }
            Entry::Vacant(entry) => {
                entry.insert(Named {
                    target,
                    also: Vec::new(),
                });
            }
        }
        Ok(())
    }

    /// Lets the actor of a name take messages of another version, or type, as well.
    pub(crate) fn also<W: RemoteMessage, M: From<W> + Send + 'static>(
        &self,
        name: &str,
        target: &ActorRef<M>,
    ) -> Result<(), ExposeError> {
        let also: Arc<dyn Exposed> = Arc::new(Target::<W, M>(target.clone(), PhantomData));
        let mut names = self.0.locked();
        let Some(named) = names
            .get_mut(name)
            .filter(|named| named.target.id() == target.id())
        else {
            return Err(ExposeError::NotExposed { name: name.into() });
        };
        named.also.retain(|other| other.message() != also.message());
        named.also.push(also);
        Ok(())
    }

    /// Takes a name back, if it is `id`'s, or whoever's it is.
    pub(crate) fn remove(&self, name: &str, id: Option<ActorId>) -> bool {
        let mut names = self.0.locked();
        let is_meant = names
            .get(name)
            .is_some_and(|named| id.is_none_or(|id| named.target.id() == id));
        is_meant && names.remove(name).is_some()
    }

    /// The actor with this name, unless it is gone.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<dyn Exposed>> {
        let found = self.0.locked().get(name).map(|named| named.target.clone());
        found.filter(|target| !target.is_gone())
    }

    /// The actor with this name, if it takes these messages.
    pub(crate) fn find_for(
        &self,
        name: &str,
        message: &str,
        version: u32,
    ) -> Result<Arc<dyn Exposed>, OpenRefusal> {
        let names = self.0.locked();
        let named = names
            .get(name)
            .filter(|named| !named.target.is_gone())
            .ok_or(OpenRefusal::UnknownTarget)?;
        let wanted = (message, version);
        let all = std::iter::once(&named.target).chain(&named.also);
        if let Some(target) = all.clone().find(|target| target.message() == wanted) {
            return Ok(target.clone());
        }
        // Of the versions that it takes, the newest is named.
        let versions = all.map(|target| target.message());
        let takes = versions.filter(|(taken, _)| *taken == message);
        match takes.map(|(_, version)| version).max() {
            Some(takes) => Err(OpenRefusal::WrongVersion { takes }),
            None => Err(OpenRefusal::WrongType),
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
