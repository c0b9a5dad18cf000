//! A handler at work, with its surroundings: what the watchdog, senders, asks and askers are to know around each poll.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use pin_project_lite::pin_project;

use super::tenancy::Tenancy;
use crate::{
    ask::AskError,
    scope,
    watchdog::{HandlerOverran, Standing, Watch},
};

/// Why no more messages are handled.
pub(super) enum Cut<E> {
    /// A handler returned an error.
    Failed(E),
    /// A handler was cancelled by the watchdog.
    Overran(HandlerOverran),
    /// The address belongs to another.
    GivenUp,
}

pin_project! {
    /// A handler at work. While it is suspended, senders see all the room that there is.
    pub(super) struct Handling<'h, 'q, F, M, W>
    where
        M: Send,
        M: 'static,
        W: Watch,
    {
        #[pin]
        pub(super) handler: F,
        pub(super) tenancy: &'h mut Tenancy<'q, M, W>,
    }
}

impl<F, M, E, W> Future for Handling<'_, '_, F, M, W>
where
    F: Future<Output = Result<(), E>>,
    M: Send + 'static,
    W: Watch,
{
    type Output = Result<(), Cut<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.tenancy.watch.enter() == Standing::Cut {
            scope::begin_cut();
            return Poll::Ready(Err(Cut::Overran(this.tenancy.watch.overran())));
        }
        if this.tenancy.watch.lets_go() {
            this.tenancy.consumer.vacate();
        }
        if let Some(context) = &this.tenancy.inherited {
            scope::inherit(context);
        }
        let polled = this.handler.poll(cx);
        if this.tenancy.inherited.is_some() {
            scope::inherit_nothing();
        }
        if this.tenancy.watch.leave(polled.is_ready()) == Standing::GivenUp {
            scope::begin_cut();
            return Poll::Ready(Err(Cut::GivenUp));
        }
        if this.tenancy.watch.lets_go() {
            let cell = this.tenancy.cell;
            this.tenancy.consumer.resume(&cell.queue);
        }
        match &polled {
            Poll::Pending => this.tenancy.consumer.publish(),
            Poll::Ready(result) if scope::has_orphans() => scope::settle_orphans(match result {
                Ok(()) => AskError::NoReply,
                Err(_) => AskError::CrashedWhileHandling,
            }),
            Poll::Ready(_) => {}
        }
        polled.map_err(Cut::Failed)
    }
}
