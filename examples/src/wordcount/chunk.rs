//! Cutting files into chunks at white space: [`Chunks`].
//!
//! A chunk holds whole words. Small files share one, with a line feed between them, since a word never spans files; a
//! word that is longer than a chunk makes its chunk longer. Files are read as chunks are taken, one chunk at a time.

use std::{fs::File, io, io::Read, mem, path::PathBuf};

use super::{input::InputError, words::is_space};

/// How long a chunk is when there is plenty of input.
pub const CHUNK_BYTES: usize = 128 << 10;

/// Part of the input, to be counted by one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Whole words.
    pub text: Vec<u8>,
    /// How many bytes of the files it stands for; separators between files are not in them.
    pub input_bytes: u64,
}

/// How long chunks are to be for `input_bytes` of input: [`CHUNK_BYTES`], or less for a small input, so that there is
/// something to hand around.
pub fn chunk_bytes_for(input_bytes: u64) -> usize {
    usize::try_from(input_bytes / 64)
        .unwrap_or(CHUNK_BYTES)
        .clamp(1 << 10, CHUNK_BYTES)
}

/// The chunks of some files, in order.
///
/// After an error there are no more chunks.
#[derive(Debug)]
pub struct Chunks {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<(PathBuf, File)>,
    chunk_bytes: usize,
    /// Read, and not yet handed out: less than a chunk, or the beginning of a long word.
    text: Vec<u8>,
    input_bytes: u64,
}

impl Chunks {
    /// Chunks of about `chunk_bytes` (at least 1), which is the length up to the last white space before that many.
    pub fn new(files: Vec<PathBuf>, chunk_bytes: usize) -> Self {
        Self {
            files: files.into_iter(),
            open: None,
            chunk_bytes: chunk_bytes.max(1),
            text: Vec::new(),
            input_bytes: 0,
        }
    }

    fn read_chunk(&mut self) -> Result<Option<Chunk>, InputError> {
        // No white space before this index can end the chunk: spares a long word from being searched again and again.
        let mut searched = 0;
        loop {
            if self.text.len() >= self.chunk_bytes {
                let end = self.text[searched..]
                    .iter()
                    .rposition(|&byte| is_space(byte));
                if let Some(end) = end {
                    return Ok(Some(self.cut(searched + end + 1)));
                }
                searched = self.text.len();
            }
            if !self.read_more()? {
                break;
            }
        }
        let rest = self.text.len();
        Ok((rest > 0 || self.input_bytes > 0).then(|| self.cut(rest)))
    }

    /// Reads a piece of the open file, or goes on to the next one. False at the end of the last one.
    fn read_more(&mut self) -> Result<bool, InputError> {
        let Some((path, file)) = &mut self.open else {
            let Some(path) = self.files.next() else {
                return Ok(false);
            };
            match File::open(&path) {
                Ok(file) => self.open = Some((path, file)),
                Err(error) => return Err(InputError::Unreadable { path, error }),
            }
            return Ok(true);
        };
        let room = self.chunk_bytes.saturating_sub(self.text.len());
        let piece_bytes = if room == 0 { self.chunk_bytes } else { room };
        let read = Read::take(file, piece_bytes as u64).read_to_end(&mut self.text);
        match read {
            Ok(0) => {
                self.open = None;
                if self.text.last().is_some_and(|&byte| !is_space(byte)) {
                    self.text.push(b'\n');
                }
            }
            Ok(read) => self.input_bytes += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let path = mem::take(path);
                return Err(InputError::Unreadable { path, error });
            }
        }
        Ok(true)
    }

    /// Hands out the first `end` bytes; the rest begins the next chunk.
    fn cut(&mut self, end: usize) -> Chunk {
        let rest = self.text.split_off(end);
        let text = mem::replace(&mut self.text, rest);
        // What is left over is from the open file, so it holds no separator.
        let left_over = self.text.len() as u64;
        let input_bytes = self.input_bytes - left_over;
        self.input_bytes = left_over;
        Chunk { text, input_bytes }
    }
}

