//! Polling the user's code: each poll checks for a kill, enters the scope of the actor, and catches panics.
//!
//! The future lies in an `Option`, so that it can be dropped *inside* the guard: a destructor that panics is caught as
//! well, and the replies that it drops are settled.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{Cell, order};
use crate::{ask::AskError, exit::Panic, panics, scope};

/// How guarded code ended.
pub(super) enum Ended<T> {
    Returned(T),
    Killed,
    Panicked(Panic),
}

pin_project! {
    /// The user's future, under guard.
    pub(super) struct Guarded<'a, M, F> {
        cell: &'a Cell<M>,
        #[pin]
        future: Option<F>,
    }
}

impl<'a, M, F: Future> Guarded<'a, M, F> {
    pub(super) fn new(cell: &'a Cell<M>, future: F) -> Self {
        Self {
            cell,
            future: Some(future),
        }
    }
}

impl<M, F: Future> Future for Guarded<'_, M, F> {
    type Output = Ended<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut future = this.future;
        // Before the orders are read: whoever gives one after that finds this waker.
        this.cell.queue.signal().register(cx.waker());
        let _scope = scope::enter(this.cell.address());

        if this.cell.core.orders() & order::KILL != 0 {
            let ended = end(future, Ended::Killed);
            scope::settle_orphans(AskError::CrashedWhileHandling);
            return Poll::Ready(ended);
        }
        let polled: Result<_, Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| {
            future
                .as_mut()
                .as_pin_mut()
                .expect("guarded code is not polled after it has ended")
                .poll(cx)
        }));
        let (ended, verdict) = match polled {
            Ok(Poll::Pending) => {
                if scope::has_orphans() {
                    scope::settle_orphans(AskError::NoReply);
                }
                return Poll::Pending;
            }
            Ok(Poll::Ready(output)) => (Ended::Returned(output), AskError::NoReply),
            Err(payload) => {
                let panic = panics::describe(payload);
                (Ended::Panicked(panic), AskError::CrashedWhileHandling)
            }
        };
        let ended = end(future, ended);
        if scope::has_orphans() {
            scope::settle_orphans(match scope::is_cut() {
                true => AskError::CrashedWhileHandling,
                false => verdict,
            });
        }
        Poll::Ready(ended)
    }
}

/// Drops the future, and says how it ended.
fn end<F, T>(mut future: Pin<&mut Option<F>>, ended: Ended<T>) -> Ended<T> {
    match catch_unwind(AssertUnwindSafe(|| future.set(None))) {
        Ok(()) => ended,
        Err(payload) => {
            let panic = panics::describe(payload);
            match ended {
                // The first panic is the cause.
                Ended::Panicked(first) => Ended::Panicked(first),
                Ended::Returned(_) | Ended::Killed => Ended::Panicked(panic),
            }
        }
    }
}
