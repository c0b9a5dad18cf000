//! An ask as a tower service (feature `tower`), so that tower's layers (limits, timeouts, load shedding) and servers that speak tower can
//! stand in front of an actor.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::ask::AskError;
use crate::reference::{ActorRef, AddressState};
use crate::reply::Reply;

/// An actor as a [`tower_service::Service`]: made by [`ActorRef::service`]. Clones share the actor.
///
/// It is always ready: a call waits for room in the mailbox as an ask does, and tower's limits bound how many wait. A call has no deadline
/// of its own; put tower's timeout around it, or let it inherit one.
pub struct AskService<M, Request, Answer, F> {
    target: ActorRef<M>,
    question: Arc<F>,
    signature: PhantomData<fn(Request) -> Answer>,
}

impl<M: Send + 'static> ActorRef<M> {
    /// This actor as a tower service. `question` makes the message of a request and of the reply that it is to be answered with.
    ///
    /// ```
    /// # use treewarden_runtime::{Actor, Context, Failure, Reply, System};
    /// # struct Doubler;
    /// # impl Actor for Doubler {
    /// #     type Msg = (u32, Reply<u32>);
    /// #     type Error = Failure;
    /// #     async fn handle(&mut self, (n, reply): Self::Msg, _: &mut Context<Self>) -> Result<(), Failure> {
    /// #         reply.send(2 * n);
    /// #         Ok(())
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Failure> {
    /// use tower_service::Service;
    ///
    /// let doubler = System::new("demo").spawn(Doubler);
    /// let mut service = doubler.service(|n: u32, reply| (n, reply));
    /// assert_eq!(service.call(4).await?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn service<Request, Answer, F>(&self, question: F) -> AskService<M, Request, Answer, F>
    where
        F: Fn(Request, Reply<Answer>) -> M + Send + Sync + 'static,
        Answer: Send + 'static,
    {
        AskService {
            target: self.clone(),
            question: Arc::new(question),
            signature: PhantomData,
        }
    }
}

impl<M, F, Request, Answer> tower_service::Service<Request> for AskService<M, Request, Answer, F>
where
    M: Send + 'static,
    Request: Send + 'static,
    Answer: Send + 'static,
    F: Fn(Request, Reply<Answer>) -> M + Send + Sync + 'static,
{
    type Response = Answer;
    type Error = AskError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, AskError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AskError>> {
        Poll::Ready(match self.target.state() {
            AddressState::Gone => Err(AskError::Dead),
            AddressState::Running | AddressState::Restarting | AddressState::Stopped => Ok(()),
        })
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (target, question) = (self.target.clone(), self.question.clone());
        // Boxed, because an ask that waits for room may be moved, and a request need not be movable when pinned.
        let request = Box::new(request);
        Box::pin(async move { target.ask(move |reply| question(*request, reply)).await })
    }
}

impl<M, Request, Answer, F> Clone for AskService<M, Request, Answer, F> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            question: self.question.clone(),
            signature: PhantomData,
        }
    }
}

impl<M: Send + 'static, Request, Answer, F> fmt::Debug for AskService<M, Request, Answer, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AskService({})", self.target.path())
    }
}
