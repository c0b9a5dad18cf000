//! How often each word occurs: [`Tally`], and its form on the wire.
//!
//! A worker counts one chunk without copying a word and sends the counts back as one run of bytes ([`count_chunk`]);
//! the coordinator adds such runs to its tally and copies a word only when it is new ([`Tally::absorb`]).

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    io,
};

use hashbrown::HashTable;

use super::words::words;

/// In how many parts a tally grows, each for itself.
///
/// A table that is full moves all that it holds to a greater one, and who adds a word waits for that. With all words of
/// gigabytes of input in one table that took up to half a minute, in which the coordinator did nothing else.
const PARTS: usize = 256;

/// How often each word occurs.
///
/// The words are kept in memory, so that is what bounds the input: the words that differ, and about 60 bytes for each.
#[derive(Clone, Debug)]
pub struct Tally {
    /// A word is in the part that its hash says.
    parts: Vec<HashTable<Counted>>,
    hasher: RandomState,
    words: u64,
}

#[derive(Clone, Debug)]
struct Counted {
    /// Kept, so that a part grows without looking at its words, which lie all over the memory.
    hash: u64,
    word: Box<[u8]>,
    times: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            parts: vec![HashTable::new(); PARTS],
            hasher: RandomState::new(),
            words: 0,
        }
    }
}

impl PartialEq for Tally {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
            && self.distinct() == other.distinct()
            && self.iter().all(|(word, times)| other.count(word) == times)
    }
}

impl Eq for Tally {}

impl Tally {
    /// How many words there are, with repetitions.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// How many different words there are.
    pub fn distinct(&self) -> usize {
        self.parts.iter().map(HashTable::len).sum()
    }

    /// How often `word` occurs.
    pub fn count(&self, word: &[u8]) -> u64 {
        let hash = self.hasher.hash_one(word);
        let counted = self.parts[part(hash)].find(hash, |counted| *counted.word == *word);
        counted.map_or(0, |counted| counted.times)
    }

    /// Counts `word` another `times` times.
    pub fn add(&mut self, word: &[u8], times: u64) {
        self.words = self.words.saturating_add(times);
        let hash = self.hasher.hash_one(word);
        self.parts[part(hash)]
            .entry(
                hash,
                |counted| *counted.word == *word,
                |counted| counted.hash,
            )
            .and_modify(|counted| counted.times = counted.times.saturating_add(times))
            .or_insert_with(|| Counted {
                hash,
                word: word.into(),
                times,
            });
    }

    /// All words and their counts, in no order.
    fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let all = self.parts.iter().flatten();
        all.map(|counted| (&*counted.word, counted.times))
    }

    /// Adds the counts of one chunk, as [`count_chunk`] made them.
    ///
    /// # Errors
    ///
    /// If these are not such counts. The tally is unchanged then: half a chunk is never added.
    pub fn absorb(&mut self, encoded: &[u8]) -> Result<(), MalformedCounts> {
        for entry in entries(encoded) {
            entry?;
        }
        for (word, times) in entries(encoded).flatten() {
            self.add(word, times);
        }
        Ok(())
    }

    /// All words and their counts, sorted by word as bytes.
    pub fn sorted(&self) -> Vec<(&[u8], u64)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_unstable();
        all
    }

    /// The `n` most frequent words, the most frequent first; equally frequent ones by their bytes.
    pub fn top(&self, n: usize) -> Vec<(&[u8], u64)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(n);
        all
    }

    /// Writes one `count<TAB>word` a line, sorted by word as bytes.
    ///
    /// # Errors
    ///
    /// Those of `out`; part may have been written then.
    pub fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for (word, count) in self.sorted() {
            write!(out, "{count}\t")?;
            out.write_all(word)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// The whole tally in the form of [`count_chunk`], in pieces of about `piece_bytes`.
    pub fn encode(&self, piece_bytes: usize) -> impl Iterator<Item = Vec<u8>> {
        let mut rest = self.iter();
        std::iter::from_fn(move || {
            let mut piece = Vec::new();
            while piece.len() < piece_bytes
                && let Some((word, times)) = rest.next()
            {
                encode_entry(&mut piece, word, times);
            }
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// The part of a word with this hash. Within a part the table goes by the lowest bits and the highest seven.
fn part(hash: u64) -> usize {
    (hash >> 32) as usize % PARTS
}

/// Counts the words of one chunk: for each different word its length, its bytes and its count, numbers as varints.
pub fn count_chunk(text: &[u8]) -> Vec<u8> {
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    for word in words(text) {
        *counts.entry(word).or_default() += 1;
    }
    let mut encoded = Vec::with_capacity(counts.len() * 12);
    for (word, times) in counts {
        encode_entry(&mut encoded, word, times);
    }
    encoded
}

fn encode_entry(out: &mut Vec<u8>, word: &[u8], times: u64) {
    encode_number(out, word.len() as u64);
    out.extend_from_slice(word);
    encode_number(out, times);
}

/// LEB128: seven bits a byte, the lowest first, the high bit says that more follow.
fn encode_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn decode_number(input: &mut &[u8]) -> Result<u64, MalformedCounts> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = input.split_first().ok_or(MalformedCounts)?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(MalformedCounts)
}

fn entries(encoded: &[u8]) -> impl Iterator<Item = Result<(&[u8], u64), MalformedCounts>> {
    let mut input = encoded;
    std::iter::from_fn(move || {
        if input.is_empty() {
            return None;
        }
        let entry = decode_entry(&mut input);
        if entry.is_err() {
            input = &[];
        }
        Some(entry)
    })
}

fn decode_entry<'a>(input: &mut &'a [u8]) -> Result<(&'a [u8], u64), MalformedCounts> {
    let length = usize::try_from(decode_number(input)?).map_err(|_| MalformedCounts)?;
    let (word, rest) = input.split_at_checked(length).ok_or(MalformedCounts)?;
    *input = rest;
    Ok((word, decode_number(input)?))
}

/// The bytes are not counts of a chunk. Nothing was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedCounts;

impl fmt::Display for MalformedCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the counts of a chunk are malformed; they were not added")
    }
}

