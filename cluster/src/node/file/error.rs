//! What is wrong with a file of settings: [`NodeFileError`].

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::{
    datagram::KeyError, membership::ConfigError, node::NodeError, remote::LinkConfigError,
    transport::CredentialsError,
};

/// Settings in a file that cannot be used. Nothing was started.
#[derive(Debug)]
pub struct NodeFileError {
    /// Which file; `None` for a text.
    pub file: Option<PathBuf>,
    /// Which field, with the sections that it lies in, as `links.ping_interval`; empty if it is the whole.
    pub field: String,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong with a field.
#[derive(Debug)]
#[non_exhaustive]
pub enum Wrong {
    /// The file, or one that the field names, cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML.
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// There is no such field.
    Unknown {
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// It has to be there.
    Missing,
    /// It has another type.
    Type {
        /// What it should be.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// The value is outside its bounds, or none of those that there are.
    Value {
        /// What was said.
        found: String,
        /// What it may be.
        bound: String,
    },
    /// It cannot be said together with another field.
    Conflict {
        /// The other one.
        other: &'static str,
    },
    /// The file that it names has no key.
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// Certificates cannot be used.
    Credentials(CredentialsError),
    /// The timing of membership does not fit together.
    Membership(ConfigError),
    /// The settings of links do not fit together.
    Links(LinkConfigError),
    /// The node cannot be what the whole says.
    Node(NodeError),
}

impl NodeFileError {
    pub(super) fn new(field: impl Into<String>, wrong: Wrong) -> Self {
        Self {
            file: None,
            field: field.into(),
            wrong,
        }
    }

    pub(super) fn in_file(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

impl fmt::Display for NodeFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        self.wrong.fmt(f)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(f, "cannot read {}: {source}", path.display())
            }
            Self::Syntax { line, message } => write!(f, "line {line}: {message}"),
            Self::Unknown { known } => {
                write!(f, "there is no such field; there are: {}", known.join(", "))
            }
            Self::Missing => f.write_str("this field is needed"),
            Self::Type { wanted, found } => write!(f, "it has to be {wanted}, and is {found}"),
            Self::Value { found, bound } => write!(f, "it is {found}; it has to be {bound}"),
            Self::Conflict { other } => write!(f, "it cannot be said together with {other}"),
            Self::Key { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Credentials(error) => error.fmt(f),
            Self::Membership(error) => error.fmt(f),
            Self::Links(error) => error.fmt(f),
            Self::Node(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NodeFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.wrong {
            Wrong::Unreadable { source, .. } => Some(source),
            Wrong::Key { source, .. } => Some(source),
            Wrong::Credentials(error) => Some(error),
            Wrong::Membership(error) => Some(error),
            Wrong::Links(error) => Some(error),
            Wrong::Node(error) => Some(error),
            Wrong::Syntax { .. }
            | Wrong::Unknown { .. }
            | Wrong::Missing
            | Wrong::Type { .. }
            | Wrong::Value { .. }
            | Wrong::Conflict { .. } => None,
        }
    }
}
