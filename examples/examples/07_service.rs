//! An order service that stays a service: bounded everywhere, it answers 503 instead of dying, and drains on SIGTERM.
//!
//! `cargo run --release --example service [ADDRESS]`. In another terminal:
//!
//! ```sh
//! curl localhost:8080/products
//! curl -X POST localhost:8080/carts/1/2/3          # three cups into cart 1
//! curl -X POST localhost:8080/carts/1/checkout
//! curl -X POST localhost:8080/crash/payments; curl localhost:8080/tree
//! wrk -t2 -c500 -d10s http://localhost:8080/products
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use treewarden::prelude::*;
use treewarden_examples::service::{Provider, serve};

#[tokio::main]
async fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = match TcpListener::bind(&address).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("service: cannot listen on {address:?}: {error}; say HOST:PORT");
            return ExitCode::from(2);
        }
    };
    match run(listener).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("service: {failure:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(listener: TcpListener) -> Result<(), Failure> {
    println!("serving on http://{}", listener.local_addr()?);
    let provider = Arc::new(Provider::new(Duration::from_millis(5)));
    let stop = async {
        if let Err(error) = treewarden::supervisor::terminated().await {
            eprintln!("no signals can be waited for: {error}");
            std::future::pending().await
        }
    };
    serve(listener, provider.clone(), stop).await?;
    let (orders, cents) = provider.charged();
    println!("the provider has charged {orders} orders, {cents} cents");
    Ok(())
}
