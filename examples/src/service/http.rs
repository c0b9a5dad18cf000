//! The shop over HTTP.
//!
//! | request | |
//! |---|---|
//! | `GET /products` | what there is |
//! | `POST /carts/{cart}/{product}/{amount}` | puts something into a cart |
//! | `GET /carts/{cart}` | what is in it |
//! | `POST /carts/{cart}/checkout` | 201: paid. 202: not known yet, look at the order |
//! | `GET /orders/{order}` | what became of it |
//! | `GET /tree` | the supervision tree as it is |
//! | `POST /crash/{actor}` | crashes `catalogue`, `carts` or `payments`, for trying it out |
//! | `POST /provider/down`, `POST /provider/up` | the payment provider fails, or works again |

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use treewarden::prelude::*;
use treewarden::resilience::limiter::{Limiter, LimiterConfig};

use super::checkout::{Checkout, checkout};
use super::provider::Provider;
use super::{REQUEST_TIME_MAX, Shop, carts, catalogue, orders, payments};

/// The share of the limit that requests other than checkouts may use.
const BROWSING_SHARE: f64 = 0.8;

pub(super) fn router(shop: Shop, provider: Arc<Provider>) -> Result<Router, Failure> {
    let limiter = LimiterConfig::default()
        .begin(200)
        .limits(50, 1000)
        .build()?;
    let admission = from_fn_with_state(Arc::new(limiter), admit);
    let shop_routes = Router::new()
        .route("/products", get(products))
        .route("/carts/{cart}/{product}/{amount}", post(add))
        .route("/carts/{cart}", get(cart))
        .route("/carts/{cart}/checkout", post(check_out))
        .route("/orders/{order}", get(order))
        .layer(admission)
        .with_state(shop.clone());
    // Whoever operates the shop is not held up by its customers.
    let operations = Router::new()
        .route("/tree", get(tree))
        .route("/crash/{actor}", post(crash))
        .with_state(shop)
        .route("/provider/{state}", post(set_provider))
        .with_state(provider);
    Ok(shop_routes.merge(operations))
}

/// Lets in what can be served now, checkouts before everything else.
async fn admit(State(limiter): State<Arc<Limiter>>, request: Request, next: Next) -> Response {
    let share = match request.uri().path().ends_with("/checkout") {
        true => 1.0,
        false => BROWSING_SHARE,
    };
    let Ok(permit) = limiter.try_acquire_within(share, Instant::now()) else {
        return busy();
    };
    let response = next.run(request).await;
    match response.status() {
        StatusCode::SERVICE_UNAVAILABLE => permit.overloaded(Instant::now()),
        _ => permit.success(Instant::now()),
    }
    response
}

/// Nothing was done. It is worth trying again, but not at once.
fn busy() -> Response {
    let headers = [(header::RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, "too busy\n").into_response()
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, format!("{body}\n")).into_response()
}

async fn products(State(shop): State<Shop>) -> Response {
    let list = shop
        .catalogue
        .ask(catalogue::Msg::List)
        .timeout(REQUEST_TIME_MAX);
    let Ok(products) = list.await else {
        return busy();
    };
    let products: Vec<_> = products
        .iter()
        .map(|product| {
            json!({
                "id": product.id,
                "name": product.name,
                "price_cents": product.price_cents,
                "stock": product.stock,
            })
        })
        .collect();
    answer(StatusCode::OK, &products.into())
}

async fn add(
    State(shop): State<Shop>,
    Path((cart, product, amount)): Path<(u64, u32, u32)>,
) -> Response {
    if !(1..=1000).contains(&amount) {
        return (
            StatusCode::BAD_REQUEST,
            "the amount is between 1 and 1000\n",
        )
            .into_response();
    }
    let carts = shop.carts.of(&cart);
    let add = carts.ask(|reply| carts::Msg::Add(cart, (product, amount), reply));
    match add.timeout(REQUEST_TIME_MAX).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(carts::Full::Cart)) => (StatusCode::CONFLICT, "the cart is full\n").into_response(),
        Ok(Err(carts::Full::Shop)) | Err(_) => busy(),
    }
}

async fn cart(State(shop): State<Shop>, Path(cart): Path<u64>) -> Response {
    let carts = shop.carts.of(&cart);
    let get = carts.ask(|reply| carts::Msg::Get(cart, reply));
    match get.timeout(REQUEST_TIME_MAX).await {
        Ok(Some(lines)) => answer(StatusCode::OK, &json!(lines)),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => busy(),
    }
}

async fn check_out(State(shop): State<Shop>, Path(cart): Path<u64>) -> Response {
    // In a task of its own: when the customer hangs up, the server drops whatever answers him.
    let checkout = tokio::spawn(checkout(shop, cart));
    match checkout.await.unwrap_or(Checkout::Busy) {
        Checkout::Paid { order, cents } => answer(
            StatusCode::CREATED,
            &json!({ "order": order, "paid_cents": cents }),
        ),
        Checkout::Pending { order } => answer(
            StatusCode::ACCEPTED,
            &json!({ "order": order, "state": "pending" }),
        ),
        Checkout::NoSuchCart => StatusCode::NOT_FOUND.into_response(),
        Checkout::OutOfStock(out_of_stock) => answer(
            StatusCode::CONFLICT,
            &json!({ "out_of_stock": out_of_stock.0 }),
        ),
        Checkout::Busy => busy(),
    }
}

async fn order(State(shop): State<Shop>, Path(number): Path<u64>) -> Response {
    let get = shop.orders.ask(|reply| orders::Msg::Get(number, reply));
    match get.timeout(REQUEST_TIME_MAX).await {
        Ok(Some(order)) => {
            let state = match order.state {
                orders::State::InCheckout | orders::State::Pending => "pending",
                orders::State::Paid => "paid",
            };
            let body = json!({ "order": order.number, "cents": order.cents, "state": state });
            answer(StatusCode::OK, &body)
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => busy(),
    }
}

async fn tree(State(shop): State<Shop>) -> String {
    shop.system.snapshot().to_string()
}

async fn crash(State(shop): State<Shop>, Path(actor): Path<String>) -> StatusCode {
    let ordered = match &*actor {
        "catalogue" => shop.catalogue.try_tell(catalogue::Msg::Crash).is_ok(),
        "carts" => shop.carts.of(&0).try_tell(carts::Msg::Crash).is_ok(),
        "payments" => shop.payments.of(&0).try_tell(payments::Msg::Crash).is_ok(),
        _ => return StatusCode::NOT_FOUND,
    };
    match ordered {
        true => StatusCode::ACCEPTED,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn set_provider(
    State(provider): State<Arc<Provider>>,
    Path(state): Path<String>,
) -> StatusCode {
    match &*state {
        "down" => provider.set_down(true),
        "up" => provider.set_down(false),
        _ => return StatusCode::NOT_FOUND,
    }
    StatusCode::ACCEPTED
}
