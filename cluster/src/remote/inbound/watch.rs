//! Monitors of other nodes: what they say of actors here.

use std::sync::Arc;

use treewarden_runtime::{ExitReason, Monitor, MonitorEvent};

use super::{Answering, InboundLink};
use crate::remote::{
    error::LinkError,
    frame::{Frame, WireExit},
};

/// The kind of an exit that stands for a name under which nothing is exposed.
pub(crate) const UNKNOWN_TARGET: &str = "unknown_target";

impl InboundLink<'_> {
    pub(super) fn monitor(&mut self, number: u64, target: &str) -> Result<(), LinkError> {
        if self.monitors.len() >= self.config.channels_max {
            return Err(LinkError::Rules("it monitors too many actors"));
        }
        let Some(subject) = self.exposures.find(target) else {
            self.answering.send(&Frame::Down {
                number,
                exit: WireExit {
                    incarnation: None,
                    restart_follows: false,
                    missed: 0,
                    kind: UNKNOWN_TARGET,
                    text: "",
                },
            });
            return Ok(());
        };
        let watching = watch(
            subject.monitor(),
            number,
            self.answering.clone(),
            self.config.queue_bytes_max,
        );
        let handle = self.tasks.spawn(watching);
        match self.monitors.insert(number, handle) {
            None => Ok(()),
            Some(_) => Err(LinkError::Rules("it used the number of a monitor twice")),
        }
    }
}

/// The longest text of an exit that travels, in bytes.
const EXIT_TEXT_BYTES_MAX: usize = 512;

/// Passes on what a monitor says. While the link is behind, ends are merged in the monitor.
async fn watch(
    mut monitor: Monitor,
    number: u64,
    answering: Arc<Answering>,
    queue_bytes_max: usize,
) {
    while let Some(event) = monitor.next().await {
        answering.pipe.drained_to(queue_bytes_max).await;
        let (incarnation, restart_follows, missed) = match &event {
            MonitorEvent::Down {
                incarnation,
                restart_follows,
                missed,
                ..
            } => (Some(*incarnation), *restart_follows, *missed),
            MonitorEvent::Gone { missed, .. } => (None, false, *missed),
            // A kind of event that this version has no frame for.
            _ => continue,
        };
        let reason = event.reason();
        let text = exit_text(reason);
        answering.send(&Frame::Down {
            number,
            exit: WireExit {
                incarnation,
                restart_follows,
                missed,
                kind: reason.kind(),
                text: &text,
            },
        });
    }
}

/// What went wrong, without the word that its kind says already.
fn exit_text(reason: &ExitReason) -> String {
    let mut text = match reason {
        ExitReason::Failed(failure) | ExitReason::Escalated(failure) => format!("{failure:#}"),
        ExitReason::Panicked(panic) => panic.to_string(),
        _ => String::new(),
    };
    let mut end = text.len().min(EXIT_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
