//! Who a member is: a name that stays, and a boot that changes with every process.
//!
//! The unit of membership is the pair of both. Of one name only the greatest boot counts: its predecessors are dead by definition, so a
//! table keeps one row for each name, and a verdict on a boot can never touch its successor.

use std::borrow::Borrow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::metadata::Metadata;

/// Longest name of a node, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The name of a node: 1 to [`NAME_BYTES_MAX`] bytes of UTF-8 without control characters, unique in its cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Checks and keeps a name.
    ///
    /// # Errors
    /// [`NameError`] when the name is empty, too long, or has a control character.
    pub fn new(name: &str) -> Result<Self, NameError> {
        match name.len() {
            0 => Err(NameError::Empty),
            bytes if bytes > NAME_BYTES_MAX => Err(NameError::TooLong { bytes }),
            _ if name.chars().any(char::is_control) => Err(NameError::ControlCharacter),
            _ => Ok(Self(name.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(&name)
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.as_str().into()
    }
}

impl Borrow<str> for NodeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a [`NodeName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The text has no byte.
    Empty,
    /// The text is longer than [`NAME_BYTES_MAX`].
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The text has a control character, which would spoil a log line.
    ControlCharacter,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a node name needs at least one byte"),
            Self::TooLong { bytes } => write!(
                f,
                "a node name has at most {NAME_BYTES_MAX} bytes, this one has {bytes}"
            ),
            Self::ControlCharacter => write!(f, "a node name has no control characters"),
        }
    }
}

impl std::error::Error for NameError {}

/// One process of a node. Later processes of the same name have greater ones; the shell makes them from the wall clock, so that this holds
/// across machines' restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootUid(pub u64);

impl fmt::Display for BootUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// One process of one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId {
    /// The name, which stays.
    pub name: NodeName,
    /// The process, which changes.
    pub boot: BootUid,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.boot)
    }
}

/// What a machine is told about itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name and process.
    pub id: NodeId,
    /// Where others reach this node's datagrams.
    pub addr: SocketAddr,
    /// What others shall know of it.
    pub metadata: Metadata,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_visible_text() {
        let check = |text: &str, expected: Option<NameError>| {
            assert_eq!(NodeName::new(text).err(), expected, "{text:?}")
        };
        check("a", None);
        check("knoten-ß", None);
        check(&"x".repeat(64), None);
        check(&"x".repeat(65), Some(NameError::TooLong { bytes: 65 }));
        check("", Some(NameError::Empty));
        check("a\nb", Some(NameError::ControlCharacter));
    }
}
