//! What one coordinator knows of the job in its time in office: [`Term`].
//!
//! Pure. It joins the [`Ledger`] with the counts, and with what earlier coordinators had counted. Its promise is that the
//! tally is exact when the term is [finished](Term::is_finished), by itself: whatever other coordinators did before, or do at
//! the same time. Every chunk that it has read is added once, either from an answer to a delivery of its own or from an
//! [`Entry`] whose number and print are those of the chunk. So two coordinators at once waste work, and nothing else.

use std::collections::BTreeMap;

use super::{
    archive::Entry,
    blob::Blob,
    ledger::{Answer, ChunkId, Delivery, Ledger, Limits, Reach},
    tally::{MalformedCounts, Tally},
};

/// What becomes of a chunk that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// It has to be counted.
    Open(ChunkId),
    /// It had been counted for an earlier coordinator, and is added.
    Found,
}

/// One time in office.
#[derive(Clone, Debug)]
pub struct Term {
    /// Where every chunk is.
    pub ledger: Ledger,
    /// What earlier coordinators had counted, of chunks that are not read yet.
    found: BTreeMap<(u64, u64), Blob>,
    /// The print and the length in the input of each open chunk.
    open: BTreeMap<ChunkId, (u64, u64)>,
    tally: Tally,
    counted_bytes: u64,
    taken_over: u64,
}

impl Term {
    /// A term that knows nothing.
    pub fn new(limits: Limits) -> Self {
        Self {
            ledger: Ledger::new(limits),
            found: BTreeMap::new(),
            open: BTreeMap::new(),
            tally: Tally::default(),
            counted_bytes: 0,
            taken_over: 0,
        }
    }

    /// The sum of what is counted.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How much of the input is counted.
    pub fn counted_bytes(&self) -> u64 {
        self.counted_bytes
    }

    /// How many chunks were added that earlier coordinators had counted.
    pub fn taken_over(&self) -> u64 {
        self.taken_over
    }

    /// How many entries wait for their chunk to be read.
    pub fn found(&self) -> usize {
        self.found.len()
    }

    /// Whether every chunk of the input is in the tally.
    pub fn is_finished(&self) -> bool {
        self.ledger.is_finished()
    }

    /// The print of an open chunk.
    pub fn print(&self, chunk: ChunkId) -> Option<u64> {
        self.open.get(&chunk).map(|&(print, _)| print)
    }

    /// A node has this entry. Returns whether a chunk that was open is counted by it, and nobody needs its text any more.
    ///
    /// # Errors
    ///
    /// If the counts make no sense. Nothing is added then.
    pub fn find(&mut self, entry: Entry) -> Result<bool, MalformedCounts> {
        let chunk = ChunkId(entry.chunk);
        if entry.chunk >= self.ledger.chunks() {
            self.found.insert((entry.chunk, entry.print), entry.counts);
            return Ok(false);
        }
        match self.open.get(&chunk) {
            Some(&(print, bytes)) if print == entry.print => {
                self.tally.absorb(&entry.counts)?;
                self.ledger.count(chunk);
                self.open.remove(&chunk);
                self.counted_bytes += bytes;
                self.taken_over += 1;
                Ok(true)
            }
            // It is counted already, or belongs to another text.
            _ => Ok(false),
        }
    }

    /// The next chunk of the input has been read.
    ///
    /// # Errors
    ///
    /// If the counts that were found for it make no sense. Nothing is added then.
    pub fn read(
        &mut self,
        reach: Reach,
        print: u64,
        input_bytes: u64,
    ) -> Result<Read, MalformedCounts> {
        let number = self.ledger.chunks();
        if let Some(counts) = self.found.remove(&(number, print)) {
            self.tally.absorb(&counts)?;
            let chunk = self.ledger.offer(reach);
            self.ledger.count(chunk);
            self.counted_bytes += input_bytes;
            self.taken_over += 1;
            return Ok(Read::Found);
        }
        let chunk = self.ledger.offer(reach);
        self.open.insert(chunk, (print, input_bytes));
        Ok(Read::Open(chunk))
    }

    /// There are no more chunks.
    pub fn complete(&mut self) {
        self.ledger.complete();
        self.found.clear();
    }

    /// A delivery was answered. Returns how much of the input is counted by it, if anything.
    ///
    /// # Errors
    ///
    /// If the counts make no sense. Nothing is added then, and the chunk is not counted.
    pub fn answered(
        &mut self,
        delivery: Delivery,
        counts: &[u8],
    ) -> Result<Option<u64>, MalformedCounts> {
        if self.open.contains_key(&delivery.chunk) {
            self.tally.absorb(counts)?;
        }
        match self.ledger.answered(delivery) {
            Answer::AlreadyCounted => Ok(None),
            Answer::Counts => {
                let (_, bytes) = self.open.remove(&delivery.chunk).unwrap_or_default();
                self.counted_bytes += bytes;
                Ok(Some(bytes))
            }
        }
    }
}

#[cfg(test)]
#[path = "term_tests.rs"]
mod tests;
