//! Names: finding an address of this system without having been given its reference.

use std::{
    any::{Any, type_name},
    fmt,
    sync::Arc,
};

use dashmap::{DashMap, Entry};

use crate::{id::ActorId, reference::ActorRef};

/// The names of one [`System`](crate::System).
///
/// A name belongs to an address, not to an incarnation: it survives restarts, and is free again when the address is gone.
#[derive(Default)]
pub struct Registry {
    names: DashMap<Arc<str>, Named>,
    /// The names of each address, to be taken back when it ends. Never locked together with `names`.
    names_of: DashMap<ActorId, Vec<Arc<str>>>,
}

struct Named {
    id: ActorId,
    reference: Box<dyn Any + Send + Sync>,
    message_type: &'static str,
}

impl Registry {
    /// Gives `target` a name.
    ///
    /// # Errors
    ///
    /// [`NameTaken`] if another address has it; nothing is changed then. Registering the same address under the same name
    /// again is no error, and an address that is gone by now gets no name.
    pub fn register<M: Send + 'static>(
        &self,
        name: impl Into<Arc<str>>,
        target: &ActorRef<M>,
    ) -> Result<(), NameTaken> {
        let name = name.into();
        match self.names.entry(name.clone()) {
            Entry::Occupied(entry) if entry.get().id == target.id() => return Ok(()),
            Entry::Occupied(_) => return Err(NameTaken { name }),
            Entry::Vacant(entry) => drop(entry.insert(Named {
                id: target.id(),
                reference: Box::new(target.clone()),
                message_type: type_name::<M>(),
            })),
        }
        self.names_of.entry(target.id()).or_default().push(name);
        target.cell.core.set_registered();
        // It may have ended before it was marked, and have had no name to forget then.
        if target.is_gone() {
            self.forget(target.id());
        }
        Ok(())
    }

    /// The address with this name.
    ///
    /// # Errors
    ///
    /// [`LookupError::NotFound`]: nobody has the name. [`LookupError::OtherType`]: its messages are of another type.
    pub fn lookup<M: Send + 'static>(&self, name: &str) -> Result<ActorRef<M>, LookupError> {
        let Some(named) = self.names.get(name) else {
            return Err(LookupError::NotFound { name: name.into() });
        };
        named
            .reference
            .downcast_ref::<ActorRef<M>>()
            .cloned()
            .ok_or_else(|| LookupError::OtherType {
                name: name.into(),
                expected: type_name::<M>(),
                found: named.message_type,
            })
    }

    /// Takes a name back. False if nobody had it. The address itself goes on.
    pub fn unregister(&self, name: &str) -> bool {
        self.names.remove(name).is_some()
    }

    /// All names, in no particular order.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.names.iter().map(|entry| entry.key().clone()).collect()
    }

    /// Takes back every name of an address that has ended.
    pub(crate) fn forget(&self, id: ActorId) {
        let Some((_, names)) = self.names_of.remove(&id) else {
            return;
        };
        for name in names {
            self.names.remove_if(&name, |_, named| named.id == id);
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The name belongs to another address. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTaken {
    /// The name.
    pub name: Arc<str>,
}

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the name {:?} is taken by another actor of this system",
            self.name
        )
    }
}

impl std::error::Error for NameTaken {}

/// Why a look-up by name or path gave no reference.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupError {
    /// Nobody has it.
    NotFound {
        /// What was looked for.
        name: Arc<str>,
    },
    /// What has it is no actor, or one that takes messages of another type.
    OtherType {
        /// What was looked for.
        name: Arc<str>,
        /// The type of messages that was asked for.
        expected: &'static str,
        /// The type of messages that it takes, or what it is.
        found: &'static str,
    },
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name } => write!(f, "nothing is called {name:?}"),
            Self::OtherType {
                name,
                expected,
                found,
            } => write!(
                f,
                "{name:?} does not take messages of type {expected}: it is {found}"
            ),
        }
    }
}

impl std::error::Error for LookupError {}