impl std::error::Error for MalformedCounts {}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &[u8]) -> Tally {
        let mut tally = Tally::default();
        tally.absorb(&count_chunk(text)).unwrap();
        tally
    }

    #[test]
    fn the_counts_of_chunks_add_up() {
        let mut sum = tally(b"a b a");
        sum.absorb(&count_chunk(b"b c")).unwrap();
        assert_eq!(sum, tally(b"a a b b c"));
        assert_eq!((sum.words(), sum.distinct()), (5, 3));
        assert_eq!((sum.count(b"a"), sum.count(b"z")), (2, 0));
    }

    #[test]
    fn lines_are_sorted_by_word_as_bytes() {
        let mut out = Vec::new();
        tally(b"b a \xff B a").write_to(&mut out).unwrap();
        assert_eq!(out, b"1\tB\n2\ta\n1\tb\n1\t\xff\n");
    }

    #[test]
    fn the_most_frequent_come_first_and_equals_by_their_bytes() {
        let tally = tally(b"c b b a c d");
        assert_eq!(tally.top(3), [(&b"b"[..], 2), (b"c", 2), (b"a", 1)]);
    }

    #[test]
    fn pieces_of_a_tally_make_the_tally_again() {
        let text: Vec<u8> = (0..2000u32)
            .flat_map(|n| format!("w{} ", n % 700).into_bytes())
            .collect();
        let whole = tally(&text);
        let mut again = Tally::default();
        let mut pieces = 0;
        for piece in whole.encode(512) {
            pieces += 1;
            again.absorb(&piece).unwrap();
        }
        assert!(pieces > 5);
        assert_eq!(again, whole);
    }

    #[test]
    fn a_word_that_is_added_never_waits_for_more_than_a_small_part_of_the_others_to_be_moved() {
        let mut tally = Tally::default();
        let mut moved_max = 0;
        let words = 100_000_u32;
        for n in 0..words {
            let word = n.to_le_bytes();
            let part = part(tally.hasher.hash_one(&word[..]));
            let (before, held) = (tally.parts[part].capacity(), tally.parts[part].len());
            tally.add(&word, 1);
            if tally.parts[part].capacity() != before {
                moved_max = moved_max.max(held);
            }
        }
        assert_eq!(tally.distinct(), words as usize);
        assert!(moved_max > 100, "the parts have grown: {moved_max}");
        assert!(moved_max < words as usize / 100, "{moved_max} at once");
    }

    #[test]
    fn tallies_differ_by_a_word_a_count_or_both() {
        assert_ne!(tally(b"a b"), tally(b"a c"));
        assert_ne!(tally(b"a b b"), tally(b"a a b"));
        assert_ne!(tally(b"a b"), tally(b"a b c"));
        assert_eq!(tally(b"a b a"), tally(b"b a a"));
    }

    #[test]
    fn numbers_survive_at_every_length() {
        for number in (0..64).flat_map(|shift| [(1u64 << shift) - 1, 1 << shift, u64::MAX]) {
            let mut bytes = Vec::new();
            encode_number(&mut bytes, number);
            assert_eq!(decode_number(&mut &*bytes), Ok(number));
        }
        assert_eq!(decode_number(&mut &[0xff; 10][..]), Err(MalformedCounts));
    }

    #[test]
    fn malformed_counts_are_refused_whole() {
        let good = count_chunk(b"a bb ccc");
        for cut in 1..good.len() {
            let mut sum = tally(b"x");
            // A cut between two entries leaves counts that are well formed.
            if sum.absorb(&good[..cut]).is_err() {
                assert_eq!(sum, tally(b"x"), "cut at {cut}");
            }
        }
        assert_eq!(
            Tally::default().absorb(&[200, 1, b'a']),
            Err(MalformedCounts)
        );
    }
}
