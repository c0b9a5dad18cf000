//! What a node says: [`Line`].

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// One line of a node's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When, in microseconds of the machine's wall clock.
    pub at_us: u64,
    /// What.
    pub said: Said,
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Said {
    /// It listens.
    Started {
        /// Its boot.
        boot: u64,
    },
    /// It failed, and ends.
    Failed {
        /// Why.
        why: String,
    },
    /// A member was seen for the first time.
    Joined {
        /// Whose boot.
        node: String,
        /// Which.
        boot: u64,
    },
    /// A member is suspected.
    Suspected {
        /// Which.
        node: String,
    },
    /// A member is unreachable.
    Unreachable {
        /// Which.
        node: String,
    },
    /// A member is back.
    Reachable {
        /// Which.
        node: String,
    },
    /// A member is down.
    Down {
        /// Which.
        node: String,
        /// Which boot of it.
        boot: u64,
    },
    /// This node is down.
    SelfDown,
    /// This node lives again.
    Rejoined {
        /// Its new boot.
        boot: u64,
    },
    /// This node did not run for a while.
    Paused {
        /// How long.
        late_ms: u64,
    },
    /// It does the work of the singleton from now on.
    Begun {
        /// The epoch of its term.
        epoch: u64,
    },
    /// It has stopped that work.
    Stopped,
    /// The answer to `view`: what it believes of itself and of the others.
    View {
        /// By name: `alive`, `suspect`, `unreachable` or `down`.
        states: BTreeMap<String, String>,
        /// The nodes of the members of the group `lab` that it can reach. All join it that have traffic.
        group: Vec<String>,
    },
    /// A parcel has been handled here.
    Handled(Parcel),
    /// The sender was told that a parcel was handled.
    Acknowledged(Parcel),
}

/// A message between nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Parcel {
    /// Whether it is sent until it is acknowledged, or once.
    pub acknowledged: bool,
    /// The process that sends: the name of its node and its first boot.
    pub from: (String, u64),
    /// The boot that it is sent to.
    pub to: (String, u64),
    /// Counts what goes from this process to that boot, each kind for itself.
    pub number: u64,
}

/// The wall clock in microseconds.
pub fn now_us() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |time| time.as_micros() as u64)
}

/// Writes a line. Nobody reads any more: then the process is about to end, and nothing is to be done.
pub(super) fn say(said: Said) {
    let line = Line {
        at_us: now_us(),
        said,
    };
    let mut text = serde_json::to_string(&line).expect("a line can be written as JSON");
    text.push('\n');
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
