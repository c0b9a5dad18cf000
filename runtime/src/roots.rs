//! The roots of a system: its trees, and its actors outside any tree.
//!
//! Each start and each end of a single actor comes by here, on whichever worker it happens, so the roots lie in shards with a
//! lock each, and follow each other round all shards. Nothing foreign runs under a lock.

use std::sync::{Arc, Mutex, Weak};

use slab::Slab;

use crate::{sync_ext::MutexExt, system::Root};

/// How many shards there are; a power of two. Twice as many workers seldom meet.
const SHARDS: usize = 16;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Roots {
    shards: [Shard; SHARDS],
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Slab<Entry>>);

struct Entry {
    /// The order in which roots were made; places are used again.
    number: u64,
    root: Weak<dyn Root>,
}

impl Roots {
    /// Takes a root in, whose number is greater than those of all before it. Returns its key.
    pub(crate) fn insert(&self, number: u64, root: Weak<dyn Root>) -> usize {
        let shard = number as usize % SHARDS;
        let place = self.shards[shard].0.locked().insert(Entry { number, root });
        place * SHARDS + shard
    }

    /// It has ended.
    pub(crate) fn remove(&self, key: usize) {
        let removed = self.shards[key % SHARDS]
            .0
            .locked()
            .try_remove(key / SHARDS);
        drop(removed);
    }

    /// Those that are in memory, in the order in which they were made.
    pub(crate) fn all(&self) -> Vec<Arc<dyn Root>> {
        let mut numbered = Vec::new();
        for shard in &self.shards {
            let shard = shard.0.locked();
            numbered.extend(
                shard
                    .iter()
                    .filter_map(|(_, entry)| Some((entry.number, entry.root.upgrade()?))),
            );
        }
        numbered.sort_by_key(|(number, _)| *number);
        numbered.into_iter().map(|(_, root)| root).collect()
    }
}
