//! Who makes the instance of each incarnation.

use std::future::Future;

use crate::{actor::Actor, context::Init};

/// Makes the instance of each incarnation. `None`: there is to be none this time (OTP's `ignore`).
pub(crate) trait Starter<A: Actor>: Send {
    fn start(
        &mut self,
        init: Init<A::Msg>,
    ) -> impl Future<Output = Result<Option<A>, A::Error>> + Send;
}

/// An actor that was made beforehand, for its one incarnation.
pub(crate) struct Once<A>(pub(crate) Option<A>);

impl<A: Actor> Starter<A> for Once<A> {
    fn start(
        &mut self,
        _init: Init<A::Msg>,
    ) -> impl Future<Output = Result<Option<A>, A::Error>> + Send {
        std::future::ready(Ok(self.0.take()))
    }
}

/// A function that makes an instance for each incarnation.
pub(crate) struct Factory<F>(pub(crate) F);

impl<A, F, Fut> Starter<A> for Factory<F>
where
    A: Actor,
    F: FnMut(Init<A::Msg>) -> Fut + Send,
    Fut: Future<Output = Result<Option<A>, A::Error>> + Send,
{
    fn start(
        &mut self,
        init: Init<A::Msg>,
    ) -> impl Future<Output = Result<Option<A>, A::Error>> + Send {
        (self.0)(init)
    }
}
