//! A supervision tree in a web service: the service keeps its own `main`, runtime and signals.
//!
//! `cargo run --example embed [ADDRESS]`, and in another terminal `curl localhost:8080`, `curl -X POST
//! localhost:8080/crash`, `curl localhost:8080/tree`. Ctrl-C or SIGTERM ends it in order.

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use treewarden::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(&address).await?;
    println!("serving on http://{}", listener.local_addr()?);

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    treewarden_examples::embed::serve(listener, stop).await?;
    Ok(())
}