impl Iterator for Chunks {
    type Item = Result<Chunk, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.read_chunk();
        if chunk.is_err() {
            self.files = Vec::new().into_iter();
            self.open = None;
            self.text = Vec::new();
            self.input_bytes = 0;
        }
        chunk.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wordcount::{plain, scratch::Scratch, tally::Tally, tally::count_chunk};

    fn check(name: &str, files: &[&[u8]], chunk_bytes: usize, expected: &[&[u8]]) {
        let scratch = Scratch::new(name);
        let paths: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(index, content)| scratch.file(&index.to_string(), content))
            .collect();
        let chunks: Vec<_> = Chunks::new(paths.clone(), chunk_bytes)
            .map(Result::unwrap)
            .collect();
        let texts: Vec<_> = chunks.iter().map(|chunk| &*chunk.text).collect();
        assert_eq!(texts, expected, "{name}");
        let input_bytes: u64 = chunks.iter().map(|chunk| chunk.input_bytes).sum();
        let length: usize = files.iter().map(|content| content.len()).sum();
        assert_eq!(input_bytes, length as u64, "{name}");
        let mut tally = Tally::default();
        for chunk in chunks {
            tally.absorb(&count_chunk(&chunk.text)).unwrap();
        }
        assert_eq!(tally, plain::count(&paths).unwrap(), "{name}");
    }

    #[test]
    fn files_are_cut_at_white_space() {
        check(
            "chunk-cut",
            &[b"aaa bbb ccc ddd"],
            8,
            &[b"aaa bbb ", b"ccc ddd\n"],
        );
        check("chunk-tab", &[b"aaa\tbbbbbb"], 6, &[b"aaa\t", b"bbbbbb\n"]);
    }

    #[test]
    fn a_word_never_spans_files() {
        check("chunk-files", &[b"one", b"two"], 100, &[b"one\ntwo\n"]);
        check("chunk-ends", &[b"one\n", b"two"], 100, &[b"one\ntwo\n"]);
        check(
            "chunk-exact",
            &[b"abcd", b"efgh"],
            4,
            &[b"abcd\n", b"efgh\n"],
        );
    }

    #[test]
    fn a_word_that_is_longer_than_a_chunk_stays_whole() {
        check(
            "chunk-long",
            &[b"a bbbbbbbbbbbbbbbbbbbbbbbbbb c"],
            4,
            &[b"a ", b"bbbbbbbbbbbbbbbbbbbbbbbbbb ", b"c\n"],
        );
    }

    #[test]
    fn empty_files_and_files_of_white_space_have_no_words() {
        check("chunk-empty", &[b"", b""], 4, &[]);
        check("chunk-white", &[b"", b"  \n", b""], 100, &[b"  \n"]);
        check("chunk-none", &[], 4, &[]);
    }

    #[test]
    fn no_length_of_chunk_changes_the_count() {
        let files: [&[u8]; 4] = [
            b"the quick brown",
            b"",
            b"fox\x0bjumps  over ",
            b"the lazy dog\n",
        ];
        for chunk_bytes in 1..50 {
            let scratch = Scratch::new("chunk-any");
            let paths: Vec<_> = (0..4)
                .map(|index| scratch.file(&index.to_string(), files[index]))
                .collect();
            let mut tally = Tally::default();
            for chunk in Chunks::new(paths.clone(), chunk_bytes) {
                tally.absorb(&count_chunk(&chunk.unwrap().text)).unwrap();
            }
            assert_eq!(tally, plain::count(&paths).unwrap(), "{chunk_bytes}");
        }
    }

    #[test]
    fn a_file_that_went_away_is_an_error_and_ends_the_chunks() {
        let scratch = Scratch::new("chunk-gone");
        let first = scratch.file("first", b"a b");
        let mut chunks = Chunks::new(vec![first, scratch.path().join("gone")], 100);
        let error = chunks.next().unwrap().unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
        assert!(chunks.next().is_none());
    }

    #[test]
    fn chunks_are_shorter_when_there_is_little_input() {
        assert_eq!(chunk_bytes_for(0), 1 << 10);
        assert_eq!(chunk_bytes_for(1 << 20), 16 << 10);
        assert_eq!(chunk_bytes_for(50 << 20), CHUNK_BYTES);
        assert_eq!(chunk_bytes_for(u64::MAX), CHUNK_BYTES);
    }
}
