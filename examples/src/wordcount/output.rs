//! Where the counts go: [`Output`].

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufWriter, Seek},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::tally::Tally;

/// A file that was opened before the work, so that one that cannot be written is found then.
///
/// What is in it stays until [`write`](Self::write). A file that was made for the job and was not written is removed.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    /// Made by us, and still empty.
    is_to_remove: bool,
}

impl Output {
    /// Opens `path`, which must not be one of `inputs`.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or is an input. Nothing is changed then.
    pub fn open(path: &Path, inputs: &[PathBuf]) -> Result<Self, OutputError> {
        let failed = |error| OutputError::Unwritable {
            path: path.to_path_buf(),
            error,
        };
        if let Ok(metadata) = fs::metadata(path) {
            let is_same = |input: &PathBuf| {
                fs::metadata(input).is_ok_and(|other| {
                    (other.dev(), other.ino()) == (metadata.dev(), metadata.ino())
                })
            };
            if metadata.is_file() && inputs.iter().any(is_same) {
                return Err(OutputError::IsInput {
                    path: path.to_path_buf(),
                });
            }
        }
        let created = File::options().write(true).create_new(true).open(path);
        let is_to_remove = created.is_ok();
        let file = match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                File::options().write(true).open(path)
            }
            other => other,
        };
        Ok(Self {
            path: path.to_path_buf(),
            file: file.map_err(failed)?,
            is_to_remove,
        })
    }

    /// Replaces what is in the file by the counts.
    ///
    /// # Errors
    ///
    /// Those of the file system; part may have been written.
    pub fn write(mut self, tally: &Tally) -> Result<(), OutputError> {
        self.is_to_remove = false;
        let result = self.replace(tally);
        result.map_err(|error| OutputError::Unwritable {
            path: self.path.clone(),
            error,
        })
    }

    fn replace(&mut self, tally: &Tally) -> io::Result<()> {
        // A device or a pipe has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
            self.file.rewind()?;
        }
        tally.write_to(&mut BufWriter::new(&self.file))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_to_remove {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The counts cannot be written.
#[derive(Debug)]
#[non_exhaustive]
pub enum OutputError {
    /// The file cannot be opened or written.
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is one of those that are counted.
    IsInput {
        /// Which.
        path: PathBuf,
    },
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwritable { path, error } => {
                write!(f, "cannot write {}: {error}", path.display())
            }
            Self::IsInput { path } => write!(
                f,
                "--output {} is one of the files to count, and would be overwritten",
                path.display()
            ),
        }
    }
}

impl std::error::Error for OutputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unwritable { error, .. } => Some(error),
            Self::IsInput { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wordcount::scratch::Scratch;

    fn tally() -> Tally {
        let mut tally = Tally::default();
        tally.add(b"word", 2);
        tally
    }

    #[test]
    fn an_old_file_is_kept_until_the_counts_are_there() {
        let scratch = Scratch::new("output-old");
        let path = scratch.file("out", b"a longer text that was there before");
        drop(Output::open(&path, &[]).unwrap());
        assert!(fs::read(&path).unwrap().starts_with(b"a longer"));
        Output::open(&path, &[]).unwrap().write(&tally()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2\tword\n");
    }

    #[test]
    fn a_file_that_was_made_for_nothing_is_removed() {
        let scratch = Scratch::new("output-new");
        let path = scratch.path().join("out");
        let output = Output::open(&path, &[]).unwrap();
        assert!(path.exists());
        drop(output);
        assert!(!path.exists());
    }

    #[test]
    fn an_input_and_what_cannot_be_written_are_refused() {
        let scratch = Scratch::new("output-refused");
        let input = scratch.file("in", b"x");
        let check = |path: &Path, expected: &str| {
            let error = Output::open(path, std::slice::from_ref(&input)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&scratch.path().join("./in"), "is one of the files to count");
        check(&scratch.path().join("no/out"), "No such file");
        check(scratch.path(), "Is a directory");
        assert_eq!(fs::read(&input).unwrap(), b"x");
    }

    #[test]
    fn a_device_is_written_without_being_truncated() {
        let output = Output::open(Path::new("/dev/null"), &[]).unwrap();
        output.write(&tally()).unwrap();
        assert!(Path::new("/dev/null").exists());
    }
}
