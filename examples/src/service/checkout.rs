//! The one operation that needs several actors, and what is left of it when something fails in the middle.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use treewarden::prelude::*;
use treewarden::runtime::{Criticality, MessageContext};

use super::carts::{self, CartId};
use super::catalogue::{self, OutOfStock};
use super::orders;
use super::payments::{self, Charge};
use super::{REQUEST_TIME_MAX, Shop};

/// How often pending orders are looked at.
const SETTLE_INTERVAL: Duration = Duration::from_millis(500);

/// How long to wait before what has to be done is tried once more.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// How a checkout ended.
pub(super) enum Checkout {
    Paid {
        order: u64,
        cents: u64,
    },
    /// It is being found out.
    Pending {
        order: u64,
    },
    NoSuchCart,
    OutOfStock(OutOfStock),
    /// Nothing was done; it can be tried again.
    Busy,
}

/// It is not to be dropped in the middle: what it has begun would stay half done.
pub(super) async fn checkout(shop: Shop, cart: CartId) -> Checkout {
    // Asks carry this: whatever is shed, a checkout is shed last.
    let deadline = Instant::now() + REQUEST_TIME_MAX;
    let context = || {
        MessageContext::new()
            .with_criticality(Criticality::Critical)
            .with_deadline(deadline)
    };
    let begin = shop.orders.ask(orders::Msg::Begin).context(context());
    let Ok(Some(order)) = begin.await else {
        return Checkout::Busy;
    };
    let carts = shop.carts.of(&cart);
    let take = carts
        .ask(|reply| carts::Msg::Take(cart, reply))
        .context(context());
    let lines = match take.await {
        Ok(Some(lines)) => lines,
        taken => {
            forget(&shop, order).await;
            return taken.map_or(Checkout::Busy, |_| Checkout::NoSuchCart);
        }
    };
    let reserve = shop.catalogue.ask(|reply| catalogue::Msg::Reserve {
        order,
        lines: lines.clone(),
        reply,
    });
    let outcome = match reserve.context(context()).await {
        Ok(Ok(cents)) => match charge(&shop, order, cents, context()).await {
            Charge::Paid => {
                let _ = shop.orders.tell(orders::Msg::Paid(order)).await;
                let _ = shop.catalogue.tell(catalogue::Msg::Sold(order)).await;
                return Checkout::Paid { order, cents };
            }
            Charge::Unknown => {
                hand_over(&shop, order, cents).await;
                return Checkout::Pending { order };
            }
            Charge::NotPaid => Checkout::Busy,
        },
        Ok(Err(out_of_stock)) => Checkout::OutOfStock(out_of_stock),
        Err(_) => Checkout::Busy,
    };
    // Surely not paid. Whether the goods were reserved may not be known, so they are released in any case.
    release(&shop, order).await;
    forget(&shop, order).await;
    // A cart is no order: if this is lost, the customer fills another one.
    let _ = carts.tell(carts::Msg::PutBack(cart, lines)).await;
    outcome
}

/// Leaves an order to the settler. Until it is done, or the shop ends: an order that may be paid must not be forgotten.
async fn hand_over(shop: &Shop, order: u64, cents: u64) {
    loop {
        let hand_over = shop
            .orders
            .ask(|reply| orders::Msg::HandOver(order, cents, reply));
        match hand_over.timeout(REQUEST_TIME_MAX).await {
            Ok(()) | Err(AskError::Dead) => return,
            Err(_) => sleep(RETRY_INTERVAL).await,
        }
    }
}

/// Until it is done, or the shop ends: goods that are released must not stay reserved.
async fn release(shop: &Shop, order: u64) {
    loop {
        let release = shop
            .catalogue
            .ask(|reply| catalogue::Msg::Release(order, reply));
        let context = MessageContext::new().with_criticality(Criticality::Critical);
        match release.context(context).timeout(REQUEST_TIME_MAX).await {
            Ok(()) | Err(AskError::Dead) => return,
            Err(_) => sleep(RETRY_INTERVAL).await,
        }
    }
}

async fn forget(shop: &Shop, order: u64) {
    // Waits for room.
    let _ = shop.orders.tell(orders::Msg::Forget(order)).await;
}

async fn charge(shop: &Shop, order: u64, cents: u64, context: MessageContext) -> Charge {
    let payments = shop.payments.of(&order);
    let charge = payments.ask(|reply| payments::Msg::Charge {
        order,
        cents,
        reply,
    });
    match charge.context(context).await {
        Ok(charge) => charge,
        Err(error) if error.is_safe_to_retry() => Charge::NotPaid,
        Err(_) => Charge::Unknown,
    }
}

/// Asks again about the orders of which nobody knows whether they were paid, until that is known.
pub(super) fn settler(shop: Shop) -> Child {
    Child::task("settler", move |cx| {
        let shop = shop.clone();
        async move {
            cx.ready();
            loop {
                tokio::select! {
                    () = sleep(SETTLE_INTERVAL) => {}
                    () = cx.cancelled() => return Ok::<(), Failure>(()),
                }
                let pending = shop
                    .orders
                    .ask(orders::Msg::Pending)
                    .timeout(REQUEST_TIME_MAX);
                for order in pending.await? {
                    let deadline = Instant::now() + REQUEST_TIME_MAX;
                    let context = MessageContext::new().with_deadline(deadline);
                    // One that is not paid now may have been paid before: only the provider's yes settles it.
                    if charge(&shop, order.number, order.cents, context).await == Charge::Paid {
                        shop.orders.tell(orders::Msg::Paid(order.number)).await?;
                        shop.catalogue
                            .tell(catalogue::Msg::Sold(order.number))
                            .await?;
                    }
                }
            }
        }
    })
}
