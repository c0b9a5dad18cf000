//! The [`Actor`] trait.

use std::{any::type_name, future::Future};

use crate::{context::Context, exit::ExitReason, failure::Failure};

/// State and the messages that change it, one at a time.
///
/// One type of message for each actor: an enum, usually. Messages lie inline in the mailbox and handlers are not boxed.
///
/// ```
/// use treewarden_runtime::{Actor, Context, Failure, Reply, System};
///
/// struct Counter {
///     total: u64,
/// }
///
/// enum CounterMsg {
///     Add(u64),
///     Total(Reply<u64>),
/// }
///
/// impl Actor for Counter {
///     type Msg = CounterMsg;
///     type Error = Failure;
///
///     async fn handle(&mut self, msg: CounterMsg, _cx: &mut Context<Self>) -> Result<(), Failure> {
///         match msg {
///             CounterMsg::Add(n) => self.total += n,
///             CounterMsg::Total(reply) => reply.send(self.total),
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let system = System::new("demo");
/// let counter = system.spawn(Counter { total: 0 });
/// counter.tell(CounterMsg::Add(2)).await?;
/// assert_eq!(counter.ask(CounterMsg::Total).await?, 2);
/// # Ok(())
/// # }
/// ```
pub trait Actor: Sized + Send + 'static {
    /// What it is sent.
    type Msg: Send + 'static;
    /// What its handlers fail with. [`Failure`] takes anything that is a standard error.
    type Error: Into<Failure> + Send;

    /// Runs once before the first message. A failure here is a failed start.
    fn started(
        &mut self,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = cx;
        async { Ok(()) }
    }

    /// Handles one message. The next one waits until this returns.
    ///
    /// An error ends the incarnation with [`ExitReason::Failed`], a panic with [`ExitReason::Panicked`]; the message is
    /// gone and recorded as the suspect, the messages behind it wait for the next incarnation if there is one.
    ///
    /// A kill drops the future of this at its next await.
    fn handle(
        &mut self,
        msg: Self::Msg,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Runs once after the last message, whenever the state can be trusted: after an orderly stop and after a handler
    /// returned an error. It does not run after a panic or a kill, nor after a failed start.
    ///
    /// The next incarnation starts only when this is done.
    fn stopped(
        &mut self,
        reason: &ExitReason,
        cx: &mut Context<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, cx);
        async {}
    }

    /// What to call a message in reports, if it was in the handler at a crash. The name of a variant, for example.
    fn label(msg: &Self::Msg) -> &'static str {
        let _ = msg;
        type_name::<Self::Msg>()
    }
}
