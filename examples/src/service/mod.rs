//! An order service: a catalogue, carts and payments as supervised actors behind HTTP.
//!
//! ```text
//! /shop (one_for_one)
//!   catalogue     what there is, and how much of it
//!   carts         four partitions; a cart that nobody touches expires
//!   payments      four partitions; the provider behind a breaker, a time-out and a bulkhead
//!   orders        what became of each checkout
//!   settler       tries those again of which it is not known whether they were paid
//! ```
//!
//! Everything is bounded: requests in flight, mailboxes, carts, orders. What does not fit is answered with 503 and `Retry-After`, at once;
//! the less it matters the sooner. No step holds a lock or a connection for another; a crash of any actor costs the request in its hands.
//!
//! **A checkout** takes the cart, reserves its goods, and charges its price under the number of the order. Three things can happen: it is
//! paid; it is surely not paid, then the goods are released and the cart is put back; or nobody knows, because an actor crashed or a deadline
//! passed in the middle. Then the order stays *pending*, its goods reserved, and the settler asks again. The provider knows the number, so
//! that asking twice charges once.
//!
//! | file | subject |
//! |---|---|
//! | `catalogue`, `carts`, `payments`, `orders` | one actor each |
//! | `provider` | what is out of our hands: a payment provider that is slow and fails |
//! | `checkout` | the one operation that needs several of them |
//! | `http` | routes, admission, and what an error is in HTTP |

mod carts;
mod catalogue;
mod checkout;
mod http;
mod orders;
mod payments;
mod provider;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use treewarden::prelude::*;
use treewarden::supervisor::{Partitions, ShutdownReport};

pub use self::provider::Provider;

/// How long a request may take. What is not done by then is given up.
const REQUEST_TIME_MAX: Duration = Duration::from_millis(500);

/// The parts of the shop, as requests use them.
#[derive(Clone)]
struct Shop {
    system: System,
    catalogue: ActorRef<catalogue::Msg>,
    carts: Partitions<carts::Msg>,
    payments: Partitions<payments::Msg>,
    orders: ActorRef<orders::Msg>,
}

/// Serves on `listener` until `stop` resolves, and ends in order: no new requests, those in flight are answered, then the tree.
///
/// # Errors
///
/// If the tree cannot be started, or the listener fails. The tree is stopped then.
pub async fn serve(
    listener: TcpListener,
    provider: Arc<Provider>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<ShutdownReport, Failure> {
    let system = System::new("shop");
    let (carts, payments) = (carts::partitions(), payments::partitions(&provider)?);
    let tree = Supervisor::one_for_one("shop")
        .intensity(20, Duration::from_secs(10))
        .child(catalogue::child())
        .child(carts.child())
        .child(payments.child())
        .child(orders::child())
        .start(&system)
        .await?;
    let shop = Shop {
        catalogue: tree.actor("catalogue")?,
        carts: carts.find(&tree)?,
        payments: payments.find(&tree)?,
        orders: tree.actor("orders")?,
        system,
    };
    tree.start_child(checkout::settler(shop.clone())).await?;

    let served = axum::serve(listener, http::router(shop.clone(), provider)?)
        .with_graceful_shutdown(async {
            stop.await;
            println!("stopping: no new requests");
        })
        .await;
    println!("all requests are answered");
    let pending = shop
        .orders
        .ask(orders::Msg::Pending)
        .timeout(REQUEST_TIME_MAX);
    println!(
        "{} orders are pending",
        pending.await.map_or(0, |pending| pending.len())
    );
    let report = tree.shutdown().await;
    println!("the tree {report}");
    served
        .map_err(|error: io::Error| error.into())
        .map(|()| report)
}
