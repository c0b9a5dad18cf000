//! [`Observed`]: an actor whose handlers are seen from outside, each in a span, and counted and timed.
//!
//! Rules. An actor that is not observed pays nothing: this is a wrapper around it, not a switch in the run loop. A span
//! belongs to one handler and has no parent here, because whoever sent the message may be long done; what ties the spans
//! of one request together, also across nodes, is its request id and its trace parent, which asks inherit and which
//! travel with them. Labels are of types, never of single actors or requests, so that their number is bounded.

use std::{any::type_name, fmt, sync::Arc};

use tracing::{Instrument, Span, field::Empty};

use crate::{actor::Actor, context::Context, envelope::MessageContext, exit::ExitReason};

#[cfg(feature = "metrics")]
mod meters;

/// An actor whose handlers are seen: around the one that is given.
///
/// To everyone else it is the actor: it has its messages, its labels, its address and its reasons to end.
///
/// Each handler runs in a span `handle` (level `INFO`, target `treewarden::handle`) without a parent, with the fields
///
/// | field | what |
/// |---|---|
/// | `actor` | the type of the actor |
/// | `path` | its path |
/// | `message` | the label of the message |
/// | `incarnation` | the number of the incarnation, from 1 |
/// | `request_id`, `attempt`, `trace_parent` | of the [`MessageContext`], if the message has one |
///
/// An ask in the handler carries the last three on, to other nodes as well, so the spans of one request have the same.
///
/// With the feature `metrics`, a recorder of the crate of that name gets, for each type of actor and label of message:
///
/// | name | kind | labels |
/// |---|---|---|
/// | `actor.messages` | counter | `actor`, `message`, `outcome`: `handled`, `failed` (an error), `panicked`, `cut` (killed, cancelled or given up) |
/// | `actor.message.process.duration` | histogram, seconds | `actor`, `message` |
/// | `actor.starts` | counter, incarnations that were started | `actor` |
///
/// The application installs subscriber and recorder; without a recorder nothing is recorded. The recorder of the time when
/// the instance is made is the one that is used. How full mailboxes are is in [`System::snapshot`](crate::System::snapshot).
///
/// ```
/// use treewarden_runtime::{Actor, Context, Failure, Observed, System};
///
/// struct Greeter;
///
/// impl Actor for Greeter {
///     type Msg = String;
///     type Error = Failure;
///
///     async fn handle(&mut self, name: String, _: &mut Context<Self>) -> Result<(), Failure> {
///         tracing::info!("hello, {name}"); // inside the span
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let system = System::new("app");
/// let greeter = system.spawn(Observed::new(Greeter));
/// greeter.tell("world".to_owned()).await?;
/// # Ok(()) }
/// ```
pub struct Observed<A: Actor> {
    actor: A,
    /// Known from the start on.
    path: Option<Arc<str>>,
    #[cfg(feature = "metrics")]
    meters: meters::Meters,
}

impl<A: Actor> Observed<A> {
    /// The same actor, observed.
    pub fn new(actor: A) -> Self {
        Self {
            actor,
            path: None,
            #[cfg(feature = "metrics")]
            meters: meters::Meters::new(type_name::<A>()),
        }
    }

    fn span(&self, label: &'static str, cx: &Context<Self>) -> Span {
        let path = self.path.as_deref();
        let span = tracing::info_span!(
            target: "treewarden::handle",
            parent: None,
            "handle",
            actor = type_name::<A>(),
            path,
            message = label,
            incarnation = cx.incarnation(),
            request_id = Empty,
            attempt = Empty,
            trace_parent = Empty,
        );
        if let Some(context) = cx.message()
            && !span.is_disabled()
        {
            describe(&span, context);
        }
        span
    }
}

fn describe(span: &Span, context: &MessageContext) {
    if let Some(id) = context.request_id() {
        span.record("request_id", id.get());
    }
    span.record("attempt", context.attempt());
    if let Some(parent) = context.trace_parent() {
        span.record("trace_parent", parent);
    }
}

impl<A: Actor> Actor for Observed<A> {
    type Msg = A::Msg;
    type Error = A::Error;

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), A::Error> {
        self.path = Some(cx.path());
        #[cfg(feature = "metrics")]
        self.meters.started();
        self.actor.started(&mut cx.wrapped()).await
    }

    async fn handle(&mut self, message: A::Msg, cx: &mut Context<Self>) -> Result<(), A::Error> {
        let label = A::label(&message);
        let span = self.span(label, cx);
        #[cfg(feature = "metrics")]
        let measured = self.meters.begin(label);
        let mut wrapped = cx.wrapped();
        let handled = self.actor.handle(message, &mut wrapped).instrument(span);
        let handled = handled.await;
        #[cfg(feature = "metrics")]
        measured.end(handled.is_ok());
        handled
    }

    async fn stopped(&mut self, reason: &ExitReason, cx: &mut Context<Self>) {
        self.actor.stopped(reason, &mut cx.wrapped()).await;
    }

    fn label(message: &A::Msg) -> &'static str {
        A::label(message)
    }
}

impl<A: Actor> fmt::Debug for Observed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("actor", &type_name::<A>())
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
