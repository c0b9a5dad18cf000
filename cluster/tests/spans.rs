//! One request, seen on two nodes. In a program of its own, because whether anybody listens to spans is decided for a whole
//! process.

#![allow(dead_code, reason = "not all of the support is needed here")]

#[path = "remote/support.rs"]
mod support;

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use support::{Msg, pair, soon};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use treewarden_cluster::remote::RemoteRef;
use treewarden_runtime::{Actor, Context, Failure, MessageContext, Observed, Reply};

/// Notes the fields that tie spans together.
#[derive(Clone, Default)]
struct Ties(Arc<Mutex<Vec<String>>>);

impl Visit for &Ties {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "path" | "trace_parent") {
            let mut lines = self.0.lock().expect("nobody panics while it notes");
            lines.push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Ties {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "treewarden::handle"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut &*self);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut &*self);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Back;

impl Actor for Back {
    type Msg = Msg;
    type Error = Failure;

    async fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<(), Failure> {
        if let Msg::Echo(text, reply) = msg {
            reply.send(text);
        }
        Ok(())
    }
}

/// Asks an actor of another node in its handler.
struct Front(RemoteRef<Msg>);

impl Actor for Front {
    type Msg = Reply<String>;
    type Error = Failure;

    async fn handle(&mut self, reply: Reply<String>, _: &mut Context<Self>) -> Result<(), Failure> {
        let text = "hello".to_owned();
        reply.send(self.0.ask(|reply| Msg::Echo(text, reply)).await?);
        Ok(())
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_handlers_of_one_request_have_spans_with_the_same_trace_parent_on_every_node() {
    let ties = Ties::default();
    let _guard = tracing::subscriber::set_default(ties.clone());
    let (a, b, _) = pair().await;
    let back = b.system.spawn(Observed::new(Back));
    b.links.expose("back", &back).expect("the name is free");
    let front = a.system.spawn(Observed::new(Front(a.remote(&b, "back"))));
    let context = MessageContext::new().with_trace_parent("00-0af7-b7ad-01");
    let answer = soon(front.ask(|reply| reply).context(context)).await;
    assert_eq!(answer, Ok("hello".to_owned()));
    let ties = ties.0.lock().expect("nobody panicked").clone();
    let parent = "\"00-0af7-b7ad-01\"".to_owned();
    assert_eq!(ties.len(), 4, "{ties:?}");
    assert_ne!(ties[0], ties[2], "two actors");
    assert_eq!([&ties[1], &ties[3]], [&parent, &parent]);
}
