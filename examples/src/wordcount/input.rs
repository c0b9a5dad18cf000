//! Which files are counted: [`Input::find`].
//!
//! Folders are taken recursively, entries sorted by name. In a folder only regular files count: symbolic links are not
//! followed, and whatever is hidden (its name begins with a dot) is left out, as are sockets, pipes and devices. What is
//! named by the user is taken even if it is hidden, and is an error if it is a link or no file or folder. A file that is
//! named twice is counted twice.

use std::{
    fmt, fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The files to count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// In the order in which they are read.
    pub files: Vec<PathBuf>,
    /// The sum of their lengths when they were found, in bytes.
    pub bytes: u64,
}

impl Input {
    /// Finds the files below `paths`.
    ///
    /// # Errors
    ///
    /// The first thing that is missing, cannot be read, or is neither file nor folder; or that there is no file at all.
    pub fn find(paths: &[PathBuf]) -> Result<Self, InputError> {
        let mut input = Self::default();
        for path in paths {
            input.take_named(path)?;
        }
        if input.files.is_empty() {
            return Err(InputError::NoFiles {
                paths: paths.to_vec(),
            });
        }
        Ok(input)
    }

    /// What is counted if the user names nothing: the sources and documents of the repository at `root`, which is
    /// everything in it but what is hidden and what was built.
    ///
    /// # Errors
    ///
    /// If `root` cannot be listed.
    pub fn repository(root: &Path) -> Result<Vec<PathBuf>, InputError> {
        let mut paths = list(root)?;
        paths.retain(|path| {
            !is_hidden(path)
                && path.file_name().is_some_and(|name| name != "target")
                && fs::symlink_metadata(path)
                    .is_ok_and(|metadata| metadata.is_file() || metadata.is_dir())
        });
        Ok(paths)
    }

    fn take_named(&mut self, path: &Path) -> Result<(), InputError> {
        let metadata = fs::symlink_metadata(path).map_err(unreadable(path))?;
        if metadata.is_dir() {
            self.take_folder(path)
        } else if metadata.is_file() {
            self.take_file(path.to_path_buf(), metadata.len())
        } else {
            Err(InputError::NeitherFileNorFolder {
                path: path.to_path_buf(),
                is_link: metadata.is_symlink(),
            })
        }
    }

    fn take_folder(&mut self, folder: &Path) -> Result<(), InputError> {
        for path in list(folder)? {
            if is_hidden(&path) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).map_err(unreadable(&path))?;
            if metadata.is_dir() {
                self.take_folder(&path)?;
            } else if metadata.is_file() {
                self.take_file(path, metadata.len())?;
            }
        }
        Ok(())
    }

    /// Opens the file once, so that one that cannot be read is found before any work is done.
    fn take_file(&mut self, path: PathBuf, length_bytes: u64) -> Result<(), InputError> {
        fs::File::open(&path).map_err(unreadable(&path))?;
        self.files.push(path);
        self.bytes += length_bytes;
        Ok(())
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_bytes().starts_with(b"."))
}

/// What a folder holds, sorted by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>, InputError> {
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(unreadable(folder))?;
    paths.sort_unstable();
    Ok(paths)
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> InputError {
    move |error| InputError::Unreadable {
        path: path.to_path_buf(),
        error,
    }
}

/// Why the input cannot be counted. Nothing was started.
#[derive(Debug)]
#[non_exhaustive]
pub enum InputError {
    /// A file or folder is missing or cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The user named something that is neither a regular file nor a folder.
    NeitherFileNorFolder {
        /// What.
        path: PathBuf,
        /// Whether it is a symbolic link.
        is_link: bool,
    },
    /// There is no regular file in what the user named.
    NoFiles {
        /// What the user named.
        paths: Vec<PathBuf>,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "cannot read {}: {error}", path.display())
            }
            Self::NeitherFileNorFolder {
                path,
                is_link: true,
            } => write!(
                f,
                "{} is a symbolic link, and links are not followed: name what it points to",
                path.display()
            ),
            Self::NeitherFileNorFolder { path, .. } => {
                write!(f, "{} is neither a file nor a folder", path.display())
            }
            Self::NoFiles { paths } => {
                f.write_str("nothing to count: there is no regular file in")?;
                for (index, path) in paths.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma} {}", path.display())?;
                }
                f.write_str(" that is not hidden")
            }
        }
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::NeitherFileNorFolder { .. } | Self::NoFiles { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wordcount::scratch::Scratch;

    fn names(scratch: &Scratch, input: &Input) -> Vec<String> {
        let strip = |path: &PathBuf| path.strip_prefix(scratch.path()).unwrap().to_owned();
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        input.files.iter().map(strip).map(text).collect()
    }

    #[test]
    fn folders_are_taken_recursively_and_sorted_without_links_and_hidden_things() {
        let scratch = Scratch::new("input-walk");
        scratch.file("b/two", b"22");
        scratch.file("b/.hidden", b"x");
        scratch.file("b/.git/config", b"x");
        scratch.file("a", b"1");
        std::os::unix::fs::symlink(scratch.path().join("a"), scratch.path().join("link")).unwrap();
        std::os::unix::fs::symlink(scratch.path(), scratch.path().join("b/loop")).unwrap();
        let input = Input::find(&[scratch.path().to_path_buf()]).unwrap();
        assert_eq!(names(&scratch, &input), ["a", "b/two"]);
        assert_eq!(input.bytes, 3);
    }

    #[test]
    fn what_the_user_names_is_taken_even_if_hidden_and_as_often_as_it_is_named() {
        let scratch = Scratch::new("input-named");
        let hidden = scratch.file(".hidden", b"x");
        let input = Input::find(&[hidden.clone(), hidden]).unwrap();
        assert_eq!(names(&scratch, &input), [".hidden", ".hidden"]);
    }

    #[test]
    fn bad_input_is_named() {
        let scratch = Scratch::new("input-bad");
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        std::fs::create_dir(scratch.path().join("empty")).unwrap();
        let check = |name: &str, expected: &str| {
            let error = Input::find(&[scratch.path().join(name)]).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        };
        check("missing", "No such file");
        check("link", "symbolic link");
        check("empty", "nothing to count");
    }

    #[test]
    fn the_repository_is_counted_without_what_was_built() {
        let scratch = Scratch::new("input-repository");
        scratch.file("src/lib.rs", b"x");
        scratch.file("target/debug/x", b"x");
        scratch.file(".git/config", b"x");
        scratch.file("README.md", b"x");
        let paths = Input::repository(scratch.path()).unwrap();
        let input = Input::find(&paths).unwrap();
        assert_eq!(names(&scratch, &input), ["README.md", "src/lib.rs"]);
    }
}
