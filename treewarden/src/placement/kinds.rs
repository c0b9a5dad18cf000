//! [`Kinds`]: what a node can run when another one asks for it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use treewarden_cluster::{
    groups::{Address, ClusterGroups},
    remote::RemoteMessage,
};
use treewarden_supervisor::{Child, ChildHandle};

/// Makes a child of a kind from its id and the encoded arguments; `None`: they are not the arguments of this kind.
type Make = dyn Fn(&str, &[u8]) -> Option<Child> + Send + Sync;
/// Enters the actor of a child that has started in groups.
type Enter = fn(&ClusterGroups, &ChildHandle, &[&str]) -> Result<Address, String>;

#[derive(Clone)]
pub(super) struct Kind {
    pub(super) make: Arc<Make>,
    pub(super) enter: Enter,
}

/// The kinds of children that a node starts when another one asks for it: actors, by name. All nodes that may run a kind register it.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use treewarden::{cluster::remote::RemoteMessage, placement::Kinds, prelude::*};
/// # #[derive(Serialize, Deserialize)] enum CounterMsg { Total(Reply<u64>) }
/// # impl RemoteMessage for CounterMsg { const NAME: &'static str = "counter"; const VERSION: u32 = 1; }
/// # struct Counter { total: u64 }
/// # impl Actor for Counter {
/// #     type Msg = CounterMsg;
/// #     type Error = Failure;
/// #     async fn handle(&mut self, CounterMsg::Total(reply): CounterMsg, _: &mut Context<Self>) -> Result<(), Failure> {
/// #         reply.send(self.total);
/// #         Ok(())
/// #     }
/// # }
/// let kinds = Kinds::new().actor::<CounterMsg, u64>("counter", |id, first| {
///     Child::actor(id, move |_| async move { Ok(Counter { total: first }) })
/// });
/// # let _ = kinds;
/// ```
#[derive(Clone, Default)]
#[must_use = "kinds are of use to a host"]
pub struct Kinds {
    kinds: BTreeMap<Arc<str>, Kind>,
    children_max: Option<usize>,
}

impl Kinds {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a kind of actors with messages `M` under a name; what had the name before is replaced. `make` makes the child from its
    /// id, which it has to have, and the arguments of who asked. `A` is encoded with postcard.
    ///
    /// The child is restarted on its node whenever it ends as its [restart](treewarden_supervisor::Restart) says, without limit, after 100 ms at first and
    /// ten seconds at most; its own backoff does not count.
    pub fn actor<M: RemoteMessage, A: DeserializeOwned>(
        mut self,
        kind: impl Into<Arc<str>>,
        make: impl Fn(&str, A) -> Child + Send + Sync + 'static,
    ) -> Self {
        let make = move |id: &str, arguments: &[u8]| {
            let arguments = postcard::from_bytes(arguments).ok()?;
            Some(make(id, arguments))
        };
        let kind_of_actor = Kind {
            make: Arc::new(make),
            enter: enter::<M>,
        };
        self.kinds.insert(kind.into(), kind_of_actor);
        self
    }

    /// How many children others may start on this node together. Default: any number.
    pub fn children_max(mut self, most: usize) -> Self {
        self.children_max = Some(most);
        self
    }

    pub(super) fn get(&self, kind: &str) -> Option<&Kind> {
        self.kinds.get(kind)
    }

    pub(super) fn most(&self) -> Option<usize> {
        self.children_max
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kinds")
            .field("kinds", &self.kinds.keys())
            .field("children_max", &self.children_max)
            .finish()
    }
}

fn enter<M: RemoteMessage>(
    groups: &ClusterGroups,
    child: &ChildHandle,
    names: &[&str],
) -> Result<Address, String> {
    let actor = child.actor::<M>().map_err(|error| error.to_string())?;
    for name in names {
        groups
            .join(name, &actor)
            .map_err(|error| error.to_string())?;
    }
    Ok(groups.address(&actor))
}

/// Arguments as they travel.
pub(super) fn encode(arguments: &impl Serialize) -> Result<Vec<u8>, String> {
    postcard::to_allocvec(arguments).map_err(|error| error.to_string())
}
