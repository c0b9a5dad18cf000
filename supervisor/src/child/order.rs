//! Orders to an incarnation that runs in a task of its own.

use tokio::sync::watch;

/// What an incarnation is to do. A later one overrules an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    Run,
    Stop,
    Kill,
}

/// The giving end, for the newest incarnation.
#[derive(Default)]
pub(super) struct Orders(Option<watch::Sender<Order>>);

impl Orders {
    /// The receiving end for the next incarnation, which is to run.
    pub(super) fn renew(&mut self) -> watch::Receiver<Order> {
        let (sender, receiver) = watch::channel(Order::Run);
        self.0 = Some(sender);
        receiver
    }

    /// Gives an order, unless the same or a stronger one was given already.
    pub(super) fn give(&self, order: Order) {
        if let Some(sender) = &self.0 {
            sender.send_if_modified(|current| {
                let is_news = order > *current;
                *current = order.max(*current);
                is_news
            });
        }
    }
}
