//! A run loop that has nothing to do.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use super::tenancy::Tenancy;
use crate::watchdog::Watch;

/// Sleeps until there may be a message or an order. Wake-ups can be spurious.
pub(super) struct Park<'h, 'q, M: Send + 'static, W: Watch> {
    tenancy: &'h mut Tenancy<'q, M, W>,
    parked: bool,
}

impl<'h, 'q, M: Send + 'static, W: Watch> Park<'h, 'q, M, W> {
    pub(super) fn new(tenancy: &'h mut Tenancy<'q, M, W>) -> Self {
        Self {
            tenancy,
            parked: false,
        }
    }
}

impl<M: Send + 'static, W: Watch> Future for Park<'_, '_, M, W> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<()> {
        if self.parked {
            self.tenancy.consumer.unpark();
            self.tenancy.trim_if_ordered();
            return Poll::Ready(());
        }
        self.parked = self.tenancy.consumer.park();
        if self.parked {
            self.tenancy.get_listed();
        }
        if self.parked {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}
