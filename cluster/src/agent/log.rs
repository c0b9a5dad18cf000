//! What of the events of membership is written to the log: what somebody on call reads first.

use crate::membership::{DownReason, Event};

/// One line for each event; its level says whether anybody needs to look.
pub(super) fn log(event: &Event) {
    match event {
        Event::MemberUnreachable { id, accuser } => tracing::warn!(
            member = %id, %accuser,
            "a member is unreachable: nobody gets an answer from it; it may be back"
        ),
        Event::MemberReachable { id } => {
            tracing::info!(member = %id, "a member that was unreachable is back")
        }
        Event::MemberDown {
            id,
            reason: DownReason::Left,
            ..
        } => tracing::info!(member = %id, "a member has left"),
        Event::MemberDown {
            id,
            reason,
            decider,
        } => tracing::warn!(member = %id, ?reason, %decider, "a member is down"),
        Event::SelfDown {
            reason: DownReason::Left,
            ..
        } => tracing::info!("this node has left"),
        Event::SelfDown { reason, decider } => tracing::warn!(
            ?reason, %decider,
            "this node is down: the others go on without it"
        ),
        Event::Rejoined { id } => tracing::info!(node = %id, "this node is back, as another boot"),
        Event::Paused { late } => tracing::warn!(
            ?late,
            "this process did not run for a while; others may take it for dead"
        ),
        Event::PartitionUndecided { reason } => tracing::warn!(
            ?reason,
            "the partition policy leaves the unreachable to an operator"
        ),
        Event::AnsweredByStreamAlone { id } => tracing::warn!(
            member = %id,
            "it answers over TCP and not over UDP: something between here and there drops datagrams"
        ),
        Event::MemberJoined(info) => tracing::debug!(member = %info.id, "a member has joined"),
        Event::MemberSuspected { id, accuser } => {
            tracing::debug!(member = %id, %accuser, "a member is suspected")
        }
        Event::Refuted { accuser, .. } => {
            tracing::debug!(%accuser, "this node was suspected, and has said that it lives")
        }
        Event::MemberUpdated(_)
        | Event::SuspicionRefuted { .. }
        | Event::MemberForgotten { .. }
        | Event::Joined { .. }
        | Event::LeaseWanted { .. }
        | Event::RejoinPossible
        | Event::LeaveComplete => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Level, Metadata, Subscriber};

    use super::*;
    use crate::membership::{BootUid, NodeId, NodeName};

    /// Keeps the level of each event, and its fields but for the message.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() != "message" {
                self.0 += &format!("{}={value:?} ", field.name());
            }
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            let mut fields = Fields(String::new());
            event.record(&mut fields);
            let line = (*event.metadata().level(), fields.0);
            self.0.lock().expect("no test panics here").push(line);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn the_level_says_whether_to_look_and_the_fields_at_whom() {
        let name = |name| NodeName::new(name).expect("a name");
        let id = NodeId {
            name: name("b"),
            boot: BootUid(2),
        };
        let down = |reason| Event::MemberDown {
            id: id.clone(),
            reason,
            decider: name("a"),
        };
        let accuser = name("c");
        let table = [
            (
                Event::MemberUnreachable {
                    id: id.clone(),
                    accuser,
                },
                Some(Level::WARN),
            ),
            (Event::MemberReachable { id: id.clone() }, Some(Level::INFO)),
            (down(DownReason::Policy), Some(Level::WARN)),
            (down(DownReason::Left), Some(Level::INFO)),
            (Event::SuspicionRefuted { id: id.clone() }, None),
        ];
        for (event, level) in table {
            let lines = Lines::default();
            tracing::subscriber::with_default(lines.clone(), || log(&event));
            let lines = lines.0.lock().expect("no test panics here");
            assert_eq!(lines.first().map(|(level, _)| *level), level, "{event:?}");
            let names_it = |(_, fields): &(_, String)| fields.contains(&format!("member={id}"));
            assert!(lines.iter().all(names_it), "{lines:?}");
        }
        let lines = Lines::default();
        let late = Duration::from_secs(9);
        tracing::subscriber::with_default(lines.clone(), || log(&Event::Paused { late }));
        let expected = [(Level::WARN, "late=9s ".to_owned())];
        assert_eq!(*lines.0.lock().expect("no test panics here"), expected);
    }
}
