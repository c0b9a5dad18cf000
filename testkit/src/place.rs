//! Where in a test something was expected.

use std::{fmt::Debug, panic::Location, time::Duration};

/// The line of a test. An async function cannot know who calls it, so expectations are functions that return futures,
/// and keep the line from the call.
#[derive(Clone, Copy)]
pub(crate) struct Place(&'static Location<'static>);

impl Place {
    #[track_caller]
    pub(crate) fn here() -> Self {
        Self(Location::caller())
    }

    /// Fails the test: what was not met, and what was seen instead.
    pub(crate) fn fail(self, what: &str, instead: &[String]) -> ! {
        let mut text = format!("{}: {what}", self.0);
        match instead {
            [] => text.push_str("\n  nothing came instead"),
            seen => {
                text.push_str("\n  instead came:");
                for one in seen {
                    text.push_str("\n    ");
                    text.push_str(one);
                }
            }
        }
        panic!("{text}")
    }
}

pub(crate) fn shown<T: Debug>(value: &T) -> String {
    format!("{value:?}")
}

/// `future`, or `None` after `within` of tokio's time.
pub(crate) async fn in_time<T>(within: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(within, future).await.ok()
}
