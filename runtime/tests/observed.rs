//! What an observed actor shows in spans. In a program of its own, because whether anybody listens is decided for a whole
//! process.

use std::{
    fmt,
    num::NonZeroU64,
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use treewarden_runtime::{
    Actor, ActorRef, Context, Failure, MessageContext, Observed, Reply, SpawnOptions, System,
};

/// Notes the fields of each span `handle`, and between which events it was entered.
#[derive(Clone, Default)]
struct Notes(Arc<(Mutex<Vec<String>>, AtomicU64)>);

impl Notes {
    fn note(&self, line: String) {
        let mut lines = self.0.0.lock().expect("nobody panics while it notes");
        lines.push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.0.lock().expect("nobody panics while it notes"))
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "treewarden::handle" || metadata.target() == "test"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.0.1.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields(format!("span {id}, root {}:", attributes.is_root()));
        attributes.record(&mut fields);
        self.note(fields.0);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut fields = Fields(format!("span {} also:", id.into_u64()));
        values.record(&mut fields);
        self.note(fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields("event".to_owned());
        event.record(&mut fields);
        self.note(fields.0);
    }

    fn enter(&self, id: &Id) {
        self.note(format!("enter {}", id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        self.note(format!("exit {}", id.into_u64()));
    }
}

struct Desk {
    next: Option<ActorRef<Question>>,
}

enum Question {
    Ask(Reply<u32>),
}

impl Actor for Desk {
    type Msg = Question;
    type Error = Failure;

    fn label(_: &Question) -> &'static str {
        "ask"
    }

    async fn handle(&mut self, msg: Question, _: &mut Context<Self>) -> Result<(), Failure> {
        let Question::Ask(reply) = msg;
        tracing::info!(target: "test", has_next = self.next.is_some());
        match &self.next {
            Some(next) => reply.send(next.ask(Question::Ask).await? + 1),
            None => reply.send(1),
        }
        Ok(())
    }
}

#[tokio::test(flavor = "current_thread")]
async fn each_handler_runs_in_a_span_of_its_own_and_those_of_one_request_have_its_marks() {
    let notes = Notes::default();
    let _guard = tracing::subscriber::set_default(notes.clone());
    let system = System::new("test");
    let spawn = |name, desk| {
        let options = SpawnOptions::new().name(name);
        let desk = system.spawn_with(options, Observed::new(desk));
        desk.expect("the name is free")
    };
    let back = spawn("back", Desk { next: None });
    let front = spawn("front", Desk { next: Some(back) });

    let context = MessageContext::new()
        .with_request_id(NonZeroU64::new(7).expect("not zero"))
        .with_trace_parent("00-0af7-b7ad-01");
    let answer = front.ask(Question::Ask).context(context).await;
    assert_eq!(answer, Ok(2));
    let of = |id: u32, path: &str| {
        format!(
            "span {id}, root true: actor=\"observed::Desk\" path=\"{path}\" message=\"ask\" incarnation=1"
        )
    };
    let marks = |id: u32| {
        [
            format!("span {id} also: request_id=7"),
            format!("span {id} also: attempt=0"),
            format!("span {id} also: trace_parent=\"00-0af7-b7ad-01\""),
        ]
    };
    let lines = notes.take();
    let (fields, rest): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.starts_with("span"));
    let mut expected = vec![of(1, "/front")];
    expected.extend(marks(1));
    expected.push(of(2, "/back"));
    expected.extend(marks(2));
    assert_eq!(fields, expected);
    // The first handler is suspended while the second one runs: a span is entered for a poll, and left after it.
    let polls = [
        "enter 1",
        "event has_next=true",
        "exit 1",
        "enter 2",
        "event has_next=false",
        "exit 2",
        "enter 1",
        "exit 1",
    ];
    let without_drops: Vec<_> = deduplicated(rest);
    assert_eq!(without_drops, polls);

    // A message without a context has a span without marks.
    assert_eq!(front.ask(Question::Ask).await, Ok(2));
    let spans: Vec<_> = notes
        .take()
        .into_iter()
        .filter(|line| line.starts_with("span"))
        .collect();
    assert_eq!(spans, [of(3, "/front"), of(4, "/back")]);
}

/// An instrumented future enters its span once more when it is dropped; that shows nothing.
fn deduplicated(lines: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for line in lines {
        kept.push(line);
        if let [.., enter, exit] = &kept[..]
            && enter.starts_with("enter")
            && exit.starts_with("exit")
            && kept.len() > 2
            && kept[kept.len() - 3].starts_with("exit")
            && kept[kept.len() - 3] == *exit
        {
            kept.truncate(kept.len() - 2);
        }
    }
    kept
}
