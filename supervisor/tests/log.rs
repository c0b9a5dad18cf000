//! The log of a tree. In a program of its own: whether anybody listens to a line is decided for all threads of a process together.

mod common;

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use common::{a_life, live};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps level and message of each event of this crate's.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}"); // writing to a String cannot fail
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("treewarden") && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = format!("{} ", event.metadata().level());
        event.record(&mut Message(&mut line));
        self.0
            .lock()
            .expect("no test panics while it notes")
            .push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn the_log_has_a_line_for_each_with_the_path_and_a_level_that_says_whether_to_look() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let tree = a_life().await;
    live(&tree).await;
    let lines = lines.0.lock().expect("nobody panicked").clone();
    let (failed, place) = lines[0].split_once(" (at ").expect("where it failed");
    assert!(place.contains("tests/common/mod.rs:"), "{place}");
    let (_, handling) = place.split_once(')').expect("a place ends");
    let failed = format!("{failed}{handling}");
    assert_eq!(
        [&[failed], &lines[1..]].concat(),
        [
            "WARN /app/calm exited: failed: told to; it was handling order",
            "INFO /app/calm restarts after 1s, 1 failure in a row",
            "INFO /app/calm started, incarnation 2",
            "WARN /app/sub/a exited: panicked: told to; it was handling order",
            "ERROR /app/sub/a was restarted too often: more restarts than the intensity allows; its supervisor gives up; last: panicked: told to",
            "WARN /app/sub exited: escalated: more restarts than the intensity allows; the last to fail was /app/sub/a (panicked: told to)",
            "INFO /app/sub restarts",
            "INFO /app/sub/a started, incarnation 2",
            "INFO /app/sub started, incarnation 2",
            "WARN /app/slow did not stop within 1s; killed",
            "WARN /app/slow was stopped, but ended otherwise: killed",
        ]
    );
}
