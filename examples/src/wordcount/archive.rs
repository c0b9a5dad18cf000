//! What a node keeps of what its workers have counted, for the next coordinator: [`Archive`].
//!
//! Pure. A coordinator that dies takes its tally with it. The counts themselves are not lost: each worker puts them into
//! the archive of its node before it answers, and the next coordinator asks for them. An entry is a cache of something that
//! can be computed again from the input, so an archive may be lost, incomplete or full, and the result is the same; only
//! time is lost. It is also where a node remembers the youngest coordinator it has heard of, and refuses older ones.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::blob::Blob;

/// How many bytes of counts a node keeps. What comes when it is full is not kept, and would be counted again.
pub const ARCHIVE_BYTES_MAX: usize = 32 << 20;

/// A page is not made longer once it has so many bytes.
const PAGE_BYTES: usize = 256 << 10;

/// Longer counts are not kept: they would not travel.
const ENTRY_BYTES_MAX: usize = 512 << 10;

/// Which chunk is to be counted, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket {
    /// The epoch of the coordinator.
    pub epoch: u64,
    /// The number of the chunk, from 0 in the order of the input.
    pub chunk: u64,
    /// The [`print()`] of its text.
    pub print: u64,
}

/// A number that tells one text from another: SipHash 1-3 with a key of zeros, as the standard library has it. All nodes
/// run the same program.
pub fn print(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text);
    hasher.finish()
}

/// The counts of one chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The number of the chunk.
    pub chunk: u64,
    /// The [`print()`] of its text. Counts belong to a text, not to a number.
    pub print: u64,
    /// What [`count_chunk`](super::tally::count_chunk) made of the text.
    pub counts: Blob,
}

/// Some entries, in the order of their chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

/// A younger coordinator is in office. Nothing was done for the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superseded {
    /// The epoch of the younger one.
    pub by: u64,
}

impl fmt::Display for Superseded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "superseded by the coordinator of epoch {}; its answers are not waited for",
            self.by
        )
    }
}

impl std::error::Error for Superseded {}

/// What one node keeps for the next coordinator.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    epoch: u64,
    former: u64,
    entries: BTreeMap<u64, Entry>,
    bytes: usize,
}

impl Archive {
    /// Follows the coordinator of this epoch from now on. Returns the epoch of the one before, 0 if there was none.
    ///
    /// # Errors
    ///
    /// If a younger one is in office.
    pub fn enlist(&mut self, epoch: u64) -> Result<u64, Superseded> {
        self.admit(epoch)?;
        if epoch > self.epoch {
            self.former = self.epoch;
            self.epoch = epoch;
        }
        Ok(self.former)
    }

    /// Whether work for this epoch is still to be done.
    ///
    /// # Errors
    ///
    /// If a younger coordinator is in office.
    pub fn admit(&self, epoch: u64) -> Result<(), Superseded> {
        match epoch < self.epoch {
            true => Err(Superseded { by: self.epoch }),
            false => Ok(()),
        }
    }

    /// Keeps the counts of a chunk. The latest text of a number counts.
    pub fn keep(&mut self, ticket: Ticket, counts: &Blob) {
        let old = self.entries.get(&ticket.chunk);
        let bytes = self.bytes - old.map_or(0, |entry| entry.counts.len()) + counts.len();
        if bytes > ARCHIVE_BYTES_MAX || counts.len() > ENTRY_BYTES_MAX {
            return;
        }
        self.bytes = bytes;
        let Ticket { chunk, print, .. } = ticket;
        let counts = counts.clone();
        self.entries.insert(
            chunk,
            Entry {
                chunk,
                print,
                counts,
            },
        );
    }

    /// The entries from chunk `from` on, at least one if there is any.
    pub fn page(&self, from: u64) -> Page {
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        for entry in self.entries.range(from..).map(|(_, entry)| entry) {
            if bytes >= PAGE_BYTES {
                let next = Some(entry.chunk);
                return Page { entries, next };
            }
            bytes += entry.counts.len();
            entries.push(entry.clone());
        }
        Page {
            entries,
            next: None,
        }
    }
}

/// The archive of a node, shared by its workers and its foreman. It outlives their incarnations.
#[derive(Clone, Debug, Default)]
pub struct SharedArchive(Arc<Mutex<Archive>>);

impl SharedArchive {
    /// Does something with the archive. Nothing in it can panic half way.
    pub fn with<T>(&self, f: impl FnOnce(&mut Archive) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(chunk: u64) -> Ticket {
        Ticket {
            epoch: 1,
            chunk,
            print: chunk + 100,
        }
    }

    #[test]
    fn an_older_coordinator_is_refused_and_the_same_one_is_not() {
        let mut archive = Archive::default();
        assert_eq!(archive.enlist(5), Ok(0));
        assert_eq!(archive.enlist(5), Ok(0), "asked again");
        assert_eq!(archive.enlist(7), Ok(5));
        assert_eq!(archive.enlist(7), Ok(5));
        assert_eq!(archive.enlist(6), Err(Superseded { by: 7 }));
        assert_eq!(archive.admit(5), Err(Superseded { by: 7 }));
        assert_eq!(archive.admit(7), Ok(()));
    }

    #[test]
    fn all_entries_come_in_order_page_by_page() {
        let mut archive = Archive::default();
        for chunk in (0..20).rev() {
            archive.keep(ticket(chunk), &vec![0; PAGE_BYTES / 3].into());
        }
        let mut chunks = Vec::new();
        let mut pages = 0;
        let mut from = Some(0);
        while let Some(at) = from {
            let page = archive.page(at);
            chunks.extend(page.entries.iter().map(|entry| entry.chunk));
            from = page.next;
            pages += 1;
        }
        assert_eq!(chunks, (0..20).collect::<Vec<_>>());
        assert_eq!(pages, 5, "four entries each");
    }

    #[test]
    fn a_full_archive_keeps_what_it_has_and_no_more() {
        let mut archive = Archive::default();
        archive.keep(ticket(0), &vec![0; ENTRY_BYTES_MAX + 1].into());
        assert_eq!(archive.page(0).entries, [], "it would not travel");
        let each: Blob = vec![0; ENTRY_BYTES_MAX].into();
        let room = (ARCHIVE_BYTES_MAX / ENTRY_BYTES_MAX) as u64;
        (0..room + 5).for_each(|chunk| archive.keep(ticket(chunk), &each));
        assert_eq!(archive.bytes, ARCHIVE_BYTES_MAX);
        assert_eq!(archive.entries.len() as u64, room);
        archive.keep(ticket(0), &each);
        assert_eq!(archive.bytes, ARCHIVE_BYTES_MAX, "it takes its own place");
    }
}
