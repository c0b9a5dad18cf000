//! Lanes: connections of their own for messages that must not wait for each other.

use serde::{Deserialize, Serialize};

/// On which of the connections between two nodes messages go. The order of the variants is the wire format.
///
/// A lane is fixed for a reference, never chosen by the size of a message, so that the messages of one reference keep their order. References to
/// one actor on different lanes are different channels: no order holds between them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Lane {
    /// Small and urgent: monitors go here.
    Control,
    /// Everything that nothing else was said of.
    #[default]
    Data,
    /// Large: whatever fills the line for a while.
    Bulk,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 3] = [Self::Control, Self::Data, Self::Bulk];
}
