//! The plain count: one thread, one file after the other, one byte after the other.
//!
//! The distributed count is compared with it. So it shares no code with the path it checks, except the [`Tally`] that
//! both end in: no chunks, and its own notion of white space.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use super::{input::InputError, tally::Tally};

/// Counts the words of `files`.
///
/// # Errors
///
/// The first file that cannot be read.
pub fn count(files: &[PathBuf]) -> Result<Tally, InputError> {
    let mut tally = Tally::default();
    let mut word = Vec::new();
    for path in files {
        let unreadable = |error| InputError::Unreadable {
            path: path.clone(),
            error,
        };
        let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(unreadable)?);
        loop {
            let bytes = reader.fill_buf().map_err(unreadable)?;
            if bytes.is_empty() {
                break;
            }
            for &byte in bytes {
                if byte == 32 || (9..=13).contains(&byte) {
                    if !word.is_empty() {
                        tally.add(&word, 1);
                        word.clear();
                    }
                } else {
                    word.push(byte);
                }
            }
            let read = bytes.len();
            reader.consume(read);
        }
        // A word never goes on in the next file.
        if !word.is_empty() {
            tally.add(&word, 1);
            word.clear();
        }
    }
    Ok(tally)
}
